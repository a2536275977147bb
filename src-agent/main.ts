import { randomBytes } from "node:crypto";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { setFlagsFromString } from "node:v8";
import { defaults } from "../src-shared/api/control.ts";
import { parseAddress } from "../src-shared/net/address.ts";
import { effectiveCapabilities, requireCapabilities } from "./capabilities.ts";
import { captureCommand } from "./capture/command.ts";
import { keepLogBounded } from "./control/log-file.ts";
import { EventOutbox } from "./control/outbox.ts";
import { ControlServer } from "./control/server.ts";
import { controlStdio } from "./control/stdio.ts";
import { chooseDataPlane, type DataPlanePreference } from "./dataplane/choose.ts";
import { PacketDatagramWatch } from "./dataplane/datagramWatch.ts";
import { LinuxSignalling } from "./dataplane/signalling.ts";
import { cleanUp } from "./dataplane/steering.ts";
import { Engine } from "./engine.ts";
import { FileHomeStore } from "./homeAgent/fileStore.ts";
import { keepWindow } from "./linux/keepWindow.ts";
import { LinuxHomeLinks } from "./linux/homeLinks.ts";
import { MetricsEndpoint, parseMetricsAddress } from "./metrics/endpoint.ts";
import type { Clock } from "./ports.ts";
import { rehearse } from "./rehearsal.ts";
import type { Log } from "./services/adapterProcess.ts";
import { setSysctl } from "./linux/sysctl.ts";
import { AdapterServices } from "./services/provider.ts";
import { version } from "./version.ts";
import { workloadCommand } from "./workload/command.ts";

const usage = `usage: agent run --dir DIR --host NAME --interface IF --address ADDRESS [--data-plane auto|kernel|ebpf|userspace] [--metrics PORT|[ADDRESS]:PORT]
       agent control-stdio --dir DIR
       agent capture --interface IF [--snaplen BYTES] …
       agent workload echo …
       agent clean --dir DIR
       agent version`;

/** What a rehearsal may take of an agent's start; some tenths of a second do, but for an emulated processor. */
const rehearsalMs = 1_000;

/** Monotonic time is that of the host's CLOCK_MONOTONIC, its time namespace included. */
const clock: Clock = {
  mono: () => Number(process.hrtime.bigint()) / 1e6,
  wall: () => performance.timeOrigin + performance.now(),
};

// A handoff's code runs once in a while, so the engine would interpret it, and throw it away in between: compiled at first use and kept, it takes half the time.
setFlagsFromString("--always-sparkplug");
setFlagsFromString("--no-flush-bytecode");

async function main([command, ...rest]: readonly string[]): Promise<number> {
  switch (command) {
    case "run":
      return run(rest);
    case "control-stdio":
      return controlStdio(join(directoryOf(rest), defaults.controlSocket));
    case "capture":
      return captureCommand(rest);
    case "workload":
      return workloadCommand(rest);
    case "clean":
      return clean(directoryOf(rest));
    case "version":
      process.stdout.write(`${version}\n`);
      return 0;
    default:
      process.stderr.write(`${usage}\n`);
      return 2;
  }
}

function directoryOf(args: readonly string[]): string {
  const { values } = parseArgs({ args: [...args], options: { dir: { type: "string" } } });
  if (!values.dir) throw new Error("--dir is missing");
  return values.dir;
}

/** Removes what a killed agent left on this host: its data plane's traces and its run directory's sockets. */
function clean(directory: string): number {
  cleanUp();
  for (const name of [defaults.controlSocket, "agent.pid"]) rmSync(join(directory, name), { force: true });
  return 0;
}

/** Runs until told to stop; resolves with the exit code. */
async function run(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: { dir: { type: "string" }, host: { type: "string" }, interface: { type: "string" }, address: { type: "string" }, "data-plane": { type: "string", default: "auto" }, metrics: { type: "string" } },
  });
  const { dir, host, address } = values;
  if (!dir || !host || !address || !values.interface) throw new Error(`--dir, --host, --interface and --address are all needed\n${usage}`);
  const metricsAt = values.metrics === undefined ? null : parseMetricsAddress(values.metrics);
  const capabilities = effectiveCapabilities();
  requireCapabilities(capabilities);
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const own = parseAddress(address);
  const device = values.interface;
  const undo: (() => unknown)[] = [];
  try {
    const { plane, reason } = chooseDataPlane(values["data-plane"] as DataPlanePreference, { device: values.interface, address: own });
    undo.push(() => plane.close());
    undo.push(setSysctl("net.ipv4.tcp_slow_start_after_idle", "0")); // links between members stay ready for a client's state
    const signalling = new LinuxSignalling(values.interface);
    undo.push(() => signalling.close());
    let control: ControlServer | null = null;
    let finish: (code: number) => void = () => {};
    const finished = new Promise<number>((resolve) => (finish = resolve));
    let engine: Engine | null = null;
    const log: Log = (level, text) => engine?.tell({ type: "log", level, text: text.slice(0, 4000) });
    const services = new AdapterServices({ directory: dir, adapter: adapterProgram(), clock, log });
    const outbox = new EventOutbox((events) => {
      process.stdout.write(events.flatMap(({ wall, body }) => (body.type === "message" ? [] : [`${new Date(wall).toISOString()} ${JSON.stringify(body)}\n`])).join(""));
      control?.emit(...events);
    });
    undo.push(() => outbox.flush());
    engine = new Engine({
      host,
      address: own,
      interface: values.interface,
      version,
      capabilities,
      plane,
      planeReason: reason,
      signalling,
      services,
      homeLinks: new LinuxHomeLinks(values.interface),
      homeStore: new FileHomeStore(dir),
      keepWindow,
      watchDatagrams: (home, handler) => new PacketDatagramWatch(device, home, handler),
      clock,
      random: (length) => new Uint8Array(randomBytes(length)),
      emit: (event) => outbox.put(event),
      exit: () => finish(0),
    });
    undo.push(() => engine?.stop("the agent ends"));
    const rehearsed = clock.mono() + rehearsalMs;
    rehearse(60, () => clock.mono() > rehearsed);
    control = new ControlServer({ path: join(dir, defaults.controlSocket), handlers: engine.handlers, beforeReply: () => outbox.flush() });
    undo.push(() => {
      outbox.flush();
      control?.close();
    });
    await control.listen();
    if (metricsAt) {
      const metrics = new MetricsEndpoint(() => engine?.metricsText() ?? "");
      undo.push(() => metrics.close());
      const { address: where, port } = await metrics.listen(metricsAt);
      log("info", `metrics at http://[${where}]:${port}/metrics`);
    }
    writeFileSync(join(dir, "agent.pid"), `${process.pid}\n`, { mode: 0o600 });
    undo.push(() => rmSync(join(dir, "agent.pid"), { force: true }));
    undo.push(keepLogBounded(join(dir, "agent.log")));
    for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.once(signal, () => finish(0));
    log("info", `agent ${version} ready on ${own} (${values.interface}), data plane ${plane.kind}: ${reason}`);
    return await finished;
  } finally {
    for (const step of undo.toReversed()) await step();
  }
}

/** The services' program beside ours: bundled, or from source. */
function adapterProgram(): string {
  const here = fileURLToPath(import.meta.url);
  return here.endsWith(".ts") ? join(dirname(here), "../src-adapter/main.ts") : join(dirname(here), "adapter.mjs");
}

try {
  process.exit(await main(process.argv.slice(2)));
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exit(1);
}
