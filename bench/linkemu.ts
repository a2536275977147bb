/**
 * The link emulator's own error and what it carries: how late packets leave it, idle and beside a 100 Mbit/s download, and TCP goodput through it
 * against a bare veth pair between the same kind of namespaces.
 * usage: linkemu.ts [--json] [--rounds N] [--seconds S]   (Linux; as root or rootless)
 * What is compared takes turns within each round; a ratio is the median over the rounds of (emulated / plain) of the same round.
 */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, loadavg, release, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs, promisify } from "node:util";
import { parseLab } from "../src-main/testbeds/labFile.ts";
import { labUp } from "../src-main/testbeds/local/labs.ts";
import type { LocalLab } from "../src-main/testbeds/local/localLab.ts";

const { values } = parseArgs({ options: { json: { type: "boolean" }, rounds: { type: "string", default: "7" }, seconds: { type: "string", default: "1" } } });
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);
const execute = promisify(execFile);
const statedMs = 10;
const file = "/dev/shm/f";

const plan = parseLab(
  `name: linkemu-bench
sites: { s: {}, t: {} }
paths: [{ between: [s, t] }]
hosts:
  a: { site: s }
  b: { site: t }
`,
  "bench",
);

async function on(lab: LocalLab, host: string, command: string): Promise<string> {
  return (await execute("ssh", ["-F", lab.folder.sshConfig, "-o", "BatchMode=yes", host, command])).stdout;
}

/** nginx on `a`, and beside it a namespace that is joined to `a` by a bare veth pair. */
async function prepare(lab: LocalLab): Promise<void> {
  const config = "error_log /tmp/e.log; pid /tmp/n.pid; worker_processes 2; events {} http { access_log off; sendfile on; server { listen [::]:8080; root /dev/shm; } }";
  await on(lab, "a", `truncate -s 20G ${file}; echo '${config}' > /tmp/n.conf; sudo nginx -c /tmp/n.conf`);
  const plain = [
    "ip netns add plain",
    "ip link add v0 type veth peer name v1 netns plain",
    "ip addr add 2001:db8:99::1/64 dev v0 nodad",
    "ip link set v0 up",
    "nsenter --net=/run/netns/plain ip addr add 2001:db8:99::2/64 dev v1 nodad",
    "nsenter --net=/run/netns/plain ip link set v1 up",
  ];
  await on(lab, "a", `sudo sh -c '${plain.join(" && ")}'`);
}

/** Gbit/s of `flows` downloads at once. */
async function goodput(lab: LocalLab, host: string, prefix: string, address: string, flows: number): Promise<number> {
  const one = `curl -s -o /dev/null --max-time ${seconds} -w '%{size_download} %{time_total}\\n' http://[${address}]:8080/f`;
  const text = await on(lab, host, `${prefix} sh -c "for i in $(seq -s ' ' ${flows}); do ${one} & done; wait"`);
  return text.trim().split("\n").map((line) => line.split(" ").map(Number)).reduce((sum, [bytes = 0, time = 1]) => sum + (bytes * 8) / time / 1e9, 0);
}

/** Lateness in µs, and by how much round trips exceed what is stated, ms. */
async function error(lab: LocalLab, count: number): Promise<{ p50Us: number; p99Us: number; excessMs: number }> {
  await lab.status();
  const text = await on(lab, "b", `ping -i 0.005 -c ${count} 2001:db8:1::10`);
  const { emulator } = await lab.status();
  const times = [...text.matchAll(/time=([\d.]+)/g)].map((match) => Number(match[1])).sort((x, y) => x - y);
  return { p50Us: emulator?.lateness.p50Us ?? 0, p99Us: emulator?.lateness.p99Us ?? 0, excessMs: (times[times.length >> 1] ?? 0) - 2 * statedMs };
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((x, y) => x - y);
  return ((sorted[(sorted.length - 1) >> 1] as number) + (sorted[sorted.length >> 1] as number)) / 2;
}

const rounded = (value: number): number => Number(value.toPrecision(3));

async function measureThroughput(lab: LocalLab) {
  const samples: Record<string, number[]> = {};
  const add = (key: string, value: number) => (samples[key] ??= []).push(value);
  for (let round = 0; round < rounds; round++) {
    for (const flows of [1, 4]) {
      add(`plain ${flows}`, await goodput(lab, "a", "sudo nsenter --net=/run/netns/plain", "2001:db8:99::1", flows));
      add(`emulated ${flows}`, await goodput(lab, "b", "", "2001:db8:1::10", flows));
    }
    if (!values.json) process.stderr.write(`round ${round + 1} of ${rounds}\n`);
  }
  const of = (key: string) => samples[key] as number[];
  const ratio = (flows: number) => rounded(median(of(`emulated ${flows}`).map((value, i) => value / (of(`plain ${flows}`)[i] as number))));
  const figures = Object.fromEntries(Object.keys(samples).map((key) => [`${key} flow${key.endsWith("1") ? "" : "s"} Gbit/s`, rounded(median(of(key)))]));
  return { ratios: { "1 flow": ratio(1), "4 flows": ratio(4) }, figures };
}

async function measureError(lab: LocalLab) {
  await lab.linkSet([{ link: { from: "s", to: "t" }, bothWays: true, change: { delayMs: statedMs } }]);
  const idle = await error(lab, 400);
  await lab.linkSet([{ link: { from: "s", to: "t" }, bothWays: true, change: { rate: 100e6 } }]);
  const [loaded] = await Promise.all([error(lab, 400), on(lab, "b", `curl -s -o /dev/null --max-time 4 http://[2001:db8:1::10]:8080/f || true`)]);
  return {
    "lateness idle p50 µs": idle.p50Us,
    "lateness idle p99 µs": idle.p99Us,
    [`round trip beyond ${2 * statedMs} ms, idle, median ms`]: rounded(idle.excessMs),
    "lateness beside 100 Mbit/s p50 µs": loaded.p50Us,
    "lateness beside 100 Mbit/s p99 µs": loaded.p99Us,
  };
}

/** Echo requests and replies a second through the emulator when they come as fast as they can. */
async function smallPackets(lab: LocalLab): Promise<number> {
  const count = 30_000;
  const text = await on(lab, "b", `sudo ping -q -f -l 100 -s 16 -c ${count} -W 1 2001:db8:1::10 || true`);
  const [, received = "0"] = /(\d+) received/.exec(text) ?? [];
  const [, ms = "1"] = /time (\d+)ms/.exec(text) ?? [];
  return (2 * Number(received)) / (Number(ms) / 1000);
}

const state = mkdtempSync(join(tmpdir(), "linkemu-"));
process.env["XDG_STATE_HOME"] = state;
try {
  const lab = await labUp(plan, { attached: true });
  try {
    await prepare(lab);
    const { ratios, figures } = await measureThroughput(lab);
    const packets = await smallPackets(lab);
    const errors = await measureError(lab);
    const environment = { kernel: release(), cpus: cpus().length, cpu: cpus()[0]?.model ?? "unknown", node: process.version, rounds, seconds, rootless: lab.rootless, load: rounded(loadavg()[0] as number) };
    const result = { name: "linkemu", ratios, figures: { ...figures, "small packets a second, both ways": rounded(packets), ...errors }, environment };
    process.stdout.write(`${JSON.stringify(result, null, values.json ? undefined : 2)}\n`);
  } finally {
    await lab.down();
  }
} finally {
  rmSync(state, { recursive: true, force: true });
}
