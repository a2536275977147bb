import { addressBytes } from "../../src-shared/net/address.ts";
import type { Address } from "../../src-shared/net/address.ts";
import type { GroupEffect, GroupView } from "../../src-shared/protocol/core/group/effects.ts";
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

/** Gives the member every answer to what it has sent, and to what it sends then. */
export function answerAll(group: Group, effects: readonly GroupEffect[], now: number): void {
  for (let sent = effects.find((e) => e.do === "send"); sent; ) {
    const packet = statelessAnswer(sent.packet, group.view);
    sent = group.input({ kind: "packet", packet, mobilityHeader: encodeMobilityHeader(packet.message), at: now }, now).find((e) => e.do === "send");
  }
}
