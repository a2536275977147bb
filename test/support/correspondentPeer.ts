import type { Address } from "../../src-shared/net/address.ts";
import { correspond, newCorrespondent, type CorrespondentInput } from "../../src-shared/protocol/core/correspondent.ts";
import { defaultCorrespondentLimits, type Correspondent, type CorrespondentLimits } from "../../src-shared/protocol/core/correspondentState.ts";
import { bindingUpdateFor, removalFor, type UpdateContent } from "../../src-shared/protocol/core/returnRoutability.ts";
import type { Effect, Millis } from "../../src-shared/protocol/core/step.ts";
import { bindingManagementKey, signBindingUpdate } from "../../src-shared/protocol/wire/authenticator.ts";
import type { BindingUpdate, MobilityMessage, MobilityPacket } from "../../src-shared/protocol/wire/message.ts";
import { decodePacket, encodePacket } from "../../src-shared/protocol/wire/packet.ts";
import { seededRandom } from "../../src-shared/stats/random.ts";

/** What a node receives when `packet` is sent: through the codecs, so that authenticators are checked over real bytes. */
export function received(packet: MobilityPacket): { readonly kind: "packet"; readonly packet: MobilityPacket; readonly mobilityHeader: Uint8Array } {
  const decoded = decodePacket(encodePacket(packet));
  if (!decoded.ok) throw new Error(`the test made a packet that does not decode: ${decoded.reason} ${decoded.field}`);
  return { kind: "packet", packet: decoded.packet, mobilityHeader: decoded.mobilityHeader };
}

export interface Token {
  readonly token: Uint8Array;
  readonly nonceIndex: number;
}

/** A correspondent under test, with what a mobile node would do to it. */
export class CorrespondentPeer {
  state: Correspondent;
  now: Millis = 0;
  effects: readonly Effect[] = [];
  wakeAt: Millis | undefined;
  readonly own: Address;
  readonly #random = seededRandom("correspondent");

  constructor(own: Address, limits: Partial<CorrespondentLimits> = {}) {
    this.own = own;
    this.state = newCorrespondent(0, this.#random.bytes, { ...defaultCorrespondentLimits, ...limits });
  }

  give(input: CorrespondentInput): readonly Effect[] {
    const { state, effects, wakeAt } = correspond(this.state, input, this.now, this.#random.bytes);
    this.state = state;
    this.effects = effects;
    this.wakeAt = wakeAt;
    return effects;
  }

  receive(packet: MobilityPacket): readonly Effect[] {
    return this.give(received(packet));
  }

  homeToken(home: Address): Token {
    return this.#test(home, "homeTestInit");
  }

  careOfToken(careOf: Address): Token {
    return this.#test(careOf, "careOfTestInit");
  }

  #test(source: Address, kind: "homeTestInit" | "careOfTestInit"): Token {
    const message: MobilityMessage = { kind, cookie: this.#random.bytes(8), options: [] };
    const [answer] = sentBy(this.receive({ source, destination: this.own, message }));
    if (answer?.message.kind !== "homeTest" && answer?.message.kind !== "careOfTest") throw new Error(`no answer to ${kind}`);
    return answer.message;
  }

  /** The Binding Update of a mobile node that holds these tokens. */
  update(home: Address, careOf: Address, sequence: number, tokens: { readonly home: Token; readonly careOf: Token }, more: Partial<UpdateContent> = {}): MobilityPacket {
    return bindingUpdateFor({
      home,
      client: this.own,
      careOf,
      sequence,
      lifetimeSeconds: 420,
      homeNonceIndex: tokens.home.nonceIndex,
      careOfNonceIndex: tokens.careOf.nonceIndex,
      kbm: bindingManagementKey(tokens.home.token, tokens.careOf.token),
      ...more,
    });
  }

  /** Fetches both tokens and binds. */
  bind(home: Address, careOf: Address, sequence: number, more: Partial<UpdateContent> = {}): readonly Effect[] {
    return this.receive(this.update(home, careOf, sequence, { home: this.homeToken(home), careOf: this.careOfToken(careOf) }, more));
  }

  removal(home: Address, source: Address, sequence: number, homeToken: Token): MobilityPacket {
    return removalFor({ home, client: this.own, source, sequence, homeNonceIndex: homeToken.nonceIndex, kbm: bindingManagementKey(homeToken.token) });
  }
}

/** The same Binding Update with other fields, signed anew. */
export function altered(packet: MobilityPacket, change: Partial<BindingUpdate>, kbm: Uint8Array): MobilityPacket {
  return signBindingUpdate({ ...packet, message: { ...(packet.message as BindingUpdate), ...change } }, kbm);
}

export function sentBy(effects: readonly Effect[]): MobilityPacket[] {
  return effects.filter((effect) => effect.do === "send").map((effect) => effect.packet);
}

export function dropsOf(effects: readonly Effect[]): string[] {
  return effects.filter((effect) => effect.do === "drop").map((effect) => effect.reason);
}
