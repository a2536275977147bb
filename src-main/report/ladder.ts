import type { HandoffRecord, RunDescription } from "../../src-shared/api/summary.ts";
import { parseAddress } from "../../src-shared/net/address.ts";
import type { CaptureFacts, SignallingFact } from "./facts.ts";

/** One message of a handoff between two roles. Times in ms after the handoff's start; an end that nobody saw is null. */
export interface LadderMessage {
  readonly label: string;
  readonly from: string;
  readonly to: string;
  /** The home agent that tunnels it on, or null. */
  readonly via: string | null;
  readonly sentAt: number | null;
  readonly receivedAt: number | null;
}

type Kind = SignallingFact["message"]["kind"];

/** The messages of a handoff, from what agents told and, where there is a capture, from when each message left and arrived. */
export function ladderMessages(record: HandoffRecord, facts: CaptureFacts | null, run: RunDescription): LadderMessage[] {
  const start = record.startAt;
  if (start === null) return [];
  const { contact, donor, acceptor, client, instants } = record;
  const { homeAgent } = run.group;
  const address = parseAddress(record.clientAddress);
  const after = (at: number | undefined) => (at === undefined ? null : at - start);
  const end = (record.firstPacketAt ?? start + 10_000) + 5;
  /** When the message of that kind passed a host, at or after a time. */
  const seen = (host: string, direction: "in" | "out", kind: Kind, from: number) => {
    const toClient = kind === "homeTestInit" || kind === "careOfTestInit" || kind === "bindingUpdate";
    const fact = facts?.signalling.find((s) => s.host === host && s.direction === direction && s.message.kind === kind && s.at >= from - 1 && s.at <= end && (toClient ? s.destination : s.source) === address);
    return fact && fact.at - start;
  };
  const exchange = (label: readonly [string, string], host: string, via: string | null, ask: Kind, answer: Kind, asked: number | undefined, answered: number | undefined): LadderMessage[] => {
    if (asked === undefined) return [];
    return [
      { label: label[0], from: host, to: client, via, sentAt: after(asked), receivedAt: seen(client, "in", ask, asked) ?? null },
      { label: label[1], from: client, to: host, via, sentAt: seen(client, "out", answer, asked) ?? null, receivedAt: after(answered) },
    ];
  };
  const first = instants.firstPacket;
  return [
    ...exchange(["Home Test Init", "Home Test"], contact, homeAgent, "homeTestInit", "homeTest", instants.homeTestInit, instants.homeTest),
    ...(instants.stateSent === undefined ? [] : [{ label: "state", from: donor, to: acceptor, via: null, sentAt: after(instants.stateSent), receivedAt: after(instants.stateReceived) }]),
    ...exchange(["Care-of Test Init", "Care-of Test"], acceptor, null, "careOfTestInit", "careOfTest", instants.careOfTestInit, instants.careOfTest),
    ...exchange(["Binding Update", "Binding Acknowledgement"], acceptor, null, "bindingUpdate", "bindingAcknowledgement", instants.bindingUpdate, instants.bindingAcknowledgement),
    ...(first === undefined ? [] : [{ label: "first packet", from: acceptor, to: client, via: null, sentAt: after(first), receivedAt: null }]),
  ];
}
