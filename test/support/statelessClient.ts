import { addressBytes } from "../../src-shared/net/address.ts";
import type { Address } from "../../src-shared/net/address.ts";
import type { GroupEffect, GroupView } from "../../src-shared/protocol/core/group/effects.ts";
import type { Transport } from "../../src-shared/protocol/core/group/dataWatch.ts";
import type { Group } from "../../src-shared/protocol/core/group/group.ts";
import { bindingManagementKey, signBindingAcknowledgement } from "../../src-shared/protocol/wire/authenticator.ts";
import type { MobilityPacket } from "../../src-shared/protocol/wire/message.ts";
import { encodeMobilityHeader } from "../../src-shared/protocol/wire/mobilityHeader.ts";

/** What a correspondent that keeps nothing answers a member of `view`: its tokens are the lower half of its address. */
export function statelessAnswer({ source, destination: client, message }: MobilityPacket, view: GroupView): MobilityPacket {
  const token = addressBytes(client).slice(8);
  const tunnel = { source: view.homeAgent, destination: view.members.get(view.self) as Address };
  if (message.kind === "homeTestInit") return { source: client, destination: source, tunnel, message: { kind: "homeTest", nonceIndex: 1, cookie: message.cookie, token, options: [] } };
  if (message.kind === "careOfTestInit") return { source: client, destination: source, message: { kind: "careOfTest", nonceIndex: 1, cookie: message.cookie, token, options: [] } };
  if (message.kind !== "bindingUpdate") throw new Error(`a member never sends a client ${message.kind}`);
  const answer: MobilityPacket = {
    source: client,
    destination: source,
    routingHomeAddress: view.home,
    message: { kind: "bindingAcknowledgement", status: 0, keyManagement: false, sequence: message.sequence, lifetimeUnits: message.lifetimeUnits, options: [] },
  };
  return signBindingAcknowledgement(answer, source, bindingManagementKey(token, token));
}

/** What sockets say of a path on which everything arrives. */
const lively: Transport = { connections: 1, rttMs: 40, ackAgeMs: 0, unacknowledged: false };

/** Gives the member every answer of clients, of its own sockets and of members that bind clients anew to what it wants, and to what it wants then. All effects. */
export function answerAll(group: Group, effects: readonly GroupEffect[], now: number): readonly GroupEffect[] {
  const all = [...effects];
  for (const effect of all) {
    if (effect.do === "send") {
      const packet = statelessAnswer(effect.packet, group.view);
      all.push(...group.input({ kind: "packet", packet, mobilityHeader: encodeMobilityHeader(packet.message), at: now }, now));
    } else if (effect.do === "askTransport") {
      all.push(...group.input({ kind: "transport", client: effect.client, transport: lively }, now));
    } else if (effect.do === "tellMember" && effect.message.kind === "rebind") {
      const { client, lease } = effect.message;
      all.push(...group.input({ kind: "member", from: effect.member, message: { kind: "rebound", client, sequence: lease.next, lifetimeSeconds: group.view.lifetimeSeconds }, at: now }, now));
    }
  }
  return all;
}
