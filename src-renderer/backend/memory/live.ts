import type { AgentEventBody } from "../../../src-shared/api/events.ts";
import { AppError } from "../../../src-shared/api/app/error.ts";
import type { Client, LabState } from "../../../src-shared/api/app/lab.ts";
import type { Handoff, HandoffDetail, LabEvent } from "../../../src-shared/api/app/live.ts";
import type { HandoffMode } from "../../../src-shared/api/handoff.ts";
import { hostileText } from "./hostile.ts";
import type { MemoryOptions } from "./options.ts";
import { playHandoff } from "./play.ts";
import { Dice } from "./random.ts";
import type { Emit, LabStore } from "./store.ts";

const tickMs = 50;

/** Handoffs, agent events and samples of the lab that is open, for as long as it is up. */
export class LiveLab {
  readonly #store: LabStore;
  readonly #emit: Emit;
  readonly #options: MemoryOptions;
  readonly #dice: Dice;
  readonly #details = new Map<string, HandoffDetail>();
  readonly #sequences = new Map<string, number>();
  readonly #recent: LabEvent[] = [];
  #timer: ReturnType<typeof setInterval> | null = null;
  #owedEvents = 0;
  #owedHandoffs = 0;
  #ticks = 0;
  #next = 1;
  #queued: LabEvent[] = [];

  constructor(store: LabStore, emit: Emit, options: MemoryOptions) {
    this.#store = store;
    this.#emit = emit;
    this.#options = options;
    this.#dice = new Dice(options.seed + 99);
  }

  start(lab: string): void {
    this.stop();
    this.#timer = setInterval(() => this.#tick(lab), tickMs);
  }

