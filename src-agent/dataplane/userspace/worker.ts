/** The thread that moves the packets: started by plane.ts, which passes a WorkerSetup as workerData. */
import { randomInt } from "node:crypto";
import { constants } from "node:os";
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { addressBytes, formatAddress, type Address } from "../../../src-shared/net/address.ts";
import { takeToken, tokenBucket } from "../../../src-shared/protocol/core/tokenBucket.ts";
import { lastErrno, libc, pointerTo } from "../../linux/libc.ts";
import type { Link } from "../../linux/links.ts";
import { Netlink } from "../../linux/netlink.ts";
import { orWouldBlock } from "../../linux/packetSocket.ts";
import { counterIndex, type CounterName } from "../counters.ts";
import { Frame, frontLength, headroom, offloadLength } from "./frame.ts";
import { NextHops } from "./nextHops.ts";
import { fragmentsOf, needsFragments } from "../tunnelFragments.ts";
import { canCut, segments } from "./segment.ts";
import { type Command, Tables } from "./tables.ts";
import { Translator, type TranslatorPorts } from "./translator.ts";

/** Everything the thread starts with. File descriptors are the process's. */
export interface WorkerSetup {
  /** Packet socket on our end of the steering pair; reads and writes. */
  readonly stackSocket: number;
  /** Packet socket on the data interface; writes only. */
  readonly wireSocket: number;
  /** An eventfd that says that commands wait in `commands`. */
  readonly wakeUp: number;
  readonly commands: MessagePort;
  /** Number of commands carried out; the control side waits on it. */
  readonly done: Int32Array;
  /** Packets and bytes of each counter. */
  readonly counts: Float64Array;
  /** 1 for each binding in use, by slot; the control side sets it back. */
  readonly uses: Uint8Array;
  readonly device: Link;
  readonly stackEnd: Link;
  readonly agentEnd: Link;
  readonly address: Address;
}

const bufferLength = headroom + 70_000;
const POLLIN = 1;
const { EINVAL } = constants.errno;
/** Packets moved before commands get their turn. */
const packetsPerTurn = 64;
const retryMs = 5;
const unresolvedMs = 1000;
const unresolvedFrames = 256;
/** As in mobility.bpf.c: packets that only want to be known about. */
const tellingRate = { perSecond: 1000, burst: 64 };

/** Moves packets until it is told to stop. */
class PacketThread {
  readonly #setup: WorkerSetup;
  readonly #netlink = new Netlink();
  readonly #nextHops: NextHops;
  readonly #translator: Translator;
  readonly #buffer = Buffer.alloc(bufferLength);
  readonly #base = pointerTo(this.#buffer);
  readonly #scratch = Buffer.alloc(bufferLength);
  readonly #toStackHeader: Buffer;
  /** Ethernet addresses as they are compared: the first 4 bytes, then the other 2. */
  readonly #ofDevice: readonly [number, number];
  readonly #ofStackEnd: readonly [number, number];
  readonly #unresolved: { readonly frame: Frame; readonly until: number }[] = [];
  /** RFC 7739: not to be foreseen from outside, not soon repeated. */
  #identification = randomInt(2 ** 32);
  #lastUnbound = 0;
  #telling = tokenBucket(tellingRate, performance.now());

  constructor(setup: WorkerSetup) {
    this.#setup = setup;
    this.#nextHops = new NextHops(this.#netlink, setup.device);
    this.#toStackHeader = Buffer.concat([setup.stackEnd.address, setup.agentEnd.address, Buffer.from([0x86, 0xdd])]);
    this.#ofDevice = comparable(setup.device.address);
    this.#ofStackEnd = comparable(setup.stackEnd.address);
    this.#translator = new Translator(new Tables(), this.#ports());
  }

