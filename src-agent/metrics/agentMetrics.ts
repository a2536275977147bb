import type { AgentEventBody } from "../../src-shared/api/events.ts";
import { handoffMode } from "../../src-shared/api/handoff.ts";
import type { MobilityMessage } from "../../src-shared/protocol/wire/message.ts";
import type { DataPlaneCounters } from "../ports.ts";
import { exposition, Histogram, type Family, type HistogramFamily, type Sample } from "./exposition.ts";

type MessageKind = MobilityMessage["kind"];
type Direction = "sent" | "received";

/** A group as its member here sees it. */
export interface GroupFigures {
  readonly group: string;
  /** Other members, and those among them to whom a link stands. */
  readonly members: number;
  readonly linksUp: number;
  /** Clients known to the contact, and clients bound to this member. */
  readonly clients: number;
  readonly bound: number;
  readonly connections: number;
  /** This member is registered at the home agent for X. */
  readonly registered: boolean;
}

/** What the agent knows at the moment of a scrape. */
export interface Snapshot {
  readonly version: string;
  readonly host: string;
  readonly dataPlaneKind: string;
  readonly dataPlane: DataPlaneCounters;
  /** Drops outside the data plane, by reason. */
  readonly drops: Readonly<Record<string, number>>;
  readonly signallingLost: number;
  readonly homeBindings: number;
  readonly correspondentBindings: number;
  readonly groups: readonly GroupFigures[];
  readonly process: { readonly residentBytes: number; readonly cpuSeconds: number; readonly startedAt: number };
}

const kinds: Readonly<Record<MessageKind, string>> = {
  bindingRefreshRequest: "BRR",
  homeTestInit: "HoTI",
  careOfTestInit: "CoTI",
  homeTest: "HoT",
  careOfTest: "CoT",
  bindingUpdate: "BU",
  bindingAcknowledgement: "BA",
  bindingError: "BE",
};
const modes = handoffMode.options;
const outcomes = ["done", "failed"] as const;
const roles = ["homeAgent", "correspondent"] as const;
/** From a millisecond between neighbours to a handoff that nearly timed out, seconds. */
const durationBounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** Handoffs whose end is awaited; the contact ends each within 15 s. */
const maximumOpen = 10_000;
/** Reasons that data planes and the agent can give are fewer; a label must never take what the wire says. */
const maximumReasons = 200;

/** What happened since the agent started, counted, and its rendering for Prometheus. Every label takes values from a bounded set. */
export class AgentMetrics {
  readonly #messages = new Map<string, number>();
  readonly #handoffs = new Map<string, number>();
  readonly #durations = new Map(modes.map((mode) => [mode as string, new Histogram(durationBounds)]));
  readonly #bindings = new Map<string, number>();
  /** When open handoffs were decided, ms. */
  readonly #decided = new Map<string, number>();

