import { Problem } from "../../problem.ts";
import { run } from "./run.ts";

/** Runs a program that has to succeed while a lab is set up. Throws Problem `lab.setUp` or `lab.diskFull` with what it said. */
export async function must(program: string, args: readonly string[], input = ""): Promise<void> {
  const { code, stderr } = await run(program, args, { input });
  if (code === 0) return;
  const evidence = stderr.trim().slice(-2000);
  if (/No space left on device/.test(evidence)) throw new Problem({ code: "lab.diskFull", what: "no space left for the lab's files", remedy: "Free space, or set XDG_STATE_HOME to another disk.", evidence });
  throw new Problem({ code: "lab.setUp", what: `${program} failed while the lab was set up`, remedy: code === 127 ? `Install ${program}.` : "The lines below say why; `anycast-lab doctor` checks what a lab needs.", evidence });
}

/** Runs `ip -batch` with these commands; `options` stand before it. */
export async function ipBatch(options: readonly string[], commands: string): Promise<void> {
  await must("ip", [...options, "-batch", "-"], commands);
}

export async function makeKey(path: string, comment: string): Promise<void> {
  await must("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path]);
}
