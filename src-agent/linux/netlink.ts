import { check, libc, SystemCallError } from "./libc.ts";

/** A netlink attribute's payload by its type, as parsed from a message. */
export type Attributes = ReadonlyMap<number, Buffer>;

const AF_NETLINK = 16;
export const NETLINK_ROUTE = 0;
/** The protocol of netfilter. */
export const NETLINK_NETFILTER = 12;
/** The protocol of IPsec, and of route optimisation. */
export const NETLINK_XFRM = 6;
const SOCK_RAW_CLOEXEC = 3 | 0x80000;
const SOL_NETLINK = 270;
const NETLINK_EXT_ACK = 11;
const NLM_F_REQUEST = 1;
const NLM_F_ACK = 4;
const NLM_F_DUMP = 0x300;
const NLM_F_ACK_TLVS = 0x200;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLMSGERR_ATTR_MSG = 1;
const NFNL_MSG_BATCH_BEGIN = 0x10;
const NFNL_MSG_BATCH_END = 0x11;
const MSG_DONTWAIT = 0x40;

export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;

const align = (length: number): number => (length + 3) & ~3;

/** One attribute: u16 length, u16 type, payload, padding to 4 bytes. */
export function attribute(type: number, payload: Uint8Array): Buffer {
  const out = Buffer.alloc(align(4 + payload.length));
  out.writeUInt16LE(4 + payload.length, 0);
  out.writeUInt16LE(type, 2);
  out.set(payload, 4);
  return out;
}

export function u32Attribute(type: number, value: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32LE(value >>> 0);
  return attribute(type, payload);
}

export function textAttribute(type: number, text: string): Buffer {
  return attribute(type, Buffer.from(`${text}\0`));
}

/** An attribute that holds attributes (NLA_F_NESTED set). */
export function nestedAttribute(type: number, attributes: readonly Buffer[]): Buffer {
  return attribute(type | 0x8000, Buffer.concat(attributes));
}

/** The attributes from `at` to the end; a later one of the same type wins. Stops at the first malformed length. */
export function parseAttributes(bytes: Buffer, at = 0): Attributes {
  const found = new Map<number, Buffer>();
  for (let offset = at; offset + 4 <= bytes.length; ) {
    const length = bytes.readUInt16LE(offset);
    if (length < 4 || offset + length > bytes.length) break;
    found.set(bytes.readUInt16LE(offset + 2) & 0x3fff, bytes.subarray(offset + 4, offset + length));
    offset += align(length);
  }
  return found;
}

/** A nul-terminated string attribute. */
export function attributeText(payload: Buffer | undefined): string {
  if (!payload) return "";
  const end = payload.indexOf(0);
  return payload.toString("latin1", 0, end < 0 ? payload.length : end);
}

/**
 * A netlink socket, for routes and devices unless another protocol is named. The kernel answers requests before `send` returns, so every call is synchronous and short.
 * Errors are SystemCallErrors that carry the kernel's own explanation where it gives one.
 */
export class Netlink {
  #fd: number;
  #sequence = 0;
  readonly #reply = Buffer.alloc(65536);

