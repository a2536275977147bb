import { blockType, linkTypeEthernet, type Direction } from "./write.ts";

/** Why a capture can't be read, and where. */
export class PcapngError extends Error {
  override readonly name = "PcapngError";
  readonly code: "pcapng.notPcapng" | "pcapng.truncated" | "pcapng.broken" | "pcapng.unsupported";
  readonly offset: number;
  constructor(code: PcapngError["code"], offset: number, what: string) {
    super(`${what} (at byte ${offset})`);
    this.code = code;
    this.offset = offset;
  }
}

export interface CapturedInterface {
  readonly name: string;
  readonly description: string;
  readonly filter: string;
  readonly snaplen: number;
}

/** A packet as the file has it. `data` is a view that later reads may overwrite: copy what is kept. */
export interface CapturedPacket {
  readonly interface: number;
  /** Milliseconds since 1970 on the capturing host's clock; a double holds this to 0.3 µs. */
  readonly timeMs: number;
  readonly timeHigh: number;
  readonly timeLow: number;
  readonly direction: Direction;
  readonly originalLength: number;
  readonly data: Uint8Array;
  readonly comments: readonly string[];
  /** The whole block, for those who only pass it on. */
  readonly block: Uint8Array;
}

export type CaptureBlock =
  | { readonly kind: "section" }
  | { readonly kind: "interface"; readonly interface: CapturedInterface }
  | { readonly kind: "packet"; readonly packet: CapturedPacket }
  | { readonly kind: "statistics"; readonly interface: number; readonly timeNs: bigint; readonly received: number | null; readonly dropped: number | null }
  | { readonly kind: "other"; readonly type: number };

const maxBlock = 16 * 1024 * 1024;
const decoder = new TextDecoder();
const none: string[] = [];

/**
 * Reads pcapng as its bytes arrive: little-endian, Ethernet, nanoseconds or microseconds, which is what we write and what Wireshark writes here.
 * `push` gives the blocks that are now whole; `end` throws when the bytes stopped inside one.
 */
export class PcapngReader {
  #rest: Uint8Array = new Uint8Array(0);
  #offset = 0;
  #started = false;
  #unitsPerMs: number[] = [];

