import { parseArgs } from "node:util";
import { setFlagsFromString } from "node:v8";
import { echoService } from "./echo.ts";
import { filesService } from "./files/filesService.ts";
import { httpService } from "./http/httpService.ts";
import { createService, type Service } from "./library.ts";
import { udpEcho } from "./udpEcho.ts";

const usage = "usage: main.ts echo|http|files --socket PATH --port N [--name NAME] [--home X] [--origin URL] [--dir DIR] [--member NAME]\n       main.ts udp-echo --fd N";

// As in the agent: what a handoff asks of us is asked seldom, and shall not be compiled anew each time.
setFlagsFromString("--always-sparkplug");
setFlagsFromString("--no-flush-bytecode");

/** Serves until the agent goes away. Exit code 0 then, 1 when the agent refuses or cannot be reached, 2 for wrong arguments. */
async function main(args: readonly string[]): Promise<number> {
  if (args[0] === "udp-echo") return serveDatagrams(args.slice(1));
  let service: Service;
  let socketPath: string;
  try {
    ({ service, socketPath } = fromArguments(args));
  } catch (error) {
    console.error(`${(error as Error).message}\n${usage}`);
    return 2;
  }
  try {
    const running = createService(service, socketPath);
    process.once("SIGTERM", () => running.close());
    const reason = await running.ended;
    if (reason.startsWith("refused")) console.error(reason);
    return reason.startsWith("refused") ? 1 : 0;
  } catch (error) {
    console.error(`cannot reach the agent: ${(error as Error).message}`);
    return 1;
  }
}

/** On a UDP socket that the agent has left open for us. */
async function serveDatagrams(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({ args: [...args], options: { fd: { type: "string" } } });
  const fd = Number(values.fd);
  if (!Number.isInteger(fd) || fd < 3) {
    console.error(`--fd: a descriptor that the agent left open is expected, not "${values.fd ?? ""}"\n${usage}`);
    return 2;
  }
  const running = udpEcho(fd);
  process.once("SIGTERM", () => running.close());
  const reason = await running.ended;
  if (reason.startsWith("refused")) console.error(reason);
  return reason.startsWith("refused") ? 1 : 0;
}

function fromArguments(args: readonly string[]): { service: Service; socketPath: string } {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { socket: { type: "string" }, port: { type: "string" }, name: { type: "string" }, home: { type: "string" }, origin: { type: "string" }, dir: { type: "string" }, member: { type: "string" } },
  });
  const [kind] = positionals;
  const port = Number(values.port);
  if (!values.socket) throw new Error("--socket is missing");
  if (!Number.isInteger(port) || port < 1 || port > 65535) throw new Error(`--port: a port from 1 to 65535 is expected, not "${values.port ?? ""}"`);
  const at = { name: values.name ?? kind ?? "", port, ...(values.home === undefined ? {} : { home: values.home }) };
  return { service: makeService(kind, at, values), socketPath: values.socket };
}

function makeService(kind: string | undefined, at: { name: string; port: number; home?: string }, values: { readonly origin?: string | undefined; readonly dir?: string | undefined; readonly member?: string | undefined }): Service {
  switch (kind) {
    case "echo":
      return echoService(at);
    case "http":
      if (!values.origin) throw new Error("--origin is missing");
      return httpService(at, values.origin);
    case "files":
      if (!values.dir) throw new Error("--dir is missing");
      return filesService(at, values.dir, values.member);
    default:
      throw new Error(`which service? "${kind ?? ""}" is not one`);
  }
}

process.exitCode = await main(process.argv.slice(2));
