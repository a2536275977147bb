import type { Address } from "../net/address.ts";
import { newRegistration, registerHome, type Registration, type RegistrationInput, type RegistrationWish } from "../protocol/core/registration.ts";
import {
  acknowledgementOutcome,
  bindingUpdateFor,
  careOfTestAnswered,
  careOfTestTimer,
  homeTestAnswered,
  homeTestTimer,
  startCareOfTest,
  startHomeTest,
  type AcknowledgementOutcome,
  type AwaitedAcknowledgement,
  type CareOfProbe,
  type HomeProbe,
} from "../protocol/core/returnRoutability.ts";
import type { Millis, Random } from "../protocol/core/step.ts";
import { bindingManagementKey } from "../protocol/wire/authenticator.ts";
import type { MobilityPacket } from "../protocol/wire/message.ts";
import type { NodeEffect, NodeInput, Role } from "./network.ts";

interface Token {
  readonly token: Uint8Array;
  readonly nonceIndex: number;
}

/** Route optimisation of one correspondent. */
interface Optimisation {
  readonly client: Address;
  readonly home: HomeProbe | Token;
  readonly careOf: CareOfProbe | Token;
  readonly awaited: AwaitedAcknowledgement | null;
  readonly outcome: AcknowledgementOutcome | null;
}

/**
 * An ordinary mobile node, as RFC 6275 §11 has it: one node that registers, runs both tests at once and binds. Groups split this up; the simulation
 * has it to show correspondents and home agents a peer that knows nothing of groups, and as an example of a role made of core machines.
 */
export class MobileNodeRole implements Role {
  registration: Registration;
  optimisation: Optimisation | null = null;
  readonly #wish: RegistrationWish;
  readonly #random: Random;
  #registrationWake: Millis | null = null;
  #sequence = 0;

  /** `wall`: its wall clock now, in ms since 1970. */
  constructor(wish: RegistrationWish, now: Millis, wall: number, random: Random) {
    this.#wish = wish;
    this.#random = random;
    this.registration = newRegistration(wish, now, wall, random);
  }

  register(now: Millis): readonly NodeEffect[] {
    return this.#register({ kind: "start" }, now);
  }

  deregister(now: Millis): readonly NodeEffect[] {
    return this.#register({ kind: "end" }, now);
  }

  /** §11.6.1: both tests leave at once. */
  optimise(client: Address, now: Millis): readonly NodeEffect[] {
    const { home, homeAgent, careOf } = this.#wish;
    const homeTest = startHomeTest({ home, client, tunnel: { source: careOf, destination: homeAgent } }, now, this.#random);
    const careOfTest = startCareOfTest({ careOf, client }, now, this.#random);
    this.optimisation = { client, home: homeTest.probe, careOf: careOfTest.probe, awaited: null, outcome: null };
    return [homeTest.packet, careOfTest.packet].map((packet) => ({ do: "send", packet }));
  }

  input(input: NodeInput, now: Millis): readonly NodeEffect[] {
    switch (input.kind) {
      case "packet":
        if (input.packet.source === this.#wish.homeAgent) return this.#register({ kind: "packet", packet: input.packet, mobilityHeader: input.mobilityHeader }, now);
        return this.#onPacket(input.packet, input.mobilityHeader, input.at);
      case "wake":
        return [...(now >= (this.#registrationWake ?? Infinity) ? this.#register({ kind: "wake" }, now) : []), ...this.#retransmit(now)];
      case "data":
        return [];
      default:
        return [{ do: "drop", reason: `${input.kind} is not for a mobile node` }];
    }
  }

  nextWake(): Millis | null {
    const probes = this.optimisation ? [this.optimisation.home, this.optimisation.careOf].filter((p) => "retryAt" in p) : [];
    const times = [...probes.map((p) => p.retryAt), ...(this.#registrationWake === null ? [] : [this.#registrationWake])];
    return times.length > 0 ? Math.min(...times) : null;
  }

  #register(input: RegistrationInput, now: Millis): readonly NodeEffect[] {
    const { state, effects, wakeAt } = registerHome(this.registration, input, now);
    this.registration = state;
    this.#registrationWake = wakeAt ?? null;
    return effects;
  }

  #onPacket(packet: MobilityPacket, mobilityHeader: Uint8Array, at: Millis): readonly NodeEffect[] {
    const work = this.optimisation;
    if (!work) return [{ do: "drop", reason: `${packet.message.kind} not awaited`, packet }];
    if (packet.message.kind === "homeTest" && "cookies" in work.home) {
      const outcome = homeTestAnswered(work.home, packet, at);
      return outcome.ok ? this.#continue({ ...work, home: outcome }) : [{ do: "drop", reason: outcome.reason, packet }];
    }
    if (packet.message.kind === "careOfTest" && "cookies" in work.careOf) {
      const outcome = careOfTestAnswered(work.careOf, packet, at);
      return outcome.ok ? this.#continue({ ...work, careOf: outcome }) : [{ do: "drop", reason: outcome.reason, packet }];
    }
    if (packet.message.kind !== "bindingAcknowledgement" || !work.awaited) return [{ do: "drop", reason: `${packet.message.kind} not awaited`, packet }];
    const outcome = acknowledgementOutcome(work.awaited, packet, mobilityHeader);
    if (outcome.kind === "ignored") return [{ do: "drop", reason: outcome.reason, packet }];
    this.optimisation = { ...work, awaited: null, outcome };
    return [];
  }

  #continue(work: Optimisation): readonly NodeEffect[] {
    this.optimisation = work;
    if ("cookies" in work.home || "cookies" in work.careOf) return [];
    const { home, careOf, lifetimeSeconds } = this.#wish;
    const kbm = bindingManagementKey(work.home.token, work.careOf.token);
    this.#sequence = (this.#sequence + 1) & 0xffff;
    const awaited = { home, client: work.client, careOf, sequence: this.#sequence, kbm };
    this.optimisation = { ...work, awaited };
    const nonces = { homeNonceIndex: work.home.nonceIndex, careOfNonceIndex: work.careOf.nonceIndex };
    return [{ do: "send", packet: bindingUpdateFor({ ...awaited, ...nonces, lifetimeSeconds }) }];
  }

  #retransmit(now: Millis): readonly NodeEffect[] {
    const work = this.optimisation;
    if (!work) return [];
    const home = "cookies" in work.home ? homeTestTimer(work.home, now) : null;
    const careOf = "cookies" in work.careOf ? careOfTestTimer(work.careOf, now) : null;
    this.optimisation = { ...work, home: home?.probe ?? work.home, careOf: careOf?.probe ?? work.careOf };
    return [home?.packet, careOf?.packet].filter((packet) => packet !== undefined).map((packet) => ({ do: "send", packet }));
  }
}
