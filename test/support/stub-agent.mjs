// Stands in for the agent in tests of deployment: the real control server, no data plane. What it does is chosen by a file beside it.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const behaviour = existsSync(join(here, "behaviour")) ? readFileSync(join(here, "behaviour"), "utf8").trim() : "";
const { ControlServer } = await import(readFileSync(join(here, "source"), "utf8").trim());
const [command, ...rest] = process.argv.slice(2);
const option = (name) => rest[rest.indexOf(`--${name}`) + 1];
const dir = option("dir");
const socket = join(dir, "control.sock");

if (command === "clean") {
  writeFileSync(join(dir, "cleaned"), "");
  rmSync(join(dir, "agent.pid"), { force: true });
  process.exit(0);
}
if (command === "control-stdio") {
  const stream = connect(socket);
  process.stdin.pipe(stream).pipe(process.stdout);
  stream.on("close", () => process.exit(0));
} else {
  if (behaviour === "dies") {
    console.error("loading the data plane");
    console.error("cannot attach to the interface: ENODEV");
    process.exit(1);
  }
  const status = readFileSync("/proc/self/status", "utf8");
  const capabilities = [/^CapEff:\s*(\w+)/m.exec(status)[1], /^Uid:\s*(\d+)/m.exec(status)[1], /^NoNewPrivs:\s*(\d)/m.exec(status)[1]];
  mkdirSync(dir, { recursive: true });
  const mono = () => Number(process.hrtime.bigint()) / 1e6 + 5_000_000;
  const stop = () => {
    server.close();
    rmSync(join(dir, "agent.pid"), { force: true });
    process.exit(0);
  };
  const server = new ControlServer({
    path: socket,
    handlers: {
      hello: async () => ({ protocol: 1, version: "stub", host: option("host"), node: process.version, kernel: "", architecture: process.arch, capabilities, dataPlane: { kind: "userspace", reason: "stub" }, address: option("address"), interface: option("interface") }),
      clock: async () => ({ mono: mono(), wall: Date.now() }),
      inspect: async () => {
        for (let i = 0; i < 2000; i++) server.emit({ sequence: i, mono: mono(), wall: Date.now(), body: { type: "log", level: "info", text: "x".repeat(1000) } });
        return {};
      },
      counters: async () => ({ bad: undefined }),
      discardTokens: async () => {
        throw Object.assign(new Error("no such client"), { code: "no-client" });
      },
      prepare: () => new Promise(() => {}),
      stop: async () => (setTimeout(stop, 20), {}),
    },
    limits: { queue: 500_000, calls: 4 },
  });
  await server.listen();
  if (behaviour === "stubborn") process.on("SIGTERM", () => {});
  else process.on("SIGTERM", stop);
}
