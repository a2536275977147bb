import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { accessSync, constants } from "node:fs";
import { release, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { spawn } from "node:child_process";
import { z } from "zod";
import { systemEnvironment } from "../local/run.ts";
import { imagesFolder, type Image } from "./image.ts";
import { findQemu, probeArguments } from "./qemu.ts";

/** `tcg`: QEMU emulates the processor, everywhere, slower. `kvm`: the hardware runs it. */
export type Accelerator = "tcg" | "kvm";

/** What came of trying KVM: it can be there and hang all the same, as in some virtual machines, so nothing but a boot proves it. */
export interface KvmProbe {
  readonly works: boolean;
  readonly seconds: number;
  readonly reason: string;
}

/** How long a machine may take to say its first word under KVM, where it takes one second. */
const probeLimitMs = 20_000;
const remembered = z.object({ kernel: z.string(), works: z.boolean() });
const memoryFile = () => join(imagesFolder(), ".kvm.json");

/** KVM where a probe on this kernel booted; otherwise, and where it may not be opened, TCG. */
export async function chosenAccelerator(): Promise<Accelerator> {
  try {
    const { kernel, works } = remembered.parse(JSON.parse(await readFile(memoryFile(), "utf8")));
    return works && kernel === release() && mayOpenKvm() ? "kvm" : "tcg";
  } catch {
    return "tcg";
  }
}

/** Boots the image's kernel once under KVM, for 20 s at most, and remembers whether it came up. Throws Problem `vm.noQemu`. */
export async function probeKvm(image: Image): Promise<KvmProbe> {
  const qemu = findQemu();
  const probe = mayOpenKvm() ? await boot(qemu, image) : { works: false, seconds: 0, reason: "/dev/kvm is not there, or not ours to open" };
  await writeFile(memoryFile(), JSON.stringify({ kernel: release(), works: probe.works }));
  return probe;
}

function mayOpenKvm(): boolean {
  try {
    accessSync("/dev/kvm", constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

async function boot(qemu: string, image: Image): Promise<KvmProbe> {
  const folder = await mkdtemp(join(tmpdir(), "kvm-probe-"));
  const startedAt = performance.now();
  const child = spawn(qemu, probeArguments(image, join(folder, "console")), { stdio: "ignore", env: systemEnvironment });
  let ended: string | undefined;
  child.once("error", (error) => (ended = error.message));
  child.once("exit", (code, signal) => (ended = `QEMU ended (${signal ?? `exit code ${code}`})`));
  try {
    while (performance.now() - startedAt < probeLimitMs) {
      const said = await readFile(join(folder, "console"), "utf8").catch(() => "");
      // Without a third disk the machine's first program says so: it ran.
      if (said.includes("no lab for this machine")) return { works: true, seconds: (performance.now() - startedAt) / 1000, reason: "" };
      if (ended !== undefined) return { works: false, seconds: (performance.now() - startedAt) / 1000, reason: ended };
      await sleep(50);
    }
    return { works: false, seconds: probeLimitMs / 1000, reason: `nothing came up within ${probeLimitMs / 1000} s` };
  } finally {
    child.kill("SIGKILL");
    await rm(folder, { recursive: true, force: true });
  }
}
