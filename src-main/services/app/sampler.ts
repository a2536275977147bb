import type { LabState } from "../../../src-shared/api/app/lab.ts";
import type { LiveSample } from "../../../src-shared/api/app/live.ts";
import type { Testbed } from "../../testbeds/testbed.ts";

const everyMs = 500;

export interface SamplerOptions {
  readonly testbed: Testbed;
  readonly state: () => LabState;
  readonly watched: () => boolean;
  readonly emit: (sample: LiveSample) => void;
}

/**
 * Twice a second, while a group serves clients and somebody looks: what arrived at each client from the group's hosts, as the emulator of a local lab
 * counts it (IPv6 bytes). Real links are not ours to count, so a fleet has no samples.
 */
export class Sampler {
  readonly #options: SamplerOptions;
  readonly #timer: NodeJS.Timeout;
  #before: { readonly at: number; readonly bytes: ReadonlyMap<string, number> } | null = null;
  #busy = false;

  constructor(options: SamplerOptions) {
    this.#options = options;
    this.#timer = setInterval(() => void this.#sample(), everyMs);
    this.#timer.unref();
    if (options.testbed.kind === "fleet") clearInterval(this.#timer);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #sample(): Promise<void> {
    const { testbed, state, watched, emit } = this.#options;
    if (this.#busy || !watched() || state().groups.length === 0) {
      if (!this.#busy) this.#before = null;
      return;
    }
    this.#busy = true;
    try {
      const { traffic } = await testbed.status();
      const at = performance.now();
      const bytes = new Map(traffic.map((pair) => [`${pair.from} ${pair.to}`, pair.bytes]));
      const before = this.#before;
      this.#before = { at, bytes };
      if (before) emit(sampleOf(state(), (from, to) => (bytes.get(`${from} ${to}`) ?? 0) - (before.bytes.get(`${from} ${to}`) ?? 0), at - before.at));
    } catch {
      this.#before = null; // the lab is going down
    } finally {
      this.#busy = false;
    }
  }
}

function sampleOf({ clients, groups }: LabState, bytesBetween: (from: string, to: string) => number, ms: number): LiveSample {
  const rates = clients.map((client) => {
    const group = groups.find((each) => each.id === client.group);
    const sources = new Set([...(group?.members.map((member) => member.host) ?? []), ...(group?.homeAgent ? [group.homeAgent] : [])]);
    const bytes = client.host ? [...sources].reduce((sum, from) => sum + bytesBetween(from, client.host as string), 0) : 0;
    return { client, mbit: Math.max(0, (bytes * 8) / (ms * 1000)) };
  });
  const members = groups.flatMap((group) => group.members).map(({ name }) => {
    const own = rates.filter(({ client }) => client.servedBy === name);
    return { name, clients: own.length, mbit: own.reduce((sum, { mbit }) => sum + mbit, 0) };
  });
  return { at: Date.now(), clients: rates.map(({ client, mbit }) => ({ id: client.id, mbit })), members };
}
