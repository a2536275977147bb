import { execFile, spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { labDownAll } from "../../src-main/testbeds/local/labs.ts";
import type { LocalLab } from "../../src-main/testbeds/local/localLab.ts";

const execute = promisify(execFile);

/** Why labs cannot be tried here, or undefined. */
export function whyNoLab(): string | undefined {
  if (process.platform !== "linux") return "local labs need Linux";
  if (process.getuid?.() !== 0) return "these tests make labs as root";
  return undefined;
}

/** A state folder of the test's own, so that no lab of a person is touched; everything in it is taken down and removed at the end. */
export class LabSandbox {
  readonly folder = mkdtempSync(join(tmpdir(), "lab-"));
  readonly #before = process.env["XDG_STATE_HOME"];

  constructor() {
    process.env["XDG_STATE_HOME"] = this.folder;
  }

  file(name: string, text: string): string {
    const path = join(this.folder, name);
    writeFileSync(path, text);
    return path;
  }

  async close(): Promise<void> {
    await labDownAll();
    if (this.#before === undefined) delete process.env["XDG_STATE_HOME"];
    else process.env["XDG_STATE_HOME"] = this.#before;
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export interface Output {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command on a host through the system's own ssh and the lab's ssh_config. */
export async function onHost(lab: LocalLab, host: string, command: string): Promise<Output> {
  return execute("ssh", ["-F", lab.folder.sshConfig, "-o", "BatchMode=yes", host, command], { maxBuffer: 1 << 24 }).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    (error: { code?: number; stdout?: string; stderr?: string }) => ({ code: error.code ?? -1, stdout: error.stdout ?? "", stderr: error.stderr ?? "" }),
  );
}

export interface Ping {
  readonly sent: number;
  readonly received: number;
  readonly minMs: number;
  readonly medianMs: number;
}

/** Pings from one host to another, `gapMs` apart (2 at least). */
export async function ping(lab: LocalLab, from: string, to: string, count: number, gapMs = 20): Promise<Ping> {
  const { stdout } = await onHost(lab, from, `ping -c ${count} -i ${gapMs / 1000} -W 2 ${to}`);
  const times = [...stdout.matchAll(/time=([\d.]+) ms/g)].map((match) => Number(match[1])).sort((a, b) => a - b);
  return { sent: count, received: times.length, minMs: times[0] ?? Infinity, medianMs: times[times.length >> 1] ?? Infinity };
}

interface ProcessMark {
  readonly pid: number;
  readonly startTime: string;
}

function readStat(pid: number): { readonly parent: number; readonly startTime: string } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? undefined : { parent: Number(fields[1]), startTime: fields[19] as string };
  } catch {
    return undefined;
  }
}

/** A process and all below it, as they are now. */
export function processTree(root: number): ProcessMark[] {
  const all = readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number).flatMap((pid) => {
    const stat = readStat(pid);
    return stat ? [{ pid, ...stat }] : [];
  });
  const found: ProcessMark[] = [];
  for (let level = [root]; level.length > 0; level = all.filter((p) => level.includes(p.parent)).map((p) => p.pid))
    found.push(...all.filter((p) => level.includes(p.pid)).map(({ pid, startTime }) => ({ pid, startTime })));
  return found;
}

/** Command lines of a process and all below it; those that end meanwhile are left out. */
export function commandLines(root: number): string[] {
  return processTree(root).flatMap(({ pid }) => {
    try {
      return [readFileSync(`/proc/${pid}/cmdline`, "latin1")];
    } catch {
      return [];
    }
  });
}

/** Those of `marks` that still live after at most `withinMs`. */
export async function survivors(marks: readonly ProcessMark[], withinMs = 10_000): Promise<ProcessMark[]> {
  const alive = () => marks.filter(({ pid, startTime }) => readStat(pid)?.startTime === startTime);
  for (const end = performance.now() + withinMs; performance.now() < end && alive().length > 0; ) await sleep(20);
  return alive();
}

/** What the machine's own network looks like: links, addresses, rules, listeners, named namespaces. */
export async function machineNetwork(): Promise<string> {
  const outputs = await Promise.all([execute("ip", ["-o", "addr"]), execute("ip", ["-6", "route"]), execute("ip", ["rule"])]);
  return outputs.map(({ stdout }) => stdout.replaceAll(/(valid_lft|preferred_lft|expires) \S+/g, "")).join("\n");
}

export function ownerOf(lab: LocalLab): number {
  return (JSON.parse(readFileSync(lab.folder.owner, "utf8")) as { pid: number }).pid;
}

const runner = resolve(import.meta.dirname, "labRunner.ts");

export interface RunnerResult {
  readonly ok: boolean;
  readonly code?: string;
  readonly message?: string;
  readonly remedy?: string;
  readonly rootless?: boolean;
}

/** A manager in a process of its own. `wrap` is what it is started with, such as `unshare …`. */
export function startRunner(args: readonly string[], wrap: readonly string[] = [], env: NodeJS.ProcessEnv = process.env): ChildProcess {
  const [program, ...rest] = [...wrap, process.execPath, runner, ...args] as [string, ...string[]];
  return spawn(program, rest, { stdio: ["ignore", "pipe", "inherit"], env });
}

/** The same, run to its end. */
export async function runRunner(args: readonly string[], wrap: readonly string[] = [], env?: NodeJS.ProcessEnv): Promise<RunnerResult> {
  const child = startRunner(args, wrap, env);
  let text = "";
  child.stdout?.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  await new Promise((resolve) => child.once("close", resolve));
  const last = text.trim().split("\n").at(-1) ?? "";
  if (!last.startsWith("{")) throw new Error(`the runner said: ${text}`);
  return JSON.parse(last) as RunnerResult;
}

