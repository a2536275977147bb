import { readFileSync } from "node:fs";
import { BpfMap } from "../../linux/bpf.ts";
import type { Moved } from "../../ports.ts";
import { counterNames } from "../counters.ts";

/** Clients, homes and bindings that fit; 150 bytes or so each, taken when used. */
const manyEntries = 65536;

/** The maps that ebpf/mobility.bpf.c names, with the sizes of its structs. */
export class MobilityMaps {
  readonly settings: BpfMap;
  readonly homes: BpfMap;
  readonly members: BpfMap;
  readonly clients: BpfMap;
  readonly bindings: BpfMap;
  readonly tunnels: BpfMap;
  readonly narrow: BpfMap;
  readonly locals: BpfMap;
  readonly counters: BpfMap;
  readonly limits: BpfMap;
  readonly byName = new Map<string, BpfMap>();
  readonly #cpus = possibleCpus();

  /** Throws a SystemCallError (EPERM without CAP_BPF), with nothing left open. */
  constructor() {
    try {
      this.settings = this.#make("settings", "array", 4, 48, 1);
      this.homes = this.#make("homes", "hash", 16, 48, 1024);
      this.members = this.#make("members", "hash", 32, 4, manyEntries);
      this.clients = this.#make("clients", "hash", 32, 24, manyEntries);
      this.bindings = this.#make("bindings", "hash", 16, 24, manyEntries);
      this.tunnels = this.#make("tunnels", "hash", 16, 16, manyEntries);
      this.narrow = this.#make("narrow", "hash", 16, 4, 1024);
      this.locals = this.#make("locals", "hash", 16, 4, 1024);
      this.counters = this.#make("counters", "perCpuArray", 4, 16, counterNames.length);
      this.limits = this.#make("limits", "array", 4, 8, 8);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Every counter, in order, summed over the CPUs. */
  readCounters(): Moved[] {
    const key = Buffer.alloc(4);
    const values = Buffer.alloc(16 * this.#cpus);
    return counterNames.map((_, i) => {
      key.writeUInt32LE(i);
      this.counters.read(key, values);
      let packets = 0;
      let bytes = 0;
      for (let cpu = 0; cpu < this.#cpus; cpu++) {
        packets += Number(values.readBigUInt64LE(16 * cpu));
        bytes += Number(values.readBigUInt64LE(16 * cpu + 8));
      }
      return { packets, bytes };
    });
  }

  close(): void {
    for (const map of this.byName.values()) map.close();
    this.byName.clear();
  }

  #make(name: string, type: ConstructorParameters<typeof BpfMap>[1], keySize: number, valueSize: number, entries: number): BpfMap {
    const map = new BpfMap(`alab_${name}`, type, keySize, valueSize, entries);
    this.byName.set(name, map);
    return map;
  }
}

/** How many values a per-CPU map has: the CPUs that this machine could ever have, plugged in or not. */
function possibleCpus(): number {
  const ranges = readFileSync("/sys/devices/system/cpu/possible", "latin1").trim().split(",");
  return 1 + Math.max(...ranges.map((range) => Number(range.split("-").at(-1))));
}
