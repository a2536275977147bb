/**
 * Goodput of route-optimised TCP through each data plane against plain TCP between the same kind of namespaces, over a bare veth pair.
 * usage: dataplane.ts [--json] [--rounds N] [--seconds S]   (root; Linux)
 * What is compared takes turns within each round; a ratio is the median over the rounds of (variant / plain) of the same round.
 */
import { readFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { kernelCannotTranslate } from "../test/support/planeWorld.ts";
import { PlanePair, type Variant } from "./planePair.ts";

const { values } = parseArgs({ options: { json: { type: "boolean" }, rounds: { type: "string", default: "12" }, seconds: { type: "string", default: "0.5" } } });
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);
const gates: Readonly<Record<string, number>> = { "ebpf bbr": 0.95, "ebpf cubic": 0.8, "userspace bbr": 0.4, "userspace cubic": 0.4 };

const available = readFileSync("/proc/sys/net/ipv4/tcp_available_congestion_control", "latin1").trim().split(" ");
const congestions = ["bbr", "cubic"].filter((name) => available.includes(name));
const planes: readonly Variant[] = kernelCannotTranslate() ? ["ebpf", "userspace"] : ["kernel", "ebpf", "userspace"];
const variants: readonly Variant[] = ["plain", ...planes];
const directions = ["download", "upload"] as const;

interface Sample {
  readonly gbps: number;
  readonly cpuSecondsPerGB: number;
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? (sorted[middle] as number) : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

/** The `round`th of the orders in which things can stand. */
function ordered<T>(items: readonly T[], round: number): T[] {
  if (items.length < 2) return [...items];
  const first = round % items.length;
  return [items[first] as T, ...ordered(items.toSpliced(first, 1), Math.floor(round / items.length))];
}

const rounded = (value: number): number => Number(value.toPrecision(4));

async function measure(): Promise<Map<string, Sample[]>> {
  const pairs: PlanePair[] = [];
  const samples = new Map<string, Sample[]>();
  try {
    for (const variant of variants) pairs.push(await PlanePair.open(variant, `dpb-${process.pid}-${variant.slice(0, 2)}`));
    for (let round = 0; round < rounds; round++) {
      for (const congestion of congestions)
        for (const direction of directions)
          // In every order: who comes right after whom matters (warm caches, free pages).
          for (const pair of ordered(pairs, round)) {
            const sample = await pair.stream(direction, congestion, seconds);
            const key = `${pair.variant} ${congestion} ${direction}`;
            samples.set(key, [...(samples.get(key) ?? []), sample]);
          }
      if (!values.json) process.stderr.write(`round ${round + 1} of ${rounds}\n`);
    }
  } finally {
    for (const pair of pairs) await pair.close();
  }
  return samples;
}

function summarise(samples: ReadonlyMap<string, readonly Sample[]>) {
  const ratios: Record<string, number> = {};
  const figures: Record<string, number> = {};
  for (const [key, taken] of samples) {
    figures[`${key} Gbit/s`] = rounded(median(taken.map((s) => s.gbps)));
    figures[`${key} CPU s/GB`] = rounded(median(taken.map((s) => s.cpuSecondsPerGB)));
    const [variant, congestion, direction] = key.split(" ") as [Variant, string, string];
    if (variant === "plain") continue;
    const plain = samples.get(`plain ${congestion} ${direction}`) ?? [];
    ratios[key] = rounded(median(taken.map((s, i) => s.gbps / (plain[i]?.gbps ?? Number.NaN))));
    ratios[`${key} CPU`] = rounded(median(taken.map((s, i) => s.cpuSecondsPerGB / (plain[i]?.cpuSecondsPerGB ?? Number.NaN))));
  }
  for (const variant of planes)
    for (const congestion of congestions) {
      const both = directions.flatMap((direction) => {
        const plain = samples.get(`plain ${congestion} ${direction}`) ?? [];
        return (samples.get(`${variant} ${congestion} ${direction}`) ?? []).map((s, i) => s.gbps / (plain[i]?.gbps ?? Number.NaN));
      });
      ratios[`${variant} ${congestion}`] = rounded(median(both));
    }
  return { ratios, figures };
}

const { ratios, figures } = summarise(await measure());
const environment = {
  kernel: release(),
  cpus: cpus().length,
  cpu: cpus()[0]?.model ?? "unknown",
  node: process.version,
  rounds,
  seconds,
  congestionControls: congestions,
  directions: "download: from the anycast address to the client; upload: the other way",
  cpu_time: "user and system time of sender, receiver and data plane processes; kernel threads not included",
  blaster: fileURLToPath(new URL("./blaster.ts", import.meta.url)).split("/").slice(-2).join("/"),
};
const verdicts = Object.entries(gates).flatMap(([name, limit]) => (ratios[name] === undefined ? [] : [{ name, limit, value: ratios[name], ok: ratios[name] >= limit }]));
process.stdout.write(`${JSON.stringify({ name: "dataplane", ratios, figures, gates: verdicts, environment }, null, values.json ? undefined : 2)}\n`);
