import { randomInt } from "node:crypto";
import { accessSync, closeSync, constants, openSync } from "node:fs";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { createInterface } from "node:readline";
import { resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { ChildProcess } from "node:child_process";
import type { LabPlan } from "../../../src-shared/api/labPlan.ts";
import { exitCodes, Problem } from "../../problem.ts";
import { isAlive } from "../../process-mark.ts";
import { readLab } from "../labFile.ts";
import { machineSupport } from "../vm/support.ts";
import { askSupervisor, notRunning, type StartMessage } from "./control.ts";
import { asLabProblem, LabFolder, labsFolder } from "./folders.ts";
import { LocalLab, sshConfigText } from "./localLab.ts";
import type { LabRecord } from "./labRecord.ts";
import { runMapped, startInNamespaces } from "./namespaces.ts";
import { labState, readOwner, writeOwner } from "./ownership.ts";
import { ensurePackages } from "./packages.ts";

/** How a lab is brought up. */
export interface LabUpOptions {
  /** In place of the name in the file; several labs of one file run side by side under different names. */
  readonly name?: string;
  /** In a user namespace even as root. Ordinary users have no other way. */
  readonly rootless?: boolean;
  /** Seed of loss and jitter; a random one otherwise. */
  readonly seed?: number;
  /** The lab ends with this process, however that ends; otherwise it runs on until it is taken down. */
  readonly attached?: boolean;
  readonly progress?: (what: string) => void;
}

/** What a list of labs shows. */
export interface LabListing {
  readonly name: string;
  readonly state: "up" | "starting" | "dead";
  readonly hosts: number;
  readonly since: number | undefined;
}

const supervisorProgram = resolve(import.meta.dirname, "supervisor.ts");

/**
 * Brings a lab up from its file (a path) or plan. It runs on when this process ends, unless `attached`. Throws a Problem (`lab.nameInUse`, `lab.invalid`,
 * `lab.noUserNamespaces`, `lab.packages`, `lab.diskFull`, `vm.noImage`, `vm.noQemu`, …); nothing is left behind then.
 */
export async function labUp(source: string | LabPlan, options: LabUpOptions = {}): Promise<LocalLab> {
  requireLinux();
  const read = typeof source === "string" ? await readLab(source) : source;
  const plan = { ...read, name: options.name ?? read.name };
  const progress = options.progress ?? (() => {});
  const folder = new LabFolder(plan.name);
  folder.checkLength();
  const machines = plan.machines.length > 0 ? await machineSupport(plan.machines) : undefined;
  await claim(folder);
  try {
    const packages = await ensurePackages(progress);
    const rootless = options.rootless ?? process.getuid?.() !== 0;
    const record: LabRecord = { version: 1, plan, rootless, packages, machines, startedAt: Date.now(), seed: options.seed ?? randomInt(2 ** 31) };
    await writeFile(folder.record, JSON.stringify(record), { mode: 0o600 });
    await writeFile(folder.sshConfig, sshConfigText(folder, plan), { mode: 0o600 });
    if (rootless) noteTun(progress);
    await startSupervisor(folder, record, { progress, attached: options.attached ?? false });
    return await openLab(plan.name);
  } catch (error) {
    await removeFiles(folder);
    throw asLabProblem(error);
  }
}

/** A lab that runs. Throws Problem `lab.notRunning`. */
export async function openLab(name: string): Promise<LocalLab> {
  const folder = new LabFolder(name);
  const record = await readRecord(folder);
  if (!record || (await labState(folder)) !== "up") throw notRunning(folder);
  const password = await readFile(folder.password, "utf8").catch(() => undefined);
  return new LocalLab(folder, record, { password, down: () => labDown(name) });
}

/** All labs of this user, dead ones included. */
export async function listLabs(): Promise<LabListing[]> {
  const names = await readdir(labsFolder()).catch(() => []);
  return Promise.all(
    names.map(async (name) => {
      const folder = new LabFolder(name);
      const record = await readRecord(folder);
      return { name, state: await labState(folder), hosts: record?.plan.hosts.length ?? 0, since: record?.startedAt };
    }),
  );
}

/** Takes a lab down and removes its files, whatever state it is in. Does nothing where there is none. */
export async function labDown(name: string): Promise<void> {
  const folder = new LabFolder(name);
  const owner = await readOwner(folder);
  if ((await labState(folder)) === "up") await askSupervisor(folder, { op: "down" }).catch(() => {});
  await ended(folder, owner);
  await removeFiles(folder);
}

/** Takes all labs of this user down; the names of those that were there. */
export async function labDownAll(): Promise<string[]> {
  const names = (await listLabs()).map((lab) => lab.name);
  await Promise.all(names.map((name) => labDown(name)));
  return names;
}

function requireLinux(): void {
  if (process.platform === "linux") return;
  throw new Problem({ code: "lab.needsLinux", what: "a local lab needs Linux", remedy: "Use remote hosts (a fleet file) instead, or run this on Linux.", exitCode: exitCodes.environment });
}

/** A user namespace cannot make device nodes, so hosts have /dev/net/tun only as the machine has it. */
function noteTun(progress: (what: string) => void): void {
  try {
    accessSync("/dev/net/tun", constants.R_OK | constants.W_OK);
  } catch {
    progress("note: ordinary users may not open /dev/net/tun here, so the userspace data plane cannot have a TUN device (sudo modprobe tun && sudo chmod 0666 /dev/net/tun)");
  }
}

/** Makes the lab's folder ours; a dead lab of that name is cleared away first. */
async function claim(folder: LabFolder): Promise<void> {
  await mkdir(labsFolder(), { recursive: true, mode: 0o700 });
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      await mkdir(folder.path, { mode: 0o700 });
      await writeOwner(folder, process.pid);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw asLabProblem(error);
    }
    if ((await labState(folder)) !== "dead") break;
    await removeFiles(folder);
  }
  throw new Problem({ code: "lab.nameInUse", what: `a lab named ${folder.name} is up already`, remedy: "Take it down first (`lab down`), or give this one another name (--name).", details: { lab: folder.name } });
}

