import { readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import type { PlannedMachine } from "../../../src-shared/api/labPlan.ts";
import { exitCodes, Problem } from "../../problem.ts";
import { chosenAccelerator, type Accelerator } from "./accelerator.ts";
import { currentImage } from "./image.ts";
import { findQemu } from "./qemu.ts";

/** What a lab's virtual machines run on, found before anything of the lab is made. */
export interface MachineSupport {
  readonly qemu: string;
  readonly image: { readonly path: string; readonly kernel: string };
  readonly accelerator: Accelerator;
}

const mebibyte = 1 << 20;
/** The kernel with sshd; and per host an agent, a capture, a workload and a file server with their pages. */
const baseMemory = 384 * mebibyte;
const hostMemory = 224 * mebibyte;

export const memoryOf = (machine: PlannedMachine) => machine.memoryBytes ?? baseMemory + machine.hosts.length * hostMemory;
export const cpusOf = (machine: PlannedMachine) => machine.cpus ?? Math.min(2, availableParallelism());

/** How long a machine may take to boot: some 7 s emulated on an idle machine, much longer on a busy one. */
export const bootTimeoutOf = (machine: PlannedMachine) => machine.bootTimeoutMs ?? 120_000;

/** Throws Problem `vm.noQemu`, `vm.noImage` or `vm.memory` with what to do. */
export async function machineSupport(machines: readonly PlannedMachine[]): Promise<MachineSupport> {
  const qemu = findQemu();
  const image = await currentImage();
  await requireMemory(machines);
  return { qemu, image: { path: image.path, kernel: image.record.kernel }, accelerator: await chosenAccelerator() };
}

async function requireMemory(machines: readonly PlannedMachine[]): Promise<void> {
  const wanted = machines.reduce((sum, machine) => sum + memoryOf(machine), 0);
  const available = Number(/^MemAvailable:\s+(\d+) kB$/m.exec(await readFile("/proc/meminfo", "utf8"))?.[1] ?? Number.POSITIVE_INFINITY) * 1024;
  if (wanted <= available) return;
  const words = machines.map((machine) => `${machine.name} ${Math.round(memoryOf(machine) / mebibyte)} MiB`).join(", ");
  throw new Problem({ code: "vm.memory", what: `the virtual machines want ${Math.round(wanted / mebibyte)} MiB of memory (${words}), ${Math.round(available / mebibyte)} MiB are free`, remedy: "Say less in the lab file (`vms: { NAME: { memory: 512 MiB } }`), use fewer hosts, or free some memory.", exitCode: exitCodes.environment });
}
