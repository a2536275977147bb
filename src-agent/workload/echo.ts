import { connect, type Socket } from "node:net";
import { EchoCheck } from "./echo-check.ts";
import { flushed, logLine, logStart, mono, stopSignal } from "./log.ts";

export interface EchoOptions {
  readonly to: string;
  readonly port: number;
  readonly periodMs: number;
  /** Bytes added to each line. */
  readonly padding: number;
  /** How long the last answers are awaited after the end. */
  readonly patienceMs: number;
}

const reportEveryMs = 250;

/**
 * The interactive client: sends a numbered line each period on one connection and checks that each comes back once, unchanged, in order. Logs
 * when each was sent and received. Ends when standard input ends; returns 0 when the exchange was exact.
 */
export async function runEcho(options: EchoOptions): Promise<number> {
  const stop = stopSignal();
  const check = new EchoCheck(options.padding);
  let done: [number, number, number][] = [];
  let bytes = 0;
  let reason: string | null = null;
  const socket = connect({ host: options.to, port: options.port, noDelay: true });
  socket.setEncoding("latin1");
  socket.on("data", (text) => {
    const at = mono();
    bytes += (text as unknown as string).length;
    for (const { number, sentAt } of check.take(text as unknown as string)) done.push([number, round(sentAt), round(at)]);
  });
  const closed = new Promise<void>((resolve) => {
    socket.once("error", (error) => (reason ??= error.message));
    socket.once("close", () => resolve());
  });
  socket.once("end", () => (reason ??= "the server closed the connection"));
  socket.once("connect", () => logStart({ workload: "echo", to: options.to, port: options.port, localPort: socket.localPort, periodMs: options.periodMs }));
  const report = () => {
    if (done.length > 0) logLine({ type: "lines", lines: done });
    done = [];
  };
  const reporter = setInterval(report, reportEveryMs);
  const stopped = new Promise<void>((resolve) => stop.addEventListener("abort", () => resolve(), { once: true }));
  const sender = sendEach(socket, check, options.periodMs);
  await Promise.race([closed, stopped]);
  sender.stop();
  if (!socket.destroyed) await Promise.race([answered(check), closed, new Promise((resolve) => setTimeout(resolve, options.patienceMs))]);
  const tally = check.tally;
  if (check.missing.size > 0) reason ??= `no answer to ${check.missing.size} lines within ${options.patienceMs / 1000} s`;
  socket.destroy();
  clearInterval(reporter);
  report();
  const ok = reason === null && check.missing.size === 0 && tally.repeated === 0 && tally.corrupted === 0;
  logLine({ type: "end", mono: mono(), ok, reason, sent: check.sent, ...tally, lost: check.missing.size, missing: [...check.missing].slice(0, 1000), bytes });
  await flushed();
  return ok ? 0 : 1;
}

/** Sends at the period's own beat, so that a late timer does not shift the lines after it. */
function sendEach(socket: Socket, check: EchoCheck, periodMs: number): { readonly stop: () => void } {
  let timer: NodeJS.Timeout | null = null;
  let stopped = false;
  const start = () => {
    const first = mono();
    let beat = 0;
    const send = () => {
      if (stopped || socket.destroyed) return;
      const at = mono();
      socket.write(check.next(at).line);
      beat = Math.max(beat + 1, Math.ceil((at - first) / periodMs));
      timer = setTimeout(send, Math.max(0, first + beat * periodMs - mono()));
    };
    send();
  };
  socket.once("connect", start);
  return {
    stop: () => {
      stopped = true;
      if (timer) clearTimeout(timer);
    },
  };
}

async function answered(check: EchoCheck): Promise<void> {
  while (check.missing.size > 0) await new Promise((resolve) => setTimeout(resolve, 5));
}

function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