async function startSupervisor(folder: LabFolder, record: LabRecord, options: { readonly progress: (what: string) => void; readonly attached: boolean }): Promise<void> {
  const log = openSync(folder.log, "a", 0o600);
  let child: ChildProcess;
  try {
    child = await startInNamespaces({ command: [process.execPath, supervisorProgram, folder.name, folder.path], rootless: record.rootless, log });
  } finally {
    closeSync(log);
  }
  try {
    await writeOwner(folder, child.pid as number);
    await untilReady(child, folder, options.progress);
    if (options.attached) (child.stdin as Socket).unref(); // it closes when we end, and with it the lab
    else child.stdin?.end("keep\n");
    child.stdout?.destroy();
    child.unref();
  } catch (error) {
    child.kill("SIGKILL");
    await ended(folder, await readOwner(folder));
    throw error;
  }
}

function untilReady(child: ChildProcess, folder: LabFolder, progress: (what: string) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const died = async () => {
      const evidence = (await readFile(folder.log, "utf8").catch(() => "")).trim().slice(-2000);
      reject(new Problem({ code: "lab.supervisorDied", what: `the lab's supervisor ended while it started`, remedy: "The lines below say why; `anycast-lab doctor` checks what a lab needs.", evidence }));
    };
    child.once("close", died);
    child.stdin?.on("error", () => {}); // told by `close`
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).on("line", (line) => {
      if (!line.startsWith("{")) return;
      const message = JSON.parse(line) as StartMessage;
      if ("progress" in message) return progress(message.progress);
      child.off("close", died);
      if ("failed" in message) reject(new Problem(message.failed));
      else resolve();
    });
  });
}

/** Waits until the lab's processes are gone; ends them when they do not by themselves. */
async function ended(folder: LabFolder, owner: Awaited<ReturnType<typeof readOwner>>): Promise<void> {
  if (!owner || owner.pid === process.pid) return;
  for (let waited = 0; await isAlive(owner); waited += 10) {
    if (waited === 2000) process.kill(owner.pid, "SIGKILL");
    if (waited > 10_000) throw new Problem({ code: "lab.stuck", what: `the processes of the lab ${folder.name} do not end (process ${owner.pid})`, remedy: "Wait a moment and try again; a process may be stuck in the kernel." });
    await sleep(10);
  }
}

async function readRecord(folder: LabFolder): Promise<LabRecord | undefined> {
  try {
    return JSON.parse(await readFile(folder.record, "utf8")) as LabRecord;
  } catch {
    return undefined;
  }
}

/** Removes a lab's files; those of a rootless lab's users need its id mapping. */
async function removeFiles(folder: LabFolder): Promise<void> {
  try {
    await rm(folder.path, { recursive: true, force: true, maxRetries: 3 });
  } catch (error) {
    if (!["EACCES", "EPERM", "ENOTEMPTY"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
    await runMapped("rm", ["-rf", "--", folder.path]);
    await rm(folder.path, { recursive: true, force: true });
  }
}
