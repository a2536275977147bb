import { once } from "node:events";
import { pipeline } from "node:stream/promises";
import { exitCodes } from "../../../problem.ts";
import { HostAccess } from "../../../services/hosts/access.ts";
import { agentLog } from "../../../services/hosts/logs.ts";
import { SshConnection } from "../../../ssh/connection.ts";
import type { RemoteProcess, Exit } from "../../../ssh/process.ts";
import { quote } from "../../../ssh/quote.ts";
import { constants } from "node:os";
import { askSecret } from "../ask.ts";
import { hostOf, openTestbed, usage, type WhichOptions } from "./which.ts";

export interface ExecOptions extends WhichOptions {
  readonly tty?: boolean;
}

/** `lab exec HOST CMD…`: one word is a shell command line, several are a program and its arguments. Answers the command's own exit code. */
export async function execCommand(host: string, given: readonly string[], options: ExecOptions): Promise<number> {
  // `lab exec HOST -- CMD` is what people who know ssh, docker or npm write.
  const words = given[0] === "--" ? given.slice(1) : given;
  if (words.length === 0) throw usage("no command was given", "lab exec HOST COMMAND…");
  const command = words.length === 1 ? (words[0] as string) : words.map(quote).join(" ");
  return onHost(host, options, (connection) => (options.tty ? terminal(() => connection.start(command, size())) : piped(connection.start(command))));
}

/** `lab shell HOST`: a login shell on this terminal. */
export async function shellCommand(host: string, options: WhichOptions): Promise<number> {
  if (!process.stdin.isTTY) throw usage("lab shell needs a terminal", "Use `lab exec HOST COMMAND…` in scripts.");
  return onHost(host, options, (connection) => terminal(() => connection.shell(size())));
}

export interface LogsOptions extends WhichOptions {
  readonly follow?: boolean;
  readonly lines: string;
}

/** `lab logs [-f] HOST`: the agent's log. */
export async function logsCommand(host: string, options: LogsOptions): Promise<number> {
  const lines = Number(options.lines);
  if (!Number.isInteger(lines) || lines < 0) throw usage(`"${options.lines}" is not a number of lines`, "lab logs --lines 100 HOST");
  const testbed = await openTestbed(options);
  const access = new HostAccess(hostOf(testbed, host), askSecret);
  try {
    return await piped(agentLog(access, testbed.name, { lines, follow: options.follow ?? false }), { input: false });
  } finally {
    await access.close();
  }
}

async function onHost(host: string, options: WhichOptions, use: (connection: SshConnection) => Promise<number>): Promise<number> {
  const testbed = await openTestbed(options);
  const connection = await SshConnection.connect(hostOf(testbed, host).ssh);
  try {
    return await use(connection);
  } finally {
    connection.close();
    await connection.closed;
  }
}

/** Joins our streams to a command's. Ctrl-C ends it. */
async function piped(starting: Promise<RemoteProcess>, { input = true } = {}): Promise<number> {
  const running = await starting;
  const stop = (): void => {
    running.signal("INT");
    running.close();
  };
  process.once("SIGINT", stop).once("SIGTERM", stop);
  if (input) process.stdin.pipe(running.stdin);
  else running.stdin.end();
  running.stderr.on("data", (chunk: Buffer) => process.stderr.write(chunk));
  // A reader that goes away (head, less) ends the command, not us with an error.
  await pipeline(running.stdout, process.stdout, { end: false }).catch(() => running.close());
  const exit = await running.exit.catch(() => undefined);
  process.off("SIGINT", stop).off("SIGTERM", stop);
  process.stdin.unref?.();
  return exit ? codeOf(exit) : exitCodes.interrupted;
}

/** A program on this terminal: raw mode, size passed on. */
async function terminal(start: () => Promise<RemoteProcess>): Promise<number> {
  const running = await start();
  const resize = (): void => {
    const { columns, rows } = size();
    running.resize(columns, rows);
  };
  const raw = process.stdin.isTTY;
  if (raw) process.stdin.setRawMode(true);
  process.stdout.on("resize", resize);
  process.stdin.pipe(running.stdin);
  running.stdout.pipe(process.stdout, { end: false });
  try {
    const [exit] = await Promise.all([running.exit, running.stdout.readableEnded ? undefined : once(running.stdout, "end")]);
    return codeOf(exit);
  } finally {
    process.stdout.off("resize", resize);
    if (raw) process.stdin.setRawMode(false);
    process.stdin.unpipe().unref?.();
  }
}

const size = () => ({ columns: process.stdout.columns ?? 80, rows: process.stdout.rows ?? 24, ...(process.env["TERM"] && { term: process.env["TERM"] }) });

/** As a shell would answer: a command killed by a signal ends with 128 and the signal's number. */
function codeOf({ code, signal }: Exit): number {
  if (code !== undefined) return code;
  return 128 + (constants.signals[signal as NodeJS.Signals] ?? 0);
}
