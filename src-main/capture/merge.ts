import { once } from "node:events";
import { createReadStream, createWriteStream } from "node:fs";
import { rename } from "node:fs/promises";
import { finished } from "node:stream/promises";
import type { Writable } from "node:stream";
import { PcapngReader, type CaptureBlock, type CapturedPacket } from "../../src-shared/pcapng/read.ts";
import { enhancedPacket, interfaceDescription, interfaceStatistics, sectionHeader } from "../../src-shared/pcapng/write.ts";

/** One host's capture: pcapng with a single interface. */
export interface HostCapture {
  readonly host: string;
  readonly stream: AsyncIterable<Uint8Array>;
  /** Add to the host's CLOCK_REALTIME to place its packets in the common order. Time stamps in the file stay the host's own. */
  readonly correctionMs: number;
}

export interface MergedHost {
  readonly host: string;
  readonly packets: number;
  /** What the host's kernel could not keep; null when the capture ended without saying. */
  readonly dropped: number | null;
  /** The stream ended inside a block: the last packets are missing. */
  readonly truncated: boolean;
}

export interface MergeOptions {
  readonly comment?: string;
  /** For live captures: a host that has said nothing for this long is not waited for, and may then be out of order. By default all are waited for. */
  readonly patienceMs?: number;
}

const writeAtOnce = 1 << 18;
/** A kernel stamps packets before it queues them, on several processors: neighbours in a capture can be out of order, but no more than this many apart. */
const outOfOrder = 64;

/**
 * Merges several hosts' captures into one section with an interface per host, ordered by corrected time; of equal times the earlier host
 * in the list comes first. Backpressure of `out` reaches the sources.
 */
export async function mergeCaptures(captures: readonly HostCapture[], out: Writable, options: MergeOptions = {}): Promise<MergedHost[]> {
  const sources = captures.map((capture) => new Source(capture, options.patienceMs !== undefined));
  await Promise.all(sources.map((source) => source.open()));
  const pen = new Pen(out);
  await pen.write(sectionHeader({ application: "anycast-lab", ...(options.comment && { comment: options.comment }) }));
  for (const source of sources) await pen.write(source.description());
  for (;;) {
    await settled(sources, options.patienceMs, pen);
    const next = earliest(sources);
    if (!next && sources.every((source) => source.ended)) break;
    if (!next) continue;
    await pen.write(next.source.encode(next.index));
    next.source.advance();
  }
  for (const [index, source] of sources.entries()) {
    if (source.dropped !== null) await pen.write(interfaceStatistics({ interface: index, timeNs: source.lastTimeNs(), received: source.packets, dropped: source.dropped }));
  }
  await pen.flush();
  return sources.map(({ host, packets, dropped, truncated }) => ({ host, packets, dropped, truncated }));
}

/** Waits until every source has its next packet or has ended; with patience, only for those that have not been quiet for too long. */
async function settled(sources: readonly Source[], patienceMs: number | undefined, pen: Pen): Promise<void> {
  const pending = () => sources.flatMap((source) => (source.pending ? [source.pending] : []));
  if (patienceMs === undefined) {
    await Promise.all(pending());
    return;
  }
  if (pending().length === 0) return;
  const now = performance.now();
  const due = sources.flatMap((source) => (source.pending && source.quietSince + patienceMs > now ? [source.quietSince + patienceMs - now] : []));
  const someReady = sources.some((source) => source.packet);
  if (due.length === 0 && someReady) return;
  // Nothing to write for the moment: show what was written so far.
  if (!someReady) await pen.flush();
  const sleep = due.length > 0 ? [new Promise<void>((resolve) => setTimeout(resolve, Math.min(...due)).unref())] : [];
  await Promise.race([...pending(), ...sleep]);
}

function earliest(sources: readonly Source[]): { readonly source: Source; readonly index: number } | null {
  let best: { source: Source; index: number } | null = null;
  for (const [index, source] of sources.entries()) if (source.packet && (!best || source.at < best.source.at)) best = { source, index };
  return best;
}

/** Reads one host's blocks up to the next packet. */
class Source {
  readonly host: string;
  /** The next packet, until `advance`; null while it is awaited (`pending`) and at the end (`ended`). */
  packet: CapturedPacket | null = null;
  at = 0;
  packets = 0;
  dropped: number | null = null;
  truncated = false;
  ended = false;
  pending: Promise<void> | null = null;
  quietSince = 0;
  readonly #correctionMs: number;
  /** Its packets are wanted when they come, even if one that is before them may follow. */
  readonly #live: boolean;
  /** Read ahead, in order of time. */
  readonly #ahead: { readonly packet: CapturedPacket; readonly at: number }[] = [];
  readonly #chunks: AsyncIterator<Uint8Array>;
  readonly #reader = new PcapngReader();
  #blocks: Iterator<CaptureBlock> | null = null;
  #about: { description: string; filter: string; snaplen: number } | null = null;

  constructor(capture: HostCapture, live: boolean) {
    this.host = capture.host;
    this.#live = live;
    this.#correctionMs = capture.correctionMs;
    this.#chunks = capture.stream[Symbol.asyncIterator]();
  }

