import { check, libc } from "./libc.ts";
import { maximumDescriptors, receivePacket, sendPacket } from "./unixSocket.ts";
import { Watch, type Readiness } from "./watch.ts";

/** One datagram: far below the smallest default socket buffer, so that several are under way at once. */
export const maximumDatagram = 64 * 1024;
const jsonLengthBytes = 4;
/** The JSON part of one message; names and numbers only. */
export const maximumJson = 32 * 1024;
/** Datagrams read before other sockets get their turn. */
const readsPerTurn = 32;

/** A message as received. `descriptors` belong to the receiver, who closes what it does not keep. */
export interface ChannelMessage {
  readonly json: unknown;
  readonly blob: Buffer;
  readonly descriptors: readonly number[];
}

interface Waiting {
  readonly packet: Buffer;
  readonly descriptors: readonly number[];
}

/**
 * Messages on a SOCK_SEQPACKET socket: | JSON length 32 | JSON | blob… |, descriptors beside the first datagram. A blob that does not fit follows in
 * datagrams of its own; `blob` in the JSON is its whole length. Order is kept. Anything malformed ends the channel, with the reason.
 */
export class PacketChannel {
  readonly #fd: number;
  readonly #maximumBlob: number;
  readonly #buffer = Buffer.alloc(maximumDatagram);
  readonly #watch: Watch;
  readonly #waiting: Waiting[] = [];
  #partial: { json: unknown; blob: Buffer; filled: number; descriptors: readonly number[] } | null = null;
  #onMessage: (message: ChannelMessage) => void = discard;
  #onClose: (reason: string) => void = () => {};
  #closed = false;

  /** Takes `fd` over. */
  constructor(fd: number, options: { readonly maximumBlob: number }) {
    this.#fd = fd;
    this.#maximumBlob = options.maximumBlob;
    this.#watch = new Watch(fd, { readable: true }, (ready) => this.#ready(ready));
  }

  get closed(): boolean {
    return this.#closed;
  }

  onMessage(handler: (message: ChannelMessage) => void): void {
    this.#onMessage = handler;
  }

  /** Told once, when the other end went away, sent something malformed, or after a failed call; not after `close`. */
  onClose(handler: (reason: string) => void): void {
    this.#onClose = handler;
  }

