import { Command } from "commander";
import { exitCodes } from "../../problem.ts";
import { addLabCommands } from "./lab/register.ts";
import { fail, type CommonOptions } from "./output.ts";

const program = new Command("anycast-lab")
  .description("Build, break and measure Mobile IPv6 anycast groups on real hosts")
  .showHelpAfterError("(see `npm start -- help`)")
  .enablePositionalOptions()
  .exitOverride();

/** Runs a command's body; its result is the process's exit code, and what it throws is told with its remedy. */
function act<A extends unknown[]>(body: (...args: A) => Promise<number>): (...args: A) => Promise<void> {
  return async (...args) => {
    const options = (args.findLast((a) => a && typeof a === "object" && a.constructor === Object) ?? {}) as CommonOptions;
    process.exitCode = await body(...args).catch((error: unknown) => fail(error, options));
  };
}

function command(name: string, description: string): Command {
  return program.command(name).description(description).option("--json", "machine-readable output").option("--debug", "show where an error comes from");
}

command("run <file>", "run a scenario file, or a shipped scenario by name: lab, agents, clients, handovers, report")
  .option("--out <dir>", "the run folder (default: a dated one below runs/)")
  .option("--data-plane <kind>", "auto, kernel, ebpf or userspace", "auto")
  .option("--rootless", "use a user namespace even as root")
  .option("--keep", "leave the lab up afterwards")
  .option("--lab <file>", "run it on another lab with hosts of the same names: a lab file, or a shipped lab by name")
  .option("--bytes <share>", "share of the stated sizes of files and uploads, such as 10%, for slow machines")
  .option("--period <time>", "period of echoes instead of the stated one, such as 50ms, for slow machines")
  .option("--no-capture", "run without packet captures")
  .action(act(async (file: string, options) => (await import("./run.ts")).runCommand(file, options)));

command("report <run>", "write a run's report anew, or verify its figures")
  .option("--verify", "recompute the figures from the captures and the clients' own logs alone")
  .option("--all", "with --verify: show figures that agree, too")
  .action(act(async (run: string, options) => (await import("./report.ts")).reportCommand(run, options)));

addLabCommands(program, act);

command("serve", "serve the window to browsers of this machine; without any command, open it")
  .option("--port <port>", "TCP port on the loopback address (default: a free one)")
  .action(act(async (options) => (await import("./serve.ts")).serveCommand(options)));

command("bench [name] [words...]", "run a benchmark; without a name, list them")
  .passThroughOptions()
  .action(act(async (name: string | undefined, words: string[], options) => (await import("./bench.ts")).benchCommand(name, words, options)));

command("doctor", "what this machine has for labs and fleets, with remedies").action(act(async (options) => (await import("./doctor.ts")).doctorCommand(options)));

try {
  if (process.argv.length === 2) await act(async () => (await import("./open.ts")).openCommand())();
  else await program.parseAsync();
} catch (error) {
  // commander has said what was wrong with the arguments.
  const { exitCode } = error as { exitCode?: number };
  process.exitCode = exitCode === 0 ? exitCodes.ok : exitCodes.usage;
}
process.exit(process.exitCode ?? exitCodes.ok);
