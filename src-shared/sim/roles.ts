import { correspond, newCorrespondent, type CorrespondentInput } from "../protocol/core/correspondent.ts";
import type { Correspondent, CorrespondentLimits } from "../protocol/core/correspondentState.ts";
import { newHomeAgent, serveHome, type HomeAgent, type HomeAgentInput, type HomeService } from "../protocol/core/homeAgent.ts";
import { MachineRole } from "./machineRole.ts";
import type { VirtualNode } from "./network.ts";

/** Makes the node a correspondent: it answers tests, caches bindings and translates for its upper layers. */
export function serveCorrespondent(node: VirtualNode, limits?: CorrespondentLimits): MachineRole<Correspondent, CorrespondentInput> {
  const role = new MachineRole<Correspondent, CorrespondentInput>(
    newCorrespondent(node.now(), node.random, limits),
    (state, input, now) => correspond(state, input, now, node.random),
    (input) => (input.kind === "data" || input.kind === "member" ? null : input),
  );
  node.setRole(role);
  return role;
}

/** Makes the node the home agent of `service.home`. Its wall clock is `wallMs` at virtual time 0. */
export function serveHomeAddress(node: VirtualNode, service: HomeService, wall: () => number): MachineRole<HomeAgent, HomeAgentInput> {
  const role = new MachineRole<HomeAgent, HomeAgentInput>(newHomeAgent(service, node.now()), serveHome, (input) => {
    if (input.kind === "packet") return { ...input, wall: wall() };
    return input.kind === "wake" ? input : null;
  });
  node.setRole(role);
  return role;
}
