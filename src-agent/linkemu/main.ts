import { writeSync } from "node:fs";
import { check, libc } from "../linux/libc.ts";
import { emulatorConfig, emulatorRequest, type EmulatorConfig, type EmulatorReply } from "../../src-shared/api/linkemu.ts";
import { Emulator } from "./emulator.ts";
import { LineReader } from "./lineReader.ts";
import { PacketIo } from "./packetIo.ts";
import { PointerCache } from "./pointerCache.ts";
import { seededRandom } from "./random.ts";

/**
 * The link emulator: one process for all links of a lab, in the network namespace that holds the hosts' peers. It waits in ppoll for
 * packets, for its next due packet and for requests on stdin, and ends when stdin does. It never returns to Node's event loop.
 */
const stdin = 0;
const PR_SET_TIMERSLACK = 29;
const POLLIN = 1;
const POLLOUT_ERRORS = 0x38;
/** The kernel wakes us this much early; the rest is spun away, because a wake-up is late by about as much. ms */
const spin = 0.015;
/** Batches received before due packets get their turn again. */
const batchesPerTurn = 2;

function serve(config: EmulatorConfig, requests: LineReader): void {
  const io = new PacketIo();
  const devices = new Devices(config.hosts.map((host) => host.interface));
  const pointers = new PointerCache();
  const emulator = new Emulator(config, {
    random: seededRandom(config.seed),
    clock: () => performance.now(),
    transmit: (memory, offset, length, host) => io.send(pointers.at(memory, offset), length, devices.ofHost(host)) === undefined,
  });
  const onFrame = (packet: Buffer, start: number, length: number, device: number, at: number) => {
    const host = devices.host(device);
    if (host !== undefined) emulator.arrive(packet, start, length, host, at);
  };
  check(libc.prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0), "prctl(PR_SET_TIMERSLACK)");
  reply({ ready: true });
  const waiting = new Waiting(io.fd);
  for (;;) {
    emulator.run(performance.now());
    let busy = false;
    for (let i = 0; i < batchesPerTurn; i++) {
      const received = io.receive(onFrame);
      if (received < 0) emulator.drop("unknown offload");
      busy = received !== 0;
      if (!busy) break;
    }
    if (requests.pending || waiting.requestsReady(busy ? 0 : emulator.nextDue - performance.now() - spin)) {
      const lines = requests.read();
      if (!lines) return;
      for (const line of lines) reply(answer(emulator, io, devices, line));
    }
  }
}

function answer(emulator: Emulator, io: PacketIo, devices: Devices, line: string): EmulatorReply {
  let id = 0;
  try {
    const json: unknown = JSON.parse(line);
    if (typeof json === "object" && json && "id" in json && typeof json.id === "number") id = json.id;
    const request = emulatorRequest.parse(json);
    if (request.op === "links") emulator.setLinks(request.links, performance.now());
    if (request.op === "interfaces") devices.lookUp();
    if (request.op !== "report") return { id, ok: true };
    const overruns = io.takeOverruns();
    if (overruns > 0) emulator.drop("overrun", overruns);
    return { id, ok: true, report: emulator.report() };
  } catch (error) {
    return { id, ok: false, error: (error as Error).message };
  }
}

function reply(message: EmulatorReply): void {
  writeSync(1, `${JSON.stringify(message)}\n`);
}

/** Which network interface is whose; a host that is down has none. */
class Devices {
  readonly #names: readonly string[];
  #ofHost: number[] = [];
  #hosts = new Map<number, number>();

  constructor(names: readonly string[]) {
    this.#names = names;
    this.lookUp();
  }

  lookUp(): void {
    this.#ofHost = this.#names.map((name) => libc.ifNameToIndex(name));
    this.#hosts = new Map(this.#ofHost.flatMap((device, host) => (device === 0 ? [] : [[device, host] as const])));
  }

  /** 0 for none, which the kernel refuses. */
  ofHost(host: number): number {
    return this.#ofHost[host] as number;
  }

  host(device: number): number | undefined {
    return this.#hosts.get(device);
  }
}

/** Sleeps until a packet, a request or a time. */
class Waiting {
  readonly #fds = Buffer.alloc(16);
  readonly #timeout = Buffer.alloc(16);

  constructor(packets: number) {
    this.#fds.writeInt32LE(packets, 0);
    this.#fds.writeInt16LE(POLLIN, 4);
    this.#fds.writeInt32LE(stdin, 8);
    this.#fds.writeInt16LE(POLLIN, 12);
  }

  /** Sleeps at most `ms` (not at all when not above 0; without end when Infinity); true when stdin has something or has ended. */
  requestsReady(ms: number): boolean {
    if (ms !== Infinity) {
      const ns = Math.max(0, Math.floor(ms * 1e6));
      this.#timeout.writeBigInt64LE(BigInt(Math.floor(ns / 1e9)), 0);
      this.#timeout.writeBigInt64LE(BigInt(ns % 1e9), 8);
    }
    if (libc.ppoll(this.#fds, 2, ms === Infinity ? null : this.#timeout, null) <= 0) return false;
    return (this.#fds.readInt16LE(14) & (POLLIN | POLLOUT_ERRORS)) !== 0;
  }
}

const requests = new LineReader(stdin);
const first = requests.readFirst();
if (first !== undefined) serve(emulatorConfig.parse(JSON.parse(first)), requests);