  *push(chunk: Uint8Array): Generator<CaptureBlock> {
    let bytes = this.#rest.length === 0 ? chunk : concat(this.#rest, chunk);
    let at = 0;
    while (bytes.length - at >= 12) {
      const view = new DataView(bytes.buffer, bytes.byteOffset + at, bytes.length - at);
      const type = view.getUint32(0, true);
      if (!this.#started && type !== blockType.sectionHeader) throw new PcapngError("pcapng.notPcapng", this.#offset, "this is not a pcapng file: it does not start with a section header");
      if (type === blockType.sectionHeader) this.#startSection(view);
      const length = view.getUint32(4, true);
      if (length < 12 || length % 4 !== 0 || length > maxBlock) throw new PcapngError("pcapng.broken", this.#offset, `a block says that it is ${length} bytes long`);
      if (bytes.length - at < length) break;
      if (view.getUint32(length - 4, true) !== length) throw new PcapngError("pcapng.broken", this.#offset, "a block's two lengths differ");
      const block = this.#read(type, bytes.subarray(at, at + length));
      at += length;
      this.#offset += length;
      yield block;
    }
    bytes = bytes.subarray(at);
    this.#rest = new Uint8Array(bytes);
  }

  /** Bytes of an unfinished last block: 0 for a whole file. */
  get unfinished(): number {
    return this.#rest.length;
  }

  /** Says that nothing follows. Throws when a block is cut off or nothing came at all. */
  end(): void {
    if (!this.#started) throw new PcapngError("pcapng.truncated", this.#offset, "the capture is empty");
    if (this.#rest.length > 0) throw new PcapngError("pcapng.truncated", this.#offset, "the capture ends inside a block");
  }

  #startSection(view: DataView): void {
    const magic = view.getUint32(8, true);
    if (magic === 0x4d3c2b1a) throw new PcapngError("pcapng.unsupported", this.#offset, "big-endian captures are not supported");
    if (magic !== 0x1a2b3c4d) throw new PcapngError("pcapng.notPcapng", this.#offset, "the section header's byte-order mark is wrong");
    this.#started = true;
    this.#unitsPerMs = [];
  }

  #read(type: number, whole: Uint8Array): CaptureBlock {
    const body = whole.subarray(8, whole.length - 4);
    const view = new DataView(body.buffer, body.byteOffset, body.length);
    const need = (length: number) => {
      if (body.length < length) throw new PcapngError("pcapng.broken", this.#offset, `a block of type ${type} is too short`);
    };
    switch (type) {
      case blockType.sectionHeader:
        return { kind: "section" };
      case blockType.interfaceDescription: {
        need(8);
        return { kind: "interface", interface: this.#interface(view, body) };
      }
      case blockType.enhancedPacket: {
        need(20);
        return { kind: "packet", packet: this.#packet(view, body, whole) };
      }
      case blockType.interfaceStatistics: {
        need(12);
        let received: number | null = null;
        let dropped: number | null = null;
        for (const [code, value] of options(body, 12)) {
          if (value.length !== 8) continue;
          const number = Number(new DataView(value.buffer, value.byteOffset, 8).getBigUint64(0, true));
          if (code === 4) received = number;
          if (code === 5) dropped = number;
        }
        const timeNs = (BigInt(view.getUint32(4, true)) << 32n) | BigInt(view.getUint32(8, true));
        return { kind: "statistics", interface: view.getUint32(0, true), timeNs, received, dropped };
      }
      default:
        return { kind: "other", type };
    }
  }

  #interface(view: DataView, body: Uint8Array): CapturedInterface {
    if (view.getUint16(0, true) !== linkTypeEthernet) throw new PcapngError("pcapng.unsupported", this.#offset, `link type ${view.getUint16(0, true)} is not Ethernet`);
    const about = { name: "", description: "", filter: "", snaplen: view.getUint32(4, true) };
    let resolution = 6;
    for (const [code, value] of options(body, 8)) {
      if (code === 2) about.name = decoder.decode(value);
      if (code === 3) about.description = decoder.decode(value);
      if (code === 11) about.filter = decoder.decode(value.subarray(1));
      if (code === 9) resolution = value[0] ?? 6;
    }
    if (resolution !== 6 && resolution !== 9) throw new PcapngError("pcapng.unsupported", this.#offset, `time stamp resolution ${resolution}`);
    this.#unitsPerMs.push(resolution === 9 ? 1e6 : 1e3);
    return about;
  }

  #packet(view: DataView, body: Uint8Array, block: Uint8Array): CapturedPacket {
    const which = view.getUint32(0, true);
    const unitsPerMs = this.#unitsPerMs[which];
    if (unitsPerMs === undefined) throw new PcapngError("pcapng.broken", this.#offset, `a packet of interface ${which}, which is not described`);
    const timeHigh = view.getUint32(4, true);
    const timeLow = view.getUint32(8, true);
    const captured = view.getUint32(12, true);
    if (20 + captured > body.length) throw new PcapngError("pcapng.broken", this.#offset, "a packet is longer than its block");
    let flags = 0;
    let comments: string[] = none;
    for (const [code, value] of options(body, 20 + ((captured + 3) & ~3))) {
      if (code === 1) comments = [...comments, decoder.decode(value)];
      if (code === 2 && value.length === 4) flags = new DataView(value.buffer, value.byteOffset, 4).getUint32(0, true) & 3;
    }
    return {
      interface: which,
      timeMs: timeHigh * (4294967296 / unitsPerMs) + timeLow / unitsPerMs,
      timeHigh,
      timeLow,
      direction: flags === 1 ? "in" : flags === 2 ? "out" : "unknown",
      originalLength: view.getUint32(16, true),
      data: body.subarray(20, 20 + captured),
      comments,
      block,
    };
  }
}

/** The options from `at` to the end mark; a list that runs over its block just ends. */
function* options(body: Uint8Array, at: number): Generator<readonly [code: number, value: Uint8Array]> {
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  while (at + 4 <= body.length) {
    const code = view.getUint16(at, true);
    const length = view.getUint16(at + 2, true);
    if (code === 0 || at + 4 + length > body.length) return;
    yield [code, body.subarray(at + 4, at + 4 + length)];
    at += 4 + ((length + 3) & ~3);
  }
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const out = new Uint8Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}
