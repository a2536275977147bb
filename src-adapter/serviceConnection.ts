import { constants } from "node:os";
import { errnoName, lastErrno, libc } from "../src-agent/linux/libc.ts";
import type { Endpoint } from "../src-agent/linux/sockaddr.ts";
import { resetOnClose } from "../src-agent/linux/sockopt.ts";
import { Watch, type Readiness } from "../src-agent/linux/watch.ts";
import { maximumPending, type Envelope } from "./envelope.ts";

const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const SHUT_WR = 1;
/** With more than this waiting, `write` asks its caller to pause. In bytes. */
const highWater = 256 * 1024;
const readBuffer = Buffer.alloc(64 * 1024);
/** Reads on one connection before the others get their turn. */
const readsPerTurn = 4;

/** What a service wants to hear about one connection. */
export interface ConnectionEvents {
  data(bytes: Buffer): void;
  /** The client has ended its side; more can still be written to it. */
  end(): void;
  /** After `write` answered false: there is room again. */
  drain(): void;
  /** Over, or out of our hands: nothing can be read or written any more. */
  gone(reason: string): void;
}

/**
 * A client's connection in a service. Every byte is either in the kernel's queue or in `pending` here, at any time, so that both can be moved exactly.
 * After `end` or `close` nothing may be written.
 */
export class ServiceConnection {
  readonly peer: Endpoint;
  readonly #fd: number;
  readonly #watch: Watch;
  readonly #onOver: (how: "finished" | "reset", reason: string) => void;
  #events: ConnectionEvents | null = null;
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #reading = false;
  #quiet = false;
  #wantsDrain = false;
  #endWanted = false;
  #ended = false;
  #closeWanted = false;
  #peerEnded: boolean;
  /** The client's end is known to the agent, but the socket will never show it. */
  readonly #endAfterQueue: boolean;
  #over = false;

  /** Takes `fd` over. `onOver` is told once, after the descriptor is closed, when the connection ends here. */
  constructor(fd: number, peer: Endpoint, from: { readonly envelope: Envelope; readonly peerEnded: boolean } | null, onOver: (how: "finished" | "reset", reason: string) => void) {
    this.#fd = fd;
    this.peer = peer;
    this.#onOver = onOver;
    this.#endWanted = from?.envelope.endWanted ?? false;
    this.#closeWanted = from?.envelope.closeWanted ?? false;
    this.#peerEnded = from?.envelope.peerEndSeen ?? false;
    this.#endAfterQueue = from?.peerEnded ?? false;
    if (from) this.#queue(Buffer.from(from.envelope.pending));
    this.#watch = new Watch(fd, { readable: true }, (ready) => this.#ready(ready));
    this.#watch.want({});
  }