  /** Sends in order, now or when there is room; the descriptors may be closed by the caller at once. Does nothing on a closed channel. */
  send(message: Readonly<Record<string, unknown>>, blob: Uint8Array = new Uint8Array(0), descriptors: readonly number[] = []): void {
    if (this.#closed) return;
    const json = Buffer.from(JSON.stringify({ ...message, blob: blob.length }));
    if (json.length > maximumJson) throw new RangeError(`a message of ${json.length} bytes of JSON, at most ${maximumJson}`);
    if (blob.length > this.#maximumBlob) throw new RangeError(`a blob of ${blob.length} bytes, at most ${this.#maximumBlob}`);
    if (descriptors.length > maximumDescriptors) throw new RangeError(`${descriptors.length} descriptors with a message, at most ${maximumDescriptors}`);
    const head = Buffer.alloc(jsonLengthBytes);
    head.writeUInt32BE(json.length);
    const firstBlob = Math.min(blob.length, maximumDatagram - jsonLengthBytes - json.length);
    this.#post(Buffer.concat([head, json, blob.subarray(0, firstBlob)]), descriptors);
    for (let at = firstBlob; at < blob.length; at += maximumDatagram) this.#post(Buffer.from(blob.subarray(at, at + maximumDatagram)), []);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#watch.close();
    for (const waiting of this.#waiting.splice(0)) closeAll(waiting.descriptors);
    closeAll(this.#partial?.descriptors ?? []);
    this.#partial = null;
    libc.close(this.#fd);
  }

  #post(packet: Buffer, descriptors: readonly number[]): void {
    if (this.#closed) return;
    try {
      if (this.#waiting.length === 0 && sendPacket(this.#fd, packet, descriptors)) return;
    } catch (error) {
      // The end is reported from the event loop: whoever sends is in the middle of something.
      setImmediate(() => this.#end(String(error)));
      return;
    }
    this.#waiting.push({ packet, descriptors: descriptors.map(duplicate) });
    this.#watch.want({ readable: true, writable: true });
  }

  #ready(ready: Readiness): void {
    try {
      if (ready.writable) this.#flush();
      if (ready.readable || ready.disconnect) this.#receive();
    } catch (error) {
      this.#end((error as Error).message);
    }
  }

  #flush(): void {
    for (let next = this.#waiting[0]; next; next = this.#waiting[0]) {
      if (!sendPacket(this.#fd, next.packet, next.descriptors)) break;
      closeAll(next.descriptors);
      this.#waiting.shift();
    }
    if (this.#waiting.length === 0) this.#watch.want({ readable: true });
  }

  #receive(): void {
    for (let i = 0; i < readsPerTurn && !this.#closed; i++) {
      const packet = receivePacket(this.#fd, this.#buffer);
      if (!packet) return;
      if (packet.length === 0) return this.#end("closed by the other end");
      this.#take(this.#buffer.subarray(0, packet.length), packet.descriptors);
    }
  }

  #take(packet: Buffer, descriptors: readonly number[]): void {
    if (this.#partial) {
      if (descriptors.length > 0) closeAll(descriptors);
      if (descriptors.length > 0 || packet.length > this.#partial.blob.length - this.#partial.filled) throw new RangeError("a continued blob does not match its announced length");
      packet.copy(this.#partial.blob, this.#partial.filled);
      this.#partial.filled += packet.length;
    } else {
      try {
        this.#partial = { ...this.#first(packet), descriptors };
      } catch (error) {
        closeAll(descriptors);
        throw error;
      }
    }
    if (this.#partial.filled < this.#partial.blob.length) return;
    const { json, blob, descriptors: owned } = this.#partial;
    this.#partial = null;
    this.#onMessage({ json, blob, descriptors: owned });
  }

  #first(packet: Buffer): { json: unknown; blob: Buffer; filled: number } {
    const { json, rest } = readFirstDatagram(packet);
    const length = (json as { blob?: unknown }).blob;
    if (typeof length !== "number" || !Number.isInteger(length) || length < 0 || length > this.#maximumBlob) throw new RangeError(`a blob length of 0 to ${this.#maximumBlob} is expected, not ${String(length)}`);
    if (rest.length > length) throw new RangeError(`${rest.length} bytes follow where a blob of ${length} is announced`);
    const blob = Buffer.alloc(length);
    rest.copy(blob);
    return { json, blob, filled: rest.length };
  }

  #end(reason: string): void {
    if (this.#closed) return;
    this.close();
    this.#onClose(reason);
  }
}

/** Splits a message's first datagram. Throws RangeError naming what is wrong. */
export function readFirstDatagram(packet: Buffer): { json: object; rest: Buffer } {
  if (packet.length < jsonLengthBytes) throw new RangeError(`a datagram of ${packet.length} bytes has no JSON length`);
  const length = packet.readUInt32BE(0);
  if (length > maximumJson || length > packet.length - jsonLengthBytes) throw new RangeError(`a JSON part of ${length} bytes is announced in a datagram of ${packet.length}`);
  const end = jsonLengthBytes + length;
  const text = packet.toString("utf8", jsonLengthBytes, end);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new RangeError("a message is not JSON");
  }
  if (typeof json !== "object" || json === null || Array.isArray(json)) throw new RangeError("a message is not a JSON object");
  return { json, rest: packet.subarray(end) };
}

function discard(message: ChannelMessage): void {
  closeAll(message.descriptors);
}

const F_DUPFD_CLOEXEC = 1030;

function duplicate(descriptor: number): number {
  return check(libc.fcntl(descriptor, F_DUPFD_CLOEXEC, 0), "fcntl F_DUPFD_CLOEXEC");
}

function closeAll(descriptors: readonly number[]): void {
  for (const d of descriptors.slice(0, maximumDescriptors)) libc.close(d);
}
