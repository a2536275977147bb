import type { Address } from "../src-shared/net/address.ts";
import { isUnicastRoutable } from "../src-shared/net/scope.ts";
import { earn, newAnswering, spend, type Answering } from "../src-shared/protocol/core/answers.ts";
import { encodeIcmp } from "../src-shared/protocol/wire/icmp.ts";
import { encapsulate } from "../src-shared/protocol/wire/ipv6.ts";
import type { DecodeAnswer } from "../src-shared/protocol/wire/packet.ts";
import { encodePacket } from "../src-shared/protocol/wire/packet.ts";
import type { Clock } from "./ports.ts";

/** How something sent from `source` leaves this host: directly, through a tunnel, or not at all, because the address is not ours. */
export type WayOut = { readonly tunnel?: { readonly source: Address; readonly destination: Address } } | null;

export interface AnswersPorts {
  readonly clock: Clock;
  /** A whole packet, from its IPv6 header on. */
  readonly send: (packet: Uint8Array) => void;
  readonly drop: (reason: string, detail: string) => void;
}

/** Sends what RFC 6275 §9.2 asks to send about packets that were refused: ICMPv6 Parameter Problem, Binding Error status 2. At a limited rate. */
export class Answers {
  readonly #ports: AnswersPorts;
  #state: Answering;

  constructor(ports: AnswersPorts) {
    this.#ports = ports;
    this.#state = newAnswering(ports.clock.mono());
  }

  /** So many bytes of signalling have arrived. */
  received(bytes: number): void {
    this.#state = earn(this.#state, bytes);
  }

  /** `wayOut` says how a packet leaves from the address that the refused one was sent to. */
  give(answer: DecodeAnswer, wayOut: (source: Address) => WayOut): void {
    const { source, destination } = answer.kind === "bindingError" ? answer.packet : answer;
    const way = wayOut(source);
    // What passes through on its way to somebody else is theirs to answer.
    if (!way || !isUnicastRoutable(destination)) return;
    const bytes = encode(answer);
    const step = spend(this.#state, bytes.length, this.#ports.clock.mono());
    this.#state = step.state;
    if (!step.allowed) return this.#ports.drop("too many answers to refused signalling", `${answer.kind} to ${destination}`);
    this.#ports.send(way.tunnel ? encapsulate(bytes, way.tunnel) : bytes);
  }
}

function encode(answer: DecodeAnswer): Uint8Array {
  if (answer.kind === "bindingError") return encodePacket(answer.packet);
  const { source, destination, code, pointer, invoking } = answer;
  return encodeIcmp({ source, destination, message: { kind: "parameterProblem", code, pointer, invoking } });
}