  stop(): void {
    if (this.#timer) clearInterval(this.#timer);
    this.#timer = null;
  }

  list(): Handoff[] {
    return [...this.#details.values()].map((detail) => detail.handoff).slice(-500);
  }

  get(id: string): HandoffDetail {
    const detail = this.#details.get(id);
    if (!detail) throw new AppError("not-found", `handoff ${id} is not kept any more`, { remedy: "Open it in its run, if there was one." });
    return detail;
  }

  recent(limit: number): LabEvent[] {
    return this.#recent.slice(-limit);
  }

  /** Some handoffs that lie behind us, so that a lab that is opened has a past. */
  past(lab: string, count: number): void {
    for (let i = count; i > 0; i--) this.#someHandoff(this.#store.get(lab), Date.now() - i * 4000);
  }

  /** Plays one handoff and serves the client from its acceptor. */
  handOver(labId: string, client: Client, acceptor: string, mode: HandoffMode, startedAt: number): string {
    const lab = this.#store.get(labId);
    const donor = client.servedBy;
    if (!donor) throw new AppError("not-served", `${client.name} is not served by any member yet`);
    if (donor === acceptor) throw new AppError("already-there", `${client.name} is served by ${acceptor} already`);
    const id = `h-${String(this.#next++).padStart(4, "0")}`;
    const played = playHandoff(lab, { id, client, donor, acceptor, mode, startedAt }, this.#dice);
    const failed = this.#dice.next() < 0.04;
    const detail = failed ? failing(played, this.#options.hostile ? hostileText(this.#next) : "the acceptor has no route to the client") : played;
    this.#details.set(id, detail);
    if (this.#details.size > 600) this.#details.delete(this.#details.keys().next().value as string);
    if (!failed) this.#serve(lab, client, donor, acceptor);
    this.#tellSteps(detail);
    this.#emit("handoff.changed", { lab: labId, handoffs: [detail.handoff] });
    return id;
  }

  #serve(lab: LabState, client: Client, donor: string, acceptor: string): void {
    const group = lab.groups[0];
    const moved: Client = { ...client, servedBy: acceptor, how: "optimised", why: "nearest member" };
    const members = group?.members.map((m) => (m.name === donor ? { ...m, clients: Math.max(0, m.clients - 1) } : m.name === acceptor ? { ...m, clients: m.clients + 1 } : m));
    this.#store.change(lab.id, { clients: [moved], ...(group && members && { groups: [{ ...group, members }] }) });
  }

  #tick(labId: string): void {
    const lab = this.#store.get(labId);
    if (lab.phase !== "up") return;
    this.#ticks++;
    this.#owedHandoffs += (this.#options.handoffsPerMinute / 60_000) * tickMs;
    for (; this.#owedHandoffs >= 1; this.#owedHandoffs--) this.#someHandoff(this.#store.get(labId), Date.now());
    this.#owedEvents += (this.#options.eventsPerSecond / 1000) * tickMs;
    for (; this.#owedEvents >= 1; this.#owedEvents--) this.#tell(this.#dice.pick(lab.hosts).id, this.#chatter(lab), Date.now());
    this.#flush(labId);
    if (this.#ticks % 10 === 0) this.#sample(lab);
  }

  #someHandoff(lab: LabState, at: number): void {
    const group = lab.groups[0];
    const served = lab.clients.filter((client) => client.servedBy);
    if (!group || served.length === 0) return;
    const client = this.#dice.pick(served);
    const up = group.members.filter((m) => m.state === "up" && m.name !== client.servedBy);
    if (up.length > 0) this.handOver(lab.id, client, this.#dice.pick(up).name, this.#dice.next() < 0.5 ? "full" : "prepared", at);
  }

  #tellSteps({ handoff, steps }: HandoffDetail): void {
    const { client: _id, clientName: _name, ...rest } = handoff;
    const lab = this.#store.list()[0];
    const client = (lab && this.#store.get(lab.id).clients.find((c) => c.id === handoff.client)?.address) ?? "::";
    for (const step of steps) {
      const body = { type: "handoffStep", handoff: rest.id, home: rest.home, client, donor: rest.donor, acceptor: rest.acceptor, mode: rest.mode, step: step.name, at: step.at } as AgentEventBody;
      this.#tell(step.column, body, handoff.startedAt + step.at);
    }
  }

  #tell(host: string, body: AgentEventBody, at: number): void {
    const sequence = (this.#sequences.get(host) ?? 0) + 1;
    this.#sequences.set(host, sequence);
    const event: LabEvent = { host, at, errorMs: 0.3, event: { sequence, mono: performance.now(), wall: at, body } };
    this.#queued.push(event);
    this.#recent.push(event);
    if (this.#recent.length > 4000) this.#recent.splice(0, 2000);
  }

  #flush(lab: string): void {
    if (this.#queued.length === 0) return;
    const events = this.#queued.slice(0, 1000);
    this.#queued = this.#queued.slice(1000);
    this.#emit("agent.events", { lab, lost: 0, events });
  }

  #chatter(lab: LabState): AgentEventBody {
    const client = lab.clients[0] ? this.#dice.pick(lab.clients) : undefined;
    const group = lab.groups[0];
    const text = this.#options.hostile ? hostileText(this.#ticks) : null;
    const roll = this.#dice.next();
    if (!client || !group || roll < 0.15) return { type: "log", level: roll < 0.02 ? "warn" : "info", text: text ?? "binding cache swept, nothing expired" };
    if (roll < 0.25) return { type: "drop", reason: text?.slice(0, 200) ?? "home test not awaited", count: 1, sample: text ?? "HoT 2001:db8:c::1 → 2001:db8:a::1" };
    if (roll < 0.4) return { type: "clientServed", home: group.home, client: client.address, member: client.servedBy ?? group.contact, how: client.how, why: text ?? "nearest member" };
    const name = this.#dice.pick(["HoTI", "HoT", "CoTI", "CoT", "BU", "BA"]);
    return { type: "message", direction: this.#dice.next() < 0.5 ? "sent" : "received", at: performance.now(), source: group.home, destination: client.address, tunnelled: false, summary: text ?? `${name} seq=${Math.floor(this.#dice.next() * 65536)}` };
  }

  #sample(lab: LabState): void {
    const clients = lab.clients.map((c, i) => ({ id: c.id, mbit: Math.max(0, 40 + 30 * Math.sin(this.#ticks / 40 + i) + this.#dice.between(-8, 8)) }));
    const members = (lab.groups[0]?.members ?? []).map((m) => ({
      name: m.name,
      clients: m.clients,
      mbit: lab.clients.reduce((sum, c, i) => sum + (c.servedBy === m.name ? (clients[i]?.mbit ?? 0) : 0), 0),
    }));
    this.#emit("live.sample", { lab: lab.id, sample: { at: Date.now(), clients, members } });
  }
}

function failing(played: HandoffDetail, reason: string): HandoffDetail {
  const kept = played.steps.slice(0, -5);
  const until = kept.at(-1)?.at ?? 0;
  return {
    ...played,
    handoff: { ...played.handoff, state: "failed", reason, measuredMs: null, clientGapMs: null },
    frozenMs: null,
    steps: kept,
    messages: played.messages.filter((m) => (m.sentAt ?? 0) <= until).map((m) => ((m.receivedAt ?? 0) > until ? { ...m, receivedAt: null } : m)),
    silence: null,
  };
}
