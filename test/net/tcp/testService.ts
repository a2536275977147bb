import { createService, Keep, type ConnectionHandler, type Service } from "../../../src-adapter/library.ts";
import type { ServiceConnection } from "../../../src-adapter/serviceConnection.ts";

/** Services that do what real ones seldom do; started like src-adapter/main.ts. */
const answerAfterMs = 800;

/** Counts what the client sends; some time after the client's end it answers `<count> bytes` and ends. Both sides' ends are far apart. */
function count(connection: ServiceConnection, state: Uint8Array | null): ConnectionHandler {
  let { bytes, clientEnded } = state ? (JSON.parse(Buffer.from(state).toString()) as { bytes: number; clientEnded: boolean }) : { bytes: 0, clientEnded: false };
  let timer: NodeJS.Timeout | null = null;
  const answerLater = () => {
    clientEnded = true;
    timer = setTimeout(() => {
      connection.write(Buffer.from(`${bytes} bytes`));
      connection.end();
    }, answerAfterMs);
  };
  if (clientEnded) answerLater();
  return {
    data: (data) => (bytes += data.length),
    end: answerLater,
    drain: () => {},
    gone: () => timer && clearTimeout(timer),
    save: () => Buffer.from(JSON.stringify({ bytes, clientEnded })),
  };
}

/** Says `hello` and ends its side at once; prints how much the client sent until its own end. */
function greet(connection: ServiceConnection, state: Uint8Array | null): ConnectionHandler {
  let bytes = state ? Number(Buffer.from(state).toString()) : 0;
  if (!state) {
    connection.write(Buffer.from("hello"));
    setImmediate(() => connection.end());
  }
  return { data: (data) => (bytes += data.length), end: () => console.log(`greet counted ${bytes}`), drain: () => {}, gone: () => {}, save: () => Buffer.from(String(bytes)) };
}

/** Writes 8 MB, closes, and is done: the kernel has all the work. Goes on where it was when it is moved before that. */
function dump(connection: ServiceConnection, state: Uint8Array | null): ConnectionHandler {
  const total = 8_000_000;
  let written = state ? Number(Buffer.from(state).toString()) : 0;
  const more = () => {
    let room = true;
    while (room && written < total) {
      const part = Buffer.alloc(Math.min(40_000, total - written));
      for (let i = 0; i < part.length; i++, written++) part[i] = (written * 7 + (written >>> 8) * 13 + (written >>> 16)) & 0xff;
      room = connection.write(part);
    }
    if (written === total) connection.close();
  };
  setImmediate(more);
  return { data: () => {}, end: () => {}, drain: more, gone: () => {}, save: () => Buffer.from(String(written)) };
}

/** Echoes, and misbehaves when told: `die` ends the process, `keep` refuses to move, `hang` blocks in save, `crash` dies in it, `throw` throws. */
function rogue(connection: ServiceConnection): ConnectionHandler {
  let mood = "";
  return {
    data: (data) => {
      mood = data.toString();
      if (mood === "die") process.exit(3);
      if (mood === "throw") throw new Error("told to throw");
      connection.write(data);
    },
    end: () => connection.end(),
    drain: () => {},
    gone: () => {},
    save: () => {
      if (mood === "keep") throw new Keep("told to keep it");
      if (mood === "crash") process.exit(4);
      if (mood === "hang") Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3500);
      return Buffer.from("");
    },
  };
}

const kinds: Record<string, Service["onConnection"]> = { count, greet, dump, rogue };
const [kind = "", , socketPath = "", , name = "", , port = ""] = process.argv.slice(2);
const onConnection = kinds[kind];
if (!onConnection) throw new Error(`no test service "${kind}"`);
const running = createService({ name, port: Number(port), version: "test", onConnection }, socketPath);
process.once("SIGTERM", () => running.close());
await running.ended;
