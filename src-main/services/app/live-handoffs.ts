import type { AgentEvent } from "../../../src-shared/api/events.ts";
import type { Handoff, HandoffDetail } from "../../../src-shared/api/app/live.ts";
import type { HandoffMode } from "../../../src-shared/api/handoff.ts";
import type { HostClock } from "../../report/clock.ts";
import { assembleRecords, type HandoffAttempt, type HostEvent } from "../../report/records.ts";
import type { Latencies } from "../../report/steps.ts";
import { handoffDetailOf, handoffRow, type HandoffScene, type ToldMessage } from "./handoff-view.ts";

/** What is known of the lab in which the handoffs happen. */
export interface LiveScene {
  /** The group of an anycast address: its id, contact and home agent, as far as known. */
  group(home: string): { readonly id: string; readonly contact: string; readonly homeAgent: string | null } | null;
  client(address: string): { readonly id: string; readonly name: string };
  columns(): ReadonlyMap<string, string>;
  /** One-way latency in force, ms. */
  latencyMs(from: string, to: string): number;
}

export interface LiveSources {
  readonly zeroWall: number;
  readonly clock: (host: string) => HostClock | null;
  readonly messages: readonly ToldMessage[];
  readonly changed: (handoffs: Handoff[]) => void;
}

type StepEvent = Extract<AgentEvent["body"], { type: "handoffStep" | "handoffDone" | "handoffFailed" }>;
type Request = Pick<StepEvent, "home" | "client" | "donor" | "acceptor"> & { readonly mode: HandoffMode };

interface Kept {
  readonly id: string;
  readonly agentId: string;
  readonly request: Request;
  readonly events: HostEvent[];
  readonly startedAt: number;
  over: boolean;
  refusal: string | null;
  /** Once nothing more is to come. */
  detail: HandoffDetail | null;
  row: Handoff | null;
}

const keptHandoffs = 600;
const tellEveryMs = 100;
/** Agents tell a handoff's last instants within this time after its end. */
const settleMs = 1500;

/** Handoffs as agents tell of them, whoever asked for them. */
export class LiveHandoffs {
  readonly #scene: LiveScene;
  readonly #sources: LiveSources;
  readonly #all = new Map<string, Kept>();
  /** The agents' id may be used again, by the next run: the newest handoff of that name. */
  readonly #newest = new Map<string, Kept>();
  readonly #changed = new Set<Kept>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #tellTimer: NodeJS.Timeout | null = null;

  constructor(scene: LiveScene, sources: LiveSources) {
    this.#scene = scene;
    this.#sources = sources;
  }

  list(): Handoff[] {
    return [...this.#all.values()].map((kept) => this.#row(kept)).slice(-500);
  }

  get(id: string): HandoffDetail | null {
    const kept = this.#all.get(id);
    return kept ? (kept.detail ?? this.#detail(kept)) : null;
  }

  /** A handoff that was asked for and of which nobody has told yet. */
  expect(id: string, request: Request): void {
    this.#mark(this.#add(id, request));
  }

  refused(id: string, reason: string): void {
    const kept = this.#newest.get(id);
    if (!kept || kept.over) return;
    kept.refusal = reason;
    this.#finish(kept);
  }

  take(host: string, event: AgentEvent): void {
    const { body } = event;
    if (body.type !== "handoffStep" && body.type !== "handoffDone" && body.type !== "handoffFailed") return;
    const known = this.#newest.get(body.handoff);
    const again = known?.over && body.type === "handoffStep" && body.step === "decided" && known.events.length > 0;
    const kept = !known || again ? this.#add(body.handoff, body) : known;
    kept.events.push({ host, event });
    if (body.type !== "handoffStep" && !kept.over) this.#finish(kept);
    this.#mark(kept);
  }

  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    if (this.#tellTimer) clearTimeout(this.#tellTimer);
  }

  #add(agentId: string, { home, client, donor, acceptor, mode }: Request): Kept {
    let id = agentId;
    for (let n = 2; this.#all.has(id); n++) id = `${agentId}.${n}`;
    const kept: Kept = { id, agentId, request: { home, client, donor, acceptor, mode }, events: [], startedAt: Date.now(), over: false, refusal: null, detail: null, row: null };
    this.#all.set(id, kept);
    this.#newest.set(agentId, kept);
    if (this.#all.size > keptHandoffs) this.#all.delete(this.#all.keys().next().value as string);
    return kept;
  }

  #finish(kept: Kept): void {
    kept.over = true;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      kept.detail = this.#detail(kept);
      kept.row = kept.detail.handoff;
      this.#mark(kept);
    }, settleMs);
    this.#timers.add(timer);
    this.#mark(kept);
  }

  #mark(kept: Kept): void {
    this.#changed.add(kept);
    this.#tellTimer ??= setTimeout(() => {
      this.#tellTimer = null;
      const rows = [...this.#changed].map((each) => this.#row(each));
      this.#changed.clear();
      this.#sources.changed(rows);
    }, tellEveryMs);
  }

  #row(kept: Kept): Handoff {
    return kept.row ?? this.#view(kept, (record, scene) => handoffRow(record, scene, !kept.over));
  }

  #detail(kept: Kept): HandoffDetail {
    return this.#view(kept, (record, scene) => handoffDetailOf(record, scene, this.#sources.messages, !kept.over));
  }

  #view<T>(kept: Kept, make: (record: ReturnType<typeof assembleRecords>[number], scene: HandoffScene) => T): T {
    const { request, events, agentId } = kept;
    const group = this.#scene.group(request.home);
    const client = this.#scene.client(request.client);
    const contact = group?.contact ?? request.donor;
    const homeAgent = group?.homeAgent ?? contact;
    const hosts = [...new Set(events.map(({ host }) => host))];
    const clocks = new Map(hosts.flatMap((host) => {
      const clock = this.#sources.clock(host);
      return clock ? [[host, clock] as const] : [];
    }));
    const attempt: HandoffAttempt = {
      id: agentId,
      client: client.name,
      clientAddress: request.client,
      contact,
      donor: request.donor,
      acceptor: request.acceptor,
      mode: request.mode,
      counts: true,
      point: {},
      repetition: 0,
      progress: {},
      latencies: (donor) => this.#latencies(contact, homeAgent, donor, request.acceptor, client.name),
      failure: kept.refusal,
    };
    const [record] = assembleRecords([attempt], events, clocks);
    const assembled = { ...(record as NonNullable<typeof record>), id: kept.id };
    const zeroWall = assembled.startAt === null && assembled.decidedAt === null ? kept.startedAt : this.#sources.zeroWall;
    return make(assembled, { zeroWall, group: group?.id ?? "group", home: request.home, homeAgent, clientId: client.id, columnOf: this.#scene.columns() });
  }

  #latencies(contact: string, homeAgent: string, donor: string, acceptor: string, client: string): Latencies {
    const between = (a: string, b: string) => (a === b ? 0 : this.#scene.latencyMs(a, b));
    return { L_KH: between(contact, homeAgent), L_HC: between(homeAgent, client), L_KD: between(contact, donor), L_DA: between(donor, acceptor), L_AC: between(acceptor, client), L_DC: between(donor, client) };
  }
}