  /** Starts events and what was under way before a move. */
  start(events: ConnectionEvents): void {
    this.#events = events;
    this.#reading = true;
    this.#flush();
    if (this.#endAfterQueue && !this.#peerEnded && !this.#over) setImmediate(() => this.#readToKnownEnd());
  }

  get over(): boolean {
    return this.#over;
  }

  /** Bytes taken from the service that the kernel has not taken yet. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** False when the caller should wait for `drain`; the bytes are taken all the same. */
  write(bytes: Uint8Array): boolean {
    if (this.#over || this.#endWanted || bytes.length === 0) return true;
    const chunk = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const sent = this.#pending.length === 0 && !this.#quiet ? this.#send(chunk) : 0;
    if (sent < chunk.length && !this.#over) this.#queue(Buffer.from(chunk.subarray(sent)));
    this.#adjust();
    if (this.#pendingBytes < highWater && !this.#quiet) return true;
    this.#wantsDrain = true;
    return false;
  }

  /**
   * Takes back the last of what was written, at most `limit` bytes, as far as the kernel has not taken it. Answers how many bytes: whoever can
   * produce them again need not have them moved.
   */
  takeBack(limit: number): number {
    const kept = Buffer.concat(this.#pending);
    const back = Math.min(limit, kept.length);
    this.#pending = kept.length === back ? [] : [kept.subarray(0, kept.length - back)];
    this.#pendingBytes -= back;
    return back;
  }

  /** No more will be written; reading goes on until the client ends too. */
  end(): void {
    this.#endWanted = true;
    this.#flush();
  }

  /** No more will be written or read. What was written is still delivered. */
  close(): void {
    this.#closeWanted = true;
    this.end();
  }

  /** Cuts the connection off; the client gets a reset. */
  reset(reason: string): void {
    if (this.#over) return;
    resetOnClose(this.#fd);
    this.#finish("reset", reason);
  }

  pause(): void {
    this.#reading = false;
    this.#adjust();
  }

  resume(): void {
    this.#reading = true;
    this.#adjust();
  }

  /** Nothing more goes to the kernel until `proceed`. */
  quiesce(): void {
    this.#quiet = true;
    this.#adjust();
  }

  proceed(): void {
    this.#quiet = false;
    this.#flush();
  }

  /** Why it cannot be let go of now, or null. */
  whyKept(): string | null {
    return this.#pendingBytes > maximumPending ? `${this.#pendingBytes} bytes wait to be sent, at most ${maximumPending} move` : null;
  }

  /** Lets go: our descriptor is closed, the connection itself lives on with the agent. */
  letGo(application: Uint8Array): Envelope {
    const envelope = { pending: Buffer.concat(this.#pending), endWanted: this.#endWanted, closeWanted: this.#closeWanted, peerEndSeen: this.#peerEnded, application };
    this.#over = true;
    this.#watch.close();
    libc.close(this.#fd);
    this.#events?.gone("moved");
    return envelope;
  }

  #queue(bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.#pending.push(bytes);
    this.#pendingBytes += bytes.length;
  }

  #ready(ready: Readiness): void {
    if (ready.writable) this.#flush();
    if (ready.readable && !this.#over) this.#read();
  }

  #read(): void {
    for (let i = 0; i < readsPerTurn && this.#reading && !this.#peerEnded && !this.#over; i++) {
      const length = libc.recv(this.#fd, readBuffer, readBuffer.length, MSG_DONTWAIT);
      if (length < 0) {
        const errno = lastErrno();
        if (errno !== constants.errno.EAGAIN && errno !== constants.errno.EINTR) this.reset(`read: ${errnoName(errno)}`);
        return;
      }
      if (length === 0) return this.#clientEnded();
      this.#tell((events) => events.data(Buffer.from(readBuffer.subarray(0, length))));
    }
  }

  /** The socket was rebuilt without the client's FIN: what it holds now is all there will ever be. */
  #readToKnownEnd(): void {
    if (this.#over || this.#peerEnded) return;
    const length = this.#reading ? libc.recv(this.#fd, readBuffer, readBuffer.length, MSG_DONTWAIT) : 0;
    if (length < 0) return this.#clientEnded();
    if (length > 0) this.#tell((events) => events.data(Buffer.from(readBuffer.subarray(0, length))));
    if (this.#reading) setImmediate(() => this.#readToKnownEnd());
    else setTimeout(() => this.#readToKnownEnd(), 5);
  }

  #clientEnded(): void {
    this.#peerEnded = true;
    this.#adjust();
    this.#tell((events) => events.end());
    this.#finishWhenDone();
  }

  #flush(): void {
    while (this.#pending.length > 0 && !this.#quiet && !this.#over) {
      const first = this.#pending[0] as Buffer;
      const sent = this.#send(first);
      this.#pendingBytes -= sent;
      if (sent < first.length) {
        this.#pending[0] = first.subarray(sent);
        break;
      }
      this.#pending.shift();
    }
    if (this.#over) return;
    if (this.#pending.length === 0 && this.#endWanted && !this.#ended && !this.#quiet) {
      this.#ended = true;
      libc.shutdown(this.#fd, SHUT_WR);
      this.#finishWhenDone();
    }
    this.#adjust();
    if (this.#wantsDrain && this.#pendingBytes === 0 && !this.#quiet && !this.#over) {
      this.#wantsDrain = false;
      this.#tell((events) => events.drain());
    }
  }

  /** How much the kernel took. */
  #send(bytes: Buffer): number {
    const sent = libc.send(this.#fd, bytes, bytes.length, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0) return sent;
    const errno = lastErrno();
    if (errno !== constants.errno.EAGAIN && errno !== constants.errno.EINTR) this.reset(`write: ${errnoName(errno)}`);
    return 0;
  }

  #finishWhenDone(): void {
    if (!this.#over && this.#ended && (this.#peerEnded || this.#closeWanted)) this.#finish("finished", "");
  }

  #finish(how: "finished" | "reset", reason: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#watch.close();
    libc.close(this.#fd);
    this.#onOver(how, reason);
    this.#events?.gone(how === "finished" ? "finished" : reason);
  }

  /** What a service throws costs it this connection, not the process with all the others. */
  #tell(what: (events: ConnectionEvents) => void): void {
    try {
      if (this.#events) what(this.#events);
    } catch (error) {
      console.error((error as Error).stack);
      this.reset(`the service failed: ${(error as Error).message}`);
    }
  }

  #adjust(): void {
    if (this.#over) return;
    this.#watch.want({ readable: this.#reading && !this.#peerEnded && !this.#endAfterQueue && this.#events !== null, writable: this.#pending.length > 0 && !this.#quiet });
  }
}
