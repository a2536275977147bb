import { expect, it } from "vitest";
import { parseAddress, type Address } from "../../src-shared/net/address.ts";
import type { GroupView } from "../../src-shared/protocol/core/group/effects.ts";
import { MemberRole } from "../../src-shared/sim/memberRole.ts";
import { VirtualNetwork, type Happening } from "../../src-shared/sim/network.ts";
import { serveCorrespondent } from "../../src-shared/sim/roles.ts";

const X = parseAddress("2001:db8:f::1");
const H = parseAddress("2001:db8:f::ff");
const C = parseAddress("2001:db8:c::10");
const members = new Map<string, Address>([["K", parseAddress("2001:db8:1::1")], ["A", parseAddress("2001:db8:2::1")]]);
/** One way, between the client and the members. */
const latencyMs = 80;

function world(dropsMobileData: boolean) {
  const network = new VirtualNetwork("blocked");
  const h = network.node("H", { address: H, attracts: [X] });
  const c = network.node("C", { address: C });
  for (const pair of ["KH", "AH", "KA"]) network.link(pair.charAt(0), pair.charAt(1), { latencyMs: 5 });
  network.link("H", "C", { latencyMs: 30 });
  for (const name of members.keys()) network.link(name, "C", { latencyMs, dropsMobileData });
  const correspondent = serveCorrespondent(c);
  c.setRole({
    input: (input, now) => (input.kind !== "data" ? correspondent.input(input, now) : input.packet.data === "probe" ? [{ do: "sendData", source: C, destination: X, data: "acknowledgement" }] : []),
    nextWake: () => correspondent.nextWake(),
  });
  const roles = new Map([...members].map(([name, address]) => {
    const view: GroupView = { id: "g", home: X, homeAgent: H, self: name, contact: "K", members, lifetimeSeconds: 420 };
    return [name, new MemberRole(network.node(name, { address }), view, { acknowledged: true })] as const;
  }));
  h.plane.tunnel(X, members.get("K") as Address);
  network.say("C", { source: C, destination: X, data: "hello" });
  network.runFor(500);
  return { network, correspondent, roles };
}

const events = (network: VirtualNetwork, type: string) => network.happenings.filter((h): h is Extract<Happening, { what: "event" }> => h.what === "event" && h.event.type === type);

it("a path that drops Mobile IPv6 data loses the client for three round trips and the way to tell it, and not again", () => {
  const { network, correspondent, roles } = world(true);
  const contact = roles.get("K") as MemberRole;
  contact.ask({ kind: "optimise", client: C, request: "o" });
  network.runUntil(() => contact.answers.get("o") === "done", 5_000);
  const boundAt = network.clock.now;
  network.runUntil(() => events(network, "bindingRemoved").length > 0, 5_000);
  expect(network.clock.now - boundAt).toBeCloseTo(3 * 2 * latencyMs + latencyMs, 6);
  expect(events(network, "bindingRemoved")).toMatchObject([{ node: "C", event: { reason: "deregistered" } }]);
  expect(events(network, "clientServed").at(-1)).toMatchObject({ node: "K", event: { how: "tunnel", why: expect.stringMatching(/^nothing came back/) as string } });

  for (let i = 0; i < 20; i++) network.say("C", { source: C, destination: X, data: i });
  contact.ask({ kind: "handOver", client: C, wish: { handoff: "h", acceptor: "A", mode: "full", drain: false, decidedAt: 0 } });
  network.runFor(3_000);
  expect(contact.answers.get("h")).toBe("done");
  expect(roles.get("A")?.sessions.get(C)?.filter((data) => typeof data === "number")).toEqual(Array.from({ length: 20 }, (_, i) => i));
  expect(correspondent.state.cache.bound).toBe(0);
  expect(events(network, "bindingAccepted")).toHaveLength(1);
});

it("a path that passes it keeps the binding, and the client hears one question", () => {
  const { network, correspondent, roles } = world(false);
  const contact = roles.get("K") as MemberRole;
  contact.ask({ kind: "optimise", client: C, request: "o" });
  network.runFor(60_000);
  expect(correspondent.state.cache.bound).toBe(1);
  expect(contact.sessions.get(C)).toEqual(["hello", "acknowledgement"]);
});