  run(): void {
    const fds = Buffer.alloc(16);
    fds.writeInt32LE(this.#setup.stackSocket, 0);
    fds.writeInt16LE(POLLIN, 4);
    fds.writeInt32LE(this.#setup.wakeUp, 8);
    fds.writeInt16LE(POLLIN, 12);
    for (;;) {
      const busy = this.#movePackets();
      if (!this.#obey()) break;
      if (this.#unresolved.length > 0) this.#retry();
      if (this.#translator.patienceMs >= 0) this.#translator.expire();
      if (!busy) libc.poll(fds, 2, this.#unresolved.length > 0 ? retryMs : this.#translator.patienceMs);
    }
    this.#netlink.close();
  }

  /** True when there may be more. */
  #movePackets(): boolean {
    const start = headroom - frontLength;
    const { stackSocket } = this.#setup;
    const buffer = this.#buffer;
    const [device, deviceRest] = this.#ofDevice;
    const [stackEnd, stackEndRest] = this.#ofStackEnd;
    for (let i = 0; i < packetsPerTurn; i++) {
      const received = libc.recv(stackSocket, this.#base + BigInt(start), bufferLength - start, 0);
      if (received < 0 && lastErrno() === EINVAL) {
        // A large packet of a kind that this kernel's virtio_net_hdr has no name for: it is gone.
        this.#count("packet could not be changed", 0, 1);
        continue;
      }
      const length = orWouldBlock(received, "recv(steering device)");
      if (length === undefined) return false;
      const frame = Frame.read(buffer, start, start + length);
      if (!frame) continue;
      const to = buffer.readUInt32LE(start + offloadLength);
      const toRest = buffer.readUInt16LE(start + offloadLength + 4);
      try {
        // What a filter redirected kept the Ethernet header it came with; what was for neither of us, a switch flooded.
        if (to === device && toRest === deviceRest) this.#translator.fromWire(frame);
        else if (to === stackEnd && toRest === stackEndRest) this.#translator.fromStack(frame);
      } catch (error) {
        // Headers that contradict themselves: whatever they are, they must not end the agent.
        if (!(error instanceof RangeError)) throw error;
        this.#count("packet could not be changed", frame.length, 1);
      }
    }
    return true;
  }

  /** Carries out waiting commands; false when one says stop. */
  #obey(): boolean {
    const { commands, done, wakeUp } = this.#setup;
    for (let message = receiveMessageOnPort(commands); message; message = receiveMessageOnPort(commands)) {
      const command = message.message as Command;
      libc.read(wakeUp, Buffer.alloc(8), 8);
      if (command.do === "reassembled") this.#translator.fromWire(Frame.of(command.packet));
      else if (command.do !== "stop") this.#translator.apply(command);
      Atomics.add(done, 0, 1);
      Atomics.notify(done, 0);
      if (command.do === "stop") return false;
    }
    return true;
  }

  #ports(): TranslatorPorts {
    const { address, device } = this.#setup;
    return {
      mtu: device.mtu,
      self: addressBytes(address),
      selfText: address,
      now: () => performance.now(),
      mayTell: () => this.#mayTell(),
      count: (name, bytes, packets = 1) => this.#count(name, bytes, packets),
      toStack: (frame) => this.#write(this.#setup.stackSocket, frame, this.#toStackHeader),
      toWire: (frame) => this.#toWire(frame),
      toTunnel: (frame, source, destination, hopLimit, narrow) => {
        if (!canCut(frame)) return this.#count("packet could not be changed", frame.length, 1);
        for (const segment of segments(frame, this.#scratch)) {
          const fragmented = narrow && needsFragments(segment.length);
          if (fragmented) segment.finishChecksum();
          segment.encapsulate(source, destination, hopLimit);
          if (!fragmented) this.#toWire(segment);
          else for (const fragment of fragmentsOf(segment.packet, ++this.#identification)) this.#toWire(Frame.of(fragment));
        }
      },
      used: (slot) => {
        this.#setup.uses[slot] = 1;
      },
      unbound: (packet) => this.#tellUnbound(packet),
    };
  }

  #toWire(frame: Frame): void {
    const ethernet = this.#nextHops.ethernetFor(frame.bytes, frame.at + 24, performance.now());
    if (ethernet === "none") return this.#count("no route or no neighbour over the data interface", frame.length, 1);
    if (ethernet !== "unresolved") return this.#write(this.#setup.wireSocket, frame, ethernet);
    if (this.#unresolved.length >= unresolvedFrames) return this.#count("no route or no neighbour over the data interface", frame.length, 1);
    this.#unresolved.push({ frame: frame.copy(), until: performance.now() + unresolvedMs });
  }

  /** Sends what waited for a neighbour's address, and gives up on what waited too long. */
  #retry(): void {
    const now = performance.now();
    for (const waiting of this.#unresolved.splice(0)) {
      const ethernet = this.#nextHops.ethernetFor(waiting.frame.bytes, waiting.frame.at + 24, now);
      if (typeof ethernet !== "string") this.#write(this.#setup.wireSocket, waiting.frame, ethernet);
      else if (ethernet === "unresolved" && now < waiting.until) this.#unresolved.push(waiting);
      else this.#count("no route or no neighbour over the data interface", waiting.frame.length, 1);
    }
  }

  #write(fd: number, frame: Frame, ethernet: Buffer): void {
    const start = frame.finish(ethernet);
    const length = frame.end - start;
    const from = frame.bytes === this.#buffer ? this.#base + BigInt(start) : frame.bytes.subarray(start, frame.end);
    if (libc.send(fd, from, length, 0) < 0) this.#count("packet could not be sent", frame.length, 1);
  }

  #count(name: CounterName, bytes: number, packets: number): void {
    const { counts } = this.#setup;
    const at = 2 * counterIndex[name];
    counts[at] = (counts[at] as number) + packets;
    counts[at + 1] = (counts[at + 1] as number) + bytes;
  }

  #mayTell(): boolean {
    const { bucket, taken } = takeToken(this.#telling, performance.now());
    this.#telling = bucket;
    return taken;
  }

  /** At most one a millisecond. */
  #tellUnbound(packet: Buffer): void {
    const now = performance.now();
    if (now - this.#lastUnbound < 1 || packet.length < 64) return;
    this.#lastUnbound = now;
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker thread's port has no origin
    parentPort?.postMessage([formatAddress(packet, 48), formatAddress(packet, 8), formatAddress(packet, 24)]);
  }
}

/** `address`: buffers become plain arrays of bytes on their way into a thread. */
function comparable(address: Uint8Array): readonly [number, number] {
  const bytes = Buffer.from(address);
  return [bytes.readUInt32LE(0), bytes.readUInt16LE(4)];
}

new PacketThread(workerData as WorkerSetup).run();
