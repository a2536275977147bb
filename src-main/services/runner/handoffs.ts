import type { ScenarioFile } from "../../../src-shared/api/scenario.ts";
import type { Address } from "../../../src-shared/net/address.ts";
import { Problem } from "../../problem.ts";
import type { Latencies } from "../../report/steps.ts";
import type { EventLog } from "./event-log.ts";
import type { ExperimentPoint } from "./points.ts";
import type { LabSession } from "./session.ts";
import type { Workloads } from "./workloads.ts";

type HandOverStep = {
  readonly client: string;
  readonly to: string;
  readonly mode: "full" | "prepared";
  readonly drain: boolean;
  readonly counts: boolean;
};

interface Served {
  readonly member: string;
  readonly how: string;
}

/** Asks the contact for handoffs, and knows who serves whom. */
export class Handoffs {
  readonly #session: LabSession;
  readonly #scenario: ScenarioFile;
  readonly #events: EventLog;
  readonly #workloads: Workloads;
  readonly #served = new Map<string, Served>();
  readonly #waiting = new Set<() => void>();
  readonly #stopListening: () => void;
  #count = 0;

  constructor(options: { readonly session: LabSession; readonly scenario: ScenarioFile; readonly events: EventLog; readonly workloads: Workloads }) {
    this.#session = options.session;
    this.#scenario = options.scenario;
    this.#events = options.events;
    this.#workloads = options.workloads;
    const names = new Map(options.session.hosts.map((host) => [host.address as string, host.name]));
    this.#stopListening = options.events.listen(({ body }) => {
      if (body.type !== "clientServed") return;
      const client = names.get(String(body.client));
      if (client) this.#served.set(client, { member: String(body.member), how: String(body.how) });
      for (const wake of this.#waiting) wake();
    });
  }

  close(): void {
    this.#stopListening();
  }

  get count(): number {
    return this.#count;
  }

  /** One handoff, told before and after. A refused one is recorded and does not end the run: thresholds judge it. */
  async handOver(step: HandOverStep, point: ExperimentPoint, repetition: number): Promise<void> {
    const { contact, address } = this.#scenario.group;
    const handoff = `h${++this.#count}`;
    const donor = this.#served.get(step.client)?.member ?? contact;
    this.#events.manager({
      type: "handoffRequested",
      handoff,
      client: step.client,
      clientAddress: this.#address(step.client),
      contact,
      donor,
      acceptor: step.to,
      mode: step.mode,
      counts: step.counts,
      point: { ...point.levels },
      repetition,
      progress: this.#workloads.progressOf(step.client),
      latencies: Object.fromEntries(this.#scenario.group.members.map((m) => [m, { ...this.#latencies(m, step.to, step.client) }])),
    });
    let failure: string | null = null;
    try {
      await this.#session.call(contact, "handOver", { home: address, client: this.#address(step.client), acceptor: step.to, mode: step.mode, id: handoff, drain: step.drain });
    } catch (error) {
      failure = (error as Error).message;
    }
    this.#events.manager({ type: "handoffAnswered", handoff, failure });
  }

  /** Waits until a client is served by that member (in that way). Rejects with a Problem when it is not in time. */
  async expect(step: { readonly client: string; readonly member: string; readonly how?: string | undefined; readonly within: number }): Promise<void> {
    const fits = () => {
      const served = this.#served.get(step.client);
      return served?.member === step.member && (step.how === undefined || served.how === step.how);
    };
    const late = Date.now() + step.within;
    while (!fits()) {
      const left = late - Date.now();
      if (left <= 0) {
        const served = this.#served.get(step.client);
        const now = served ? `is served by ${served.member} (${served.how})` : "is not served at all";
        throw new Problem({ code: "scenario.expectation", host: step.client, what: `client ${step.client} ${now}, not by ${step.member}${step.how ? ` (${step.how})` : ""} within ${step.within / 1000} s`, remedy: "events.jsonl in the run folder says what happened to it." });
      }
      await this.#servedChange(left);
    }
  }

  #servedChange(atMostMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, atMostMs);
      this.#waiting.add(done);
    });
  }

  #latencies(donor: string, acceptor: string, client: string): Latencies {
    const { contact, homeAgent } = this.#scenario.group;
    const between = (a: string, b: string) => (a === b ? 0 : this.#session.latencyMs(a, b));
    return { L_KH: between(contact, homeAgent), L_HC: between(homeAgent, client), L_KD: between(contact, donor), L_DA: between(donor, acceptor), L_AC: between(acceptor, client), L_DC: between(donor, client) };
  }

  #address(host: string): Address {
    const found = this.#session.hosts.find((h) => h.name === host);
    if (!found) throw new Error(`no host ${host} in the lab`);
    return found.address;
  }
}
