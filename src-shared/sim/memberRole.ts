import type { Address } from "../net/address.ts";
import type { GroupEffect, GroupView, Mark } from "../protocol/core/group/effects.ts";
import { Group } from "../protocol/core/group/group.ts";
import type { GroupInput } from "../protocol/core/group/groupInput.ts";
import type { MemberMessage } from "../protocol/core/group/memberMessage.ts";
import type { Millis } from "../protocol/core/step.ts";
import type { DataPacket } from "./packet.ts";
import type { NodeEffect, NodeInput, Role, VirtualNode } from "./network.ts";

/** A client's "connections": what its packets said, in the order in which they were taken in. That is the state that moves. */
type Session = unknown[];

/**
 * A member of a group with an application that only writes down what clients say to X, so that a test can tell whether anything was lost, doubled or
 * said to two members. Handoffs move that record; freezing and rebuilding take no time.
 */
export class MemberRole implements Role {
  readonly group: Group;
  /** Outcomes of what was asked for, by the name that the asker gave. */
  readonly answers = new Map<string, "done" | { readonly step: string; readonly reason: string }>();
  readonly sessions = new Map<Address, Session>();
  /** When each client was last heard, and whether what came counts as acknowledgements (see `askTransport`). */
  readonly #heardAt = new Map<Address, Millis>();
  readonly #acknowledged: boolean;
  /** Sessions on their way out (kept until the acceptor has them) and in. */
  readonly #leaving = new Map<string, Session>();
  readonly #arriving = new Map<string, Session>();
  readonly #node: VirtualNode;

  /** `acknowledged`: clients answer "probe"; only then can a member tell whether data arrives. */
  constructor(node: VirtualNode, view: GroupView, options: { readonly acknowledged?: boolean } = {}) {
    this.#node = node;
    this.#acknowledged = options.acknowledged ?? false;
    this.group = new Group(view, node.random, { autoOptimise: false });
    const own = view.members.get(view.self) as Address;
    const others = [...view.members].filter(([name]) => name !== view.self).map(([, address]) => address);
    node.plane.addHome(view.home, { careOf: own, homeAgent: view.homeAgent, via: view.self === view.contact ? view.homeAgent : (view.members.get(view.contact) as Address) });
    node.plane.setMembers(view.home, others);
    node.setRole(this);
  }

  /** Something asked of this member, as by a control call. */
  ask(input: GroupInput): void {
    this.#node.perform(this.#give(input, this.#node.now()));
  }

  input(input: NodeInput, now: Millis): readonly NodeEffect[] {
    switch (input.kind) {
      case "packet":
        return this.#give(input, now);
      case "member":
        return this.#give({ ...input, message: input.message as MemberMessage }, now);
      case "data":
        return this.#onData(input.packet, now);
      case "wake":
        return this.#give(input, now);
      default:
        return [{ do: "drop", reason: `${input.kind} is not for a member` }];
    }
  }

  nextWake(): Millis | null {
    return this.group.nextWake();
  }

  #onData(packet: DataPacket, now: Millis): readonly NodeEffect[] {
    const client = packet.source;
    this.#heardAt.set(client, now);
    const session = this.sessions.get(client);
    if (session) {
      session.push(packet.data);
      return [];
    }
    this.sessions.set(client, [packet.data]);
    this.#node.plane.serve(this.group.view.home, client);
    return this.#give({ kind: "activity", client, active: true }, now);
  }

  #give(input: GroupInput, now: Millis): readonly NodeEffect[] {
    return this.group.input(input, now).flatMap((effect) => this.#effects(effect, now));
  }

  #effects(effect: GroupEffect, now: Millis): readonly NodeEffect[] {
    const { plane } = this.#node;
    const { home } = this.group.view;
    switch (effect.do) {
      case "send":
      case "tellMember":
        return [effect, ...(effect.mark ? [told(effect.mark)] : [])];
      case "mark":
        return [told(effect)];
      case "collect": {
        const session = this.sessions.get(effect.client) ?? [];
        plane.relay(home, effect.client, effect.relayTo);
        this.sessions.delete(effect.client);
        this.#leaving.set(effect.handoff, session);
        const { member, message, mark } = effect.word;
        return [{ do: "tellMember", member, message }, ...(mark ? [told(mark)] : []), ...this.#give({ kind: "collected", handoff: effect.handoff, client: effect.client, bundle: packed(session), connections: 1, frozenAt: now, drainMs: 0 }, now)];
      }
      case "forget":
        this.#leaving.delete(effect.handoff);
        return [];
      case "reinstate":
        plane.hold(home, effect.client);
        this.sessions.set(effect.client, this.#leaving.get(effect.handoff) ?? []);
        plane.release(home, effect.client);
        return this.#give({ kind: "reinstated", handoff: effect.handoff }, now);
      case "hold":
        plane.hold(home, effect.client);
        return [];
      case "restore":
        plane.hold(home, effect.client);
        this.#arriving.set(effect.handoff, unpacked(effect.bundle));
        return this.#give({ kind: "restored", handoff: effect.handoff }, now);
      case "activate": {
        const { handoff, client } = effect.name;
        this.sessions.set(client, this.#arriving.get(handoff) ?? []);
        this.#arriving.delete(handoff);
        plane.release(home, client);
        return [told({ do: "mark", ...effect.name, step: "firstPacket" })];
      }
      case "abandon":
        this.#arriving.delete(effect.handoff);
        plane.discard(home, effect.client);
        return [];
      case "askTransport": {
        const { client, elicit } = effect;
        const connections = this.#acknowledged && this.sessions.has(client) ? 1 : 0;
        const transport = { connections, rttMs: null, ackAgeMs: now - (this.#heardAt.get(client) ?? -Infinity), unacknowledged: true };
        const question: NodeEffect[] = connections > 0 && elicit ? [{ do: "sendData", source: home, destination: client, data: "probe" }] : [];
        return [...question, ...this.#give({ kind: "transport", client, transport }, now)];
      }
      case "optimise":
      case "unoptimise":
        plane[effect.do](home, effect.client);
        return [];
      case "relay":
        plane.relay(home, effect.client, effect.member);
        return [];
      case "unrelay":
        plane.unrelay(home, effect.client);
        if (this.sessions.has(effect.client)) plane.serve(home, effect.client);
        return [];
      case "answer":
        this.answers.set(effect.request, effect.error ?? "done");
        return [];
      default:
        return [effect];
    }
  }
}

/** In the simulation a step is told at the instant at which it happens. */
function told(mark: Mark): NodeEffect {
  const { handoff, client, donor, acceptor, mode, step } = mark;
  return { do: "tell", event: { type: "handoffStep", handoff, client, donor, acceptor, mode, step } };
}

function packed(session: Session): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(session));
}

function unpacked(bundle: Uint8Array): Session {
  return JSON.parse(new TextDecoder().decode(bundle)) as Session;
}
