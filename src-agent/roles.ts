import type { AgentEventBody } from "../src-shared/api/events.ts";
import type { Address } from "../src-shared/net/address.ts";
import { correspond, newCorrespondent, type CorrespondentInput } from "../src-shared/protocol/core/correspondent.ts";
import { defaultCorrespondentLimits, type Correspondent } from "../src-shared/protocol/core/correspondentState.ts";
import type { GroupView } from "../src-shared/protocol/core/group/effects.ts";
import { newRegistration, registerHome, type Registration, type RegistrationInput } from "../src-shared/protocol/core/registration.ts";
import type { Effect, Millis, Random, Step } from "../src-shared/protocol/core/step.ts";
import type { MobilityKey } from "../src-shared/protocol/wire/authenticator.ts";
import type { MobilityPacket } from "../src-shared/protocol/wire/message.ts";
import type { Clock, DataPlane } from "./ports.ts";

/** What a role may touch. */
export interface RolePorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly plane: DataPlane;
  readonly send: (packet: MobilityPacket) => Millis;
  readonly tell: (event: AgentEventBody) => void;
  readonly drop: (reason: string, packet?: MobilityPacket) => void;
}

/** What a role does otherwise than the others. */
interface MachineHooks<S> {
  /** Called with each new state before anything is done about it. */
  readonly settled?: (state: S) => void;
  readonly perform?: (effect: Effect) => void;
}

/** One pure state machine on the real world: input, step, effects, next wake. */
export class Machine<S, I> {
  state: S;
  readonly #transition: (state: S, input: I, now: Millis) => Step<S>;
  readonly #wake: I;
  readonly #ports: RolePorts;
  readonly #settled: (state: S) => void;
  readonly #perform: (effect: Effect) => void;
  #timer: NodeJS.Timeout | null = null;

  constructor(state: S, transition: (state: S, input: I, now: Millis) => Step<S>, wake: I, ports: RolePorts, hooks: MachineHooks<S> = {}) {
    this.state = state;
    this.#transition = transition;
    this.#wake = wake;
    this.#ports = ports;
    this.#settled = hooks.settled ?? (() => {});
    this.#perform = hooks.perform ?? ((effect) => perform(effect, ports));
  }

