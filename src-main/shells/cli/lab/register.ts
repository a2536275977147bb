import type { Command } from "commander";

/** Wraps a command's body: its result is the exit code, and what it throws is told with its remedy. */
type Act = <A extends unknown[]>(body: (...args: A) => Promise<number>) => (...args: A) => Promise<void>;

/** The `lab …` commands. Each loads its code only when it is called, so that the others start quickly. */
export function addLabCommands(program: Command, act: Act): void {
  const lab = program.command("lab").enablePositionalOptions().description("local labs, and fleets of SSH hosts (--fleet FILE)");
  const command = (name: string, description: string): Command => common(lab.command(name).description(description));
  const about = (name: string, description: string): Command => command(name, description).option("--lab <name>", "which lab, where several are up").option("--fleet <file>", "a fleet file instead of a lab");

  command("up [file]", "bring a lab up from its file or a shipped lab by name (default: quickstart), with an agent on each host")
    .option("--name <name>", "the lab's name (default: as in the file)")
    .option("--fleet <file>", "deploy agents to the hosts of a fleet file instead")
    .option("--rootless", "use a user namespace even as root")
    .option("--no-agents", "hosts only")
    .option("--data-plane <kind>", "auto, kernel, ebpf or userspace", "auto")
    .option("--metrics <where>", "a Prometheus endpoint at each agent: PORT on its loopback address, or [ADDRESS]:PORT")
    .action(act(async (file: string | undefined, options) => (await import("./up.ts")).upCommand(file, options)));
  about("status", "hosts, agents, clocks and links")
    .option("--links", "every link, not only paths and what was changed")
    .action(act(async (options) => (await import("./status.ts")).statusCommand(options)));
  about("inspect [host...]", "the whole state of agents, as JSON").action(act(async (hosts: string[], options) => (await import("./inspect.ts")).inspectCommand(hosts, options)));
  about("metrics <host>", "an agent's counters in Prometheus text format, read over SSH").action(act(async (host: string, options) => (await import("./metrics.ts")).metricsCommand(host, options)));
  about("preflight [host...]", "what stands in the way of an agent, with remedies; changes nothing")
    .option("--all", "also what is fine")
    .action(act(async (hosts: string[], options) => (await import("./preflight.ts")).preflightCommand(hosts, options)));
  about("exec <host> <command...>", "run a command on a host: one word is a shell command line, several are a program and its arguments")
    .option("-t, --tty", "give it a terminal")
    .passThroughOptions()
    .action(act(async (host: string, words: string[], options) => (await import("./exec.ts")).execCommand(host, words, options)));
  about("shell <host>", "a login shell on a host").action(act(async (host: string, options) => (await import("./exec.ts")).shellCommand(host, options)));
  about("logs <host>", "an agent's log")
    .option("-f, --follow", "and what comes")
    .option("-n, --lines <count>", "how many lines back", "200")
    .action(act(async (host: string, options) => (await import("./exec.ts")).logsCommand(host, options)));
  about("capture <host...>", "packets of hosts as pcapng, one interface per host; for example: … | wireshark -k -i -")
    .option("-w, --write <file>", "into a file instead of standard output")
    .option("--snaplen <bytes>", "keep so many bytes of each packet", "256")
    .option("--filter <which>", "all, or signalling-and-tcp", "all")
    .action(act(async (hosts: string[], options) => (await import("./capture.ts")).captureCommand(hosts, options)));
  command("down [name]", "take a lab down with everything in it; with --fleet, stop the agents and remove what was deployed")
    .option("--all", "every lab of this user")
    .option("--fleet <file>", "a fleet file instead of a lab")
    .action(act(async (name: string | undefined, options) => (await import("./down.ts")).downCommand(name, options)));

  const image = lab.command("image").description("the image that virtual machines of labs run (testbed vm)");
  common(image.command("build").description("make it from Debian packages, once; nothing is installed on this machine"))
    .option("--force", "make it anew even if it has the newest packages")
    .option("--probe-kvm", "try whether hardware virtualisation works here, and remember it; otherwise machines are emulated, slower")
    .action(act(async (options) => (await import("./image.ts")).imageBuildCommand(options)));
  common(image.command("list").description("images in the cache")).action(act(async (options) => (await import("./image.ts")).imageListCommand(options)));
  common(image.command("clear").description("remove images that this version does not use"))
    .option("--all", "remove them all")
    .action(act(async (options) => (await import("./image.ts")).imageClearCommand(options)));

  const link = lab.command("link").description("change the links of a lab");
  common(link.command("set <a> <b>").description("between two hosts or two sites, or a host and '*' for its access link; both directions"))
    .option("--lab <name>", "which lab, where several are up")
    .option("--delay <time>", "one-way, such as 20ms")
    .option("--jitter <time>", "added delay between 0 and this")
    .option("--loss <share>", "such as 1%")
    .option("--rate <rate>", "such as 100mbit, or none")
    .option("--down", "lets nothing through")
    .option("--up", "lets packets through again")
    .option("--one-way", "from a to b only")
    .action(act(async (a: string, b: string, options) => (await import("./link.ts")).linkSetCommand(a, b, options)));
  common(link.command("reset").description("all links as the lab file says"))
    .option("--lab <name>", "which lab, where several are up")
    .action(act(async (options) => (await import("./link.ts")).linkResetCommand(options)));
}

function common(command: Command): Command {
  return command.option("--json", "machine-readable output").option("--debug", "show where an error comes from");
}