  /** Reads as far as the interface block, so that a quiet host is described too. */
  async open(): Promise<void> {
    while (!this.#about && !this.ended) {
      const chunk = await this.#chunks.next();
      if (chunk.done) return this.#end();
      this.#blocks = this.#reader.push(chunk.value);
      while (!this.#about) {
        const step = this.#blocks.next();
        if (step.done) break;
        this.#take(step.value);
      }
    }
    this.advance();
  }

  description(): Uint8Array {
    return interfaceDescription({ name: this.host, ...(this.#about ?? { snaplen: 0, comment: "no capture came from this host" }) });
  }

  /** The packet's block with its interface's number in the merged file. */
  encode(index: number): Uint8Array {
    const block = new Uint8Array((this.packet as CapturedPacket).block);
    new DataView(block.buffer).setUint32(8, index, true);
    return block;
  }

  lastTimeNs(): bigint {
    return BigInt(Math.round((this.at - this.#correctionMs) * 1000)) * 1000n;
  }

  /** Goes on to the next packet: at once when it is there already, else `pending` resolves when it has come or the capture has ended. */
  advance(): void {
    this.packet = null;
    if (this.#show()) return;
    this.quietSince = performance.now();
    this.pending = this.#fromStream().finally(() => (this.pending = null));
  }

  /** False when more has to be read first. */
  #show(): boolean {
    while (this.#ahead.length < outOfOrder) {
      const step = this.#blocks?.next();
      if (!step || step.done) break;
      this.#take(step.value);
    }
    if (!this.ended && this.#ahead.length < (this.#live ? 1 : outOfOrder)) return false;
    const next = this.#ahead.shift();
    if (!next) return true;
    this.packet = next.packet;
    this.at = next.at;
    this.packets++;
    return true;
  }

  async #fromStream(): Promise<void> {
    do {
      const chunk = await this.#chunks.next();
      if (chunk.done) this.#end();
      else this.#blocks = this.#reader.push(chunk.value);
    } while (!this.#show());
  }

  #end(): void {
    this.ended = true;
    this.truncated = this.#reader.unfinished > 0 || this.dropped === null;
  }

  #take(block: CaptureBlock): void {
    if (block.kind === "interface") {
      const { description, filter, snaplen } = block.interface;
      this.#about = { description, filter, snaplen };
    } else if (block.kind === "statistics") {
      this.dropped = block.dropped;
    } else if (block.kind === "packet") {
      const at = block.packet.timeMs + this.#correctionMs;
      this.#ahead.splice(this.#ahead.findLastIndex((each) => each.at <= at) + 1, 0, { packet: block.packet, at });
    }
  }
}

/** Collects small blocks into large writes and waits when the stream asks to. */
class Pen {
  readonly #out: Writable;
  #waiting: Uint8Array[] = [];
  #length = 0;

  constructor(out: Writable) {
    this.#out = out;
  }

  async write(block: Uint8Array): Promise<void> {
    this.#waiting.push(block);
    this.#length += block.length;
    if (this.#length >= writeAtOnce) await this.flush();
  }

  async flush(): Promise<void> {
    if (this.#length === 0) return;
    const all = Buffer.concat(this.#waiting);
    this.#waiting = [];
    this.#length = 0;
    if (!this.#out.write(all)) await once(this.#out, "drain");
  }
}

/** Merges the files of several hosts into `target`, mode 0600. */
export async function mergeCaptureFiles(files: readonly { readonly host: string; readonly file: string; readonly correctionMs: number }[], target: string): Promise<MergedHost[]> {
  const out = createWriteStream(target, { mode: 0o600 });
  const merged = await mergeCaptures(files.map(({ host, file, correctionMs }) => ({ host, correctionMs, stream: createReadStream(file, { highWaterMark: 1 << 20 }) })), out);
  out.end();
  await finished(out);
  return merged;
}

/** Puts these comments, and no others, onto packets named by their position in the file (the first packet is 0). Replaces the file once it is whole. */
export async function annotateCapture(file: string, comments: ReadonlyMap<number, string>): Promise<void> {
  const part = `${file}.part`;
  const out = createWriteStream(part, { mode: 0o600 });
  const pen = new Pen(out);
  const reader = new PcapngReader();
  let packet = 0;
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) {
    for (const block of reader.push(chunk as Buffer)) {
      if (block.kind === "section") await pen.write(sectionHeader({ application: "anycast-lab" }));
      else if (block.kind === "interface") await pen.write(interfaceDescription(block.interface));
      else if (block.kind === "statistics")
        await pen.write(interfaceStatistics({ interface: block.interface, timeNs: block.timeNs, received: block.received ?? 0, dropped: block.dropped ?? 0 }));
      else if (block.kind === "packet") {
        const comment = comments.get(packet);
        await pen.write(comment || block.packet.comments.length > 0 ? withComment(block.packet, comment) : block.packet.block);
        packet++;
      }
    }
  }
  reader.end();
  await pen.flush();
  out.end();
  await finished(out);
  await rename(part, file);
}

function withComment(packet: CapturedPacket, comment: string | undefined): Uint8Array {
  const { interface: index, timeHigh, timeLow, originalLength, direction, data } = packet;
  return enhancedPacket({ interface: index, timeHigh, timeLow, originalLength, direction, ...(comment && { comment }) }, data);
}