  message(direction: Direction, kind: MessageKind): void {
    add(this.#messages, `${direction} ${kinds[kind]}`);
  }

  observe(body: AgentEventBody): void {
    switch (body.type) {
      case "bindingAccepted":
        return add(this.#bindings, `${body.role} accepted`);
      case "bindingRemoved":
        return add(this.#bindings, `${body.role} removed`);
      case "handoffStep":
        return this.#step(body);
      case "handoffDone":
        return this.#ended(body.handoff, body.mode, "done");
      case "handoffFailed":
        return this.#ended(body.handoff, body.mode, "failed");
      default:
    }
  }

  render(snapshot: Snapshot): string {
    const { dataPlane, groups } = snapshot;
    const paths = { translated_out: dataPlane.translatedOut, translated_in: dataPlane.translatedIn, tunnelled_out: dataPlane.tunnelledOut, tunnelled_in: dataPlane.tunnelledIn, relayed: dataPlane.relayed };
    const byPath = (what: "packets" | "bytes"): Sample[] => Object.entries(paths).map(([path, moved]) => ({ labels: { path }, value: moved[what] }));
    const byGroup = (of: (group: GroupFigures) => number): Sample[] => groups.map((g) => ({ labels: { group: g.group }, value: of(g) }));
    const { process: own } = snapshot;
    const families: (Family | HistogramFamily)[] = [
      gauge("anycast_lab_agent_info", "The agent: always 1.", [{ labels: { version: snapshot.version, host: snapshot.host, data_plane: snapshot.dataPlaneKind }, value: 1 }]),
      counter("anycast_lab_packets_total", "Packets for anycast addresses, as the host's stack handles them, by path.", byPath("packets")),
      counter("anycast_lab_bytes_total", "Bytes of those packets, from the outermost IPv6 header on, by path.", byPath("bytes")),
      counter("anycast_lab_drops_total", "Packets and messages that were refused, by place and reason.", [...reasons("data plane", dataPlane.drops), ...reasons("signalling", snapshot.drops)]),
      counter("anycast_lab_signalling_lost_total", "Signalling packets that the kernel could not keep because they were read too slowly.", [{ labels: {}, value: snapshot.signallingLost }]),
      counter("anycast_lab_messages_total", "Mobility Header messages, by direction and type (RFC 6275).", pairs(["sent", "received"], Object.values(kinds), this.#messages, ["direction", "type"])),
      gauge("anycast_lab_bindings", "Bindings in the cache, by role.", [
        { labels: { role: "home agent" }, value: snapshot.homeBindings },
        { labels: { role: "correspondent" }, value: snapshot.correspondentBindings },
      ]),
      counter("anycast_lab_binding_changes_total", "Bindings accepted (refreshes too) and removed, by role.", pairs(roles, ["accepted", "removed"], this.#bindings, ["role", "change"])),
      gauge("anycast_lab_home_registered", "Whether this member is registered at the home agent for the group's anycast address.", byGroup((g) => (g.registered ? 1 : 0))),
      gauge("anycast_lab_members", "Other members of the group.", byGroup((g) => g.members)),
      gauge("anycast_lab_member_links_up", "Other members of the group to whom a link stands.", byGroup((g) => g.linksUp)),
      gauge("anycast_lab_clients", "Clients that the contact of the group knows.", byGroup((g) => g.clients)),
      gauge("anycast_lab_bound_clients", "Clients that are bound to this member by route optimisation.", byGroup((g) => g.bound)),
      gauge("anycast_lab_connections", "TCP connections of clients at this member.", byGroup((g) => g.connections)),
      counter("anycast_lab_handoffs_total", "Handoffs decided here as the contact, by mode and outcome.", pairs(modes, outcomes, this.#handoffs, ["mode", "outcome"])),
      {
        name: "anycast_lab_handoff_duration_seconds",
        help: "Time of successful handoffs from the decision to the acceptor's report, by the contact's clock.",
        type: "histogram",
        samples: modes.map((mode) => ({ labels: { mode }, histogram: this.#durations.get(mode) as Histogram })),
      },
      gauge("process_resident_memory_bytes", "Resident memory size in bytes.", [{ labels: {}, value: own.residentBytes }]),
      counter("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", [{ labels: {}, value: own.cpuSeconds }]),
      gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds.", [{ labels: {}, value: own.startedAt }]),
    ];
    return exposition(families);
  }

  #step(body: Extract<AgentEventBody, { type: "handoffStep" }>): void {
    if (body.step === "decided") {
      this.#decided.set(body.handoff, body.at);
      if (this.#decided.size > maximumOpen) this.#decided.delete(this.#decided.keys().next().value as string);
      return;
    }
    const decidedAt = this.#decided.get(body.handoff);
    if (body.step === "done" && decidedAt !== undefined) this.#durations.get(body.mode)?.observe(Math.max(0, body.at - decidedAt) / 1000);
  }

  #ended(handoff: string, mode: string, outcome: (typeof outcomes)[number]): void {
    this.#decided.delete(handoff);
    add(this.#handoffs, `${mode} ${outcome}`);
  }
}

function add(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

/** Every combination, so that a rate can be asked for before the first one happens. */
function pairs(firsts: readonly string[], seconds: readonly string[], counts: ReadonlyMap<string, number>, labels: readonly [string, string]): Sample[] {
  return firsts.flatMap((first) => seconds.map((second) => ({ labels: { [labels[0]]: first, [labels[1]]: second }, value: counts.get(`${first} ${second}`) ?? 0 })));
}

function reasons(place: string, drops: Readonly<Record<string, number>>): Sample[] {
  const all = Object.entries(drops);
  const samples = all.slice(0, maximumReasons).map(([reason, value]) => ({ labels: { place, reason }, value }));
  const rest = all.slice(maximumReasons).reduce((sum, [, value]) => sum + value, 0);
  return rest > 0 ? [...samples, { labels: { place, reason: "other reasons" }, value: rest }] : samples;
}

function counter(name: string, help: string, samples: readonly Sample[]): Family {
  return { name, help, type: "counter", samples };
}

function gauge(name: string, help: string, samples: readonly Sample[]): Family {
  return { name, help, type: "gauge", samples };
}