  input(input: I): void {
    this.take(this.#transition(this.state, input, this.#ports.clock.mono()));
  }

  /** A step that came about otherwise than by an input: the one that restores a machine. */
  take({ state, effects, wakeAt }: Step<S>): void {
    this.state = state;
    this.#settled(state);
    for (const effect of effects) this.#perform(effect);
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = wakeAt === undefined || wakeAt === Infinity ? null : setTimeout(() => this.#wakeUp(), timerWait(wakeAt - this.#ports.clock.mono()));
  }

  /** Nobody is there to take what is thrown: it is told, and must not end the agent. */
  #wakeUp(): void {
    try {
      this.input(this.#wake);
    } catch (error) {
      this.#ports.tell({ type: "log", level: "error", text: ((error as Error).stack ?? String(error)).slice(0, 4000) });
    }
  }

  end(): void {
    if (this.#timer) clearTimeout(this.#timer);
  }
}

/** Timers fire a little early now and then and cannot sleep longer than 2^31 ms: round up, and wake in between. */
export function timerWait(ms: Millis): number {
  return Math.min(0x7fffffff, Math.max(1, Math.ceil(ms)));
}

export function perform(effect: Effect, ports: RolePorts): void {
  switch (effect.do) {
    case "send":
      ports.send(effect.packet);
      return;
    case "bind":
      return ports.plane.bind(effect.home, effect.careOf);
    case "unbind":
      return ports.plane.unbind(effect.home);
    case "askUse":
      return; // answered by the role: it is an input
    case "tunnel":
      return ports.plane.tunnel(effect.home, effect.careOf);
    case "untunnel":
      return ports.plane.untunnel(effect.home);
    case "drop":
      return ports.drop(effect.reason, effect.packet);
    case "tell":
      return ports.tell(effect.event as AgentEventBody);
    case "checkDuplicate":
    case "defend":
    case "undefend":
      throw new Error(`"${effect.do}" is a home agent's business`);
  }
}

/** This host as a correspondent node (RFC 6275 §9). */
export class CorrespondentRole {
  readonly #machine: Machine<Correspondent, CorrespondentInput>;

  /** `maxLifetimeSeconds`: the longest binding to grant. */
  constructor(own: Address, ports: RolePorts, maxLifetimeSeconds = defaultCorrespondentLimits.lifetimeSeconds) {
    const state = newCorrespondent(ports.clock.mono(), ports.random, { ...defaultCorrespondentLimits, lifetimeSeconds: maxLifetimeSeconds });
    const step = (s: Correspondent, input: CorrespondentInput, now: Millis): Step<Correspondent> => this.#answered(correspond(s, input, now, ports.random), ports);
    this.#machine = new Machine<Correspondent, CorrespondentInput>(state, step, { kind: "wake" }, ports);
    ports.plane.onUnbound((homeAddress, source, destination) => {
      if (destination === own) this.#machine.input({ kind: "unboundHomeAddress", source, destination, homeAddress });
    });
  }

  onPacket(packet: MobilityPacket, mobilityHeader: Uint8Array): void {
    this.#machine.input({ kind: "packet", packet, mobilityHeader });
  }

  /** The data plane knows what has been used: its answers are inputs of their own. */
  #answered(step: Step<Correspondent>, ports: RolePorts): Step<Correspondent> {
    for (const effect of step.effects) if (effect.do === "askUse" && ports.plane.takeUse(effect.home)) queueMicrotask(() => this.#machine.input({ kind: "used", home: effect.home }));
    return step;
  }

  /** An ICMPv6 error says that packets for `home` do not reach `careOf`. */
  onUnreachable(home: Address, careOf: Address): void {
    this.#machine.input({ kind: "unreachable", home, careOf });
  }

  /** Bindings now. */
  get bindings(): number {
    return this.#machine.state.cache.bound;
  }

  inspect(): Record<string, unknown> {
    const bindings = Array.from(this.#machine.state.cache.entries()).filter((entry) => entry.phase === "bound");
    return { bindings: bindings.map(({ home, careOf, sequence, expiresAt }) => ({ home, careOf, sequence, expiresAt })) };
  }

  close(): void {
    this.#machine.input({ kind: "end" });
    this.#machine.end();
  }
}

/** Home registrations last this long; the home agent may grant less. */
const registrationLifetimeSeconds = 420;

/** The contact's registration of X at the home agent (§11.7.1, RFC 4285). */
export class RegistrationRole {
  readonly #machine: Machine<Registration, RegistrationInput>;
  readonly #ports: RolePorts;

  constructor(view: GroupView, association: MobilityKey, ports: RolePorts) {
    this.#ports = ports;
    const wish = { home: view.home, homeAgent: view.homeAgent, careOf: view.members.get(view.self) as Address, association, lifetimeSeconds: registrationLifetimeSeconds };
    const state = newRegistration(wish, ports.clock.mono(), ports.clock.wall(), ports.random);
    this.#machine = new Machine<Registration, RegistrationInput>(state, registerHome, { kind: "wake" }, ports);
    this.#machine.input({ kind: "start" });
  }

  onPacket(packet: MobilityPacket, mobilityHeader: Uint8Array): void {
    this.#machine.input({ kind: "packet", packet, mobilityHeader });
  }

  get isRegistered(): boolean {
    return this.#machine.state.phase === "registered";
  }

  inspect(): Record<string, unknown> {
    const { state } = this.#machine;
    if (state.phase !== "registered") return { phase: state.phase };
    return { phase: state.phase, sequence: state.sequence, forMs: state.granted.expiresAt - this.#ports.clock.mono() };
  }

  /** Gives the registration back, without waiting for the answer: the binding ends by itself if this is lost. */
  close(): void {
    this.#machine.input({ kind: "end" });
    this.#machine.end();
  }
}