  /** Throws EPROTONOSUPPORT when the kernel has nobody for this protocol. */
  constructor(protocol: number = NETLINK_ROUTE) {
    this.#fd = openNetlinkSocket(0, protocol);
    const on = Buffer.alloc(4);
    on.writeInt32LE(1);
    libc.setsockopt(this.#fd, SOL_NETLINK, NETLINK_EXT_ACK, on, 4);
  }

  /** Sends one request and waits for its acknowledgement. `what` says in words what is being done. */
  request(type: number, flags: number, body: Buffer, what: string): void {
    this.#send(type, flags | NLM_F_ACK, body, what);
    for (const message of this.#receive(what)) if (message.type === NLMSG_ERROR) return;
  }

  /** Sends messages to a subsystem of netfilter as one transaction: all of them take effect, or none. */
  transact(subsystem: number, messages: readonly { readonly type: number; readonly flags: number; readonly body: Buffer }[], what: string): void {
    const bracket = Buffer.of(0, 0, 0, subsystem);
    const sequence = ++this.#sequence;
    const last = messages.length - 1;
    const batch = Buffer.concat([
      encode(NFNL_MSG_BATCH_BEGIN, 0, sequence, bracket),
      ...messages.map(({ type, flags, body }, i) => encode(type, i === last ? flags | NLM_F_ACK : flags, sequence, body)),
      encode(NFNL_MSG_BATCH_END, 0, sequence, bracket),
    ]);
    check(libc.send(this.#fd, batch, batch.length, 0), `${what}: send(netlink)`);
    try {
      for (const message of this.#receive(what)) if (message.type === NLMSG_ERROR) return;
    } catch (error) {
      // Each message that failed has an answer of its own.
      while (libc.recv(this.#fd, this.#reply, this.#reply.length, MSG_DONTWAIT) > 0);
      throw error;
    }
  }

  /** Like `request`, but false instead of an error when the kernel answers one of `codes` (ENOENT, EEXIST, …). */
  attempt(type: number, flags: number, body: Buffer, what: string, codes: readonly string[]): boolean {
    try {
      this.request(type, flags, body, what);
      return true;
    } catch (error) {
      if (error instanceof SystemCallError && codes.includes(error.code)) return false;
      throw error;
    }
  }

  /** Sends one request that is answered by one message; returns that message's payload. */
  query(type: number, body: Buffer, what: string): Buffer {
    this.#send(type, 0, body, what);
    for (const message of this.#receive(what)) if (message.type !== NLMSG_ERROR) return Buffer.from(message.payload);
    throw new Error(`${what}: the kernel sent no answer`);
  }

  /** Like `query`, but undefined instead of an error when the kernel answers one of `codes`. */
  queryIfAny(type: number, body: Buffer, what: string, codes: readonly string[]): Buffer | undefined {
    try {
      return this.query(type, body, what);
    } catch (error) {
      if (error instanceof SystemCallError && codes.includes(error.code)) return undefined;
      throw error;
    }
  }

  /** All messages of a dump, payloads only. */
  dump(type: number, body: Buffer, what: string): Buffer[] {
    this.#send(type, NLM_F_DUMP, body, what);
    const found: Buffer[] = [];
    for (;;) {
      for (const message of this.#receive(what)) {
        if (message.type === NLMSG_DONE || message.type === NLMSG_ERROR) return found;
        found.push(Buffer.from(message.payload));
      }
    }
  }

  close(): void {
    if (this.#fd >= 0) libc.close(this.#fd);
    this.#fd = -1;
  }

  #send(type: number, flags: number, body: Buffer, what: string): void {
    const message = encode(type, flags, ++this.#sequence, body);
    check(libc.send(this.#fd, message, message.length, 0), `${what}: send(netlink)`);
  }

  /** One datagram's messages that answer the last request; throws when one of them is an error. */
  *#receive(what: string): Generator<{ type: number; payload: Buffer }> {
    const length = check(libc.recv(this.#fd, this.#reply, this.#reply.length, 0), `${what}: recv(netlink)`);
    for (let at = 0; at + 16 <= length; ) {
      const size = this.#reply.readUInt32LE(at);
      if (size < 16 || at + size > length) return;
      const type = this.#reply.readUInt16LE(at + 4);
      if (this.#reply.readUInt32LE(at + 8) === this.#sequence) {
        const payload = this.#reply.subarray(at + 16, at + size);
        if (type === NLMSG_ERROR) failOnError(payload, this.#reply.readUInt16LE(at + 6), what);
        yield { type, payload };
      }
      at += align(size);
    }
  }
}

function encode(type: number, flags: number, sequence: number, body: Buffer): Buffer {
  const message = Buffer.alloc(align(16 + body.length));
  message.writeUInt32LE(16 + body.length, 0);
  message.writeUInt16LE(type, 4);
  message.writeUInt16LE(flags | NLM_F_REQUEST, 6);
  message.writeUInt32LE(sequence, 8);
  message.set(body, 16);
  return message;
}

/** A netlink socket that hears the notifications of `groups`, a bit each (RTMGRP_…). */
export function openNetlinkSocket(groups: number, protocol: number): number {
  const fd = check(libc.socket(AF_NETLINK, SOCK_RAW_CLOEXEC, protocol), "socket(AF_NETLINK)");
  const address = Buffer.alloc(12);
  address.writeUInt16LE(AF_NETLINK, 0);
  address.writeUInt32LE(groups, 8);
  try {
    check(libc.bind(fd, address, address.length), "bind(AF_NETLINK)");
    return fd;
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

function failOnError(payload: Buffer, flags: number, what: string): void {
  const errno = -payload.readInt32LE(0);
  if (errno === 0) return;
  const headers = flags & 0x100 ? 20 : 4 + payload.readUInt32LE(4);
  const reason = flags & NLM_F_ACK_TLVS ? attributeText(parseAttributes(payload, align(headers)).get(NLMSGERR_ATTR_MSG)) : "";
  throw new SystemCallError(reason ? `${what} (${reason})` : what, errno);
}
