import type { Millis, Step } from "../protocol/core/step.ts";
import type { NodeEffect, NodeInput, Role } from "./network.ts";

/**
 * A core machine as a node's role: its state, its transition, and how a node's input becomes one of its own (null: not for it).
 * `started` is the machine's first step, whose effects the caller performs.
 */
export class MachineRole<S, I> implements Role {
  state: S;
  readonly #transition: (state: S, input: I, now: Millis) => Step<S>;
  readonly #translate: (input: NodeInput) => I | null;
  #wakeAt: Millis | null = null;

  constructor(state: S, transition: (state: S, input: I, now: Millis) => Step<S>, translate: (input: NodeInput) => I | null) {
    this.state = state;
    this.#transition = transition;
    this.#translate = translate;
  }

  input(input: NodeInput, now: Millis): readonly NodeEffect[] {
    const own = this.#translate(input);
    return own === null ? [{ do: "drop", reason: `${input.kind} is not for this role` }] : this.give(own, now);
  }

  /** An input of the machine's own kind. */
  give(input: I, now: Millis): readonly NodeEffect[] {
    const { state, effects, wakeAt } = this.#transition(this.state, input, now);
    this.state = state;
    this.#wakeAt = wakeAt ?? null;
    return effects;
  }

  nextWake(): Millis | null {
    return this.#wakeAt;
  }
}
