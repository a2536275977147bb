import { connect as connectTcp } from "node:net";
import { connect, type TLSSocket } from "node:tls";
import type { Address } from "../../src-shared/net/address.ts";
import type { MemberMessage } from "../../src-shared/protocol/core/group/memberMessage.ts";
import { Door, handshakeMs } from "./door.ts";
import { encodeFrame, FrameReader } from "./frame.ts";
import type { KeepWindow } from "../ports.ts";

export interface MemberLinkOptions {
  readonly group: string;
  readonly self: { readonly name: string; readonly address: Address; readonly port: number };
  readonly members: readonly { readonly name: string; readonly address: Address; readonly port: number }[];
  /** PEM: the group's authority, our certificate, our key. The key never leaves this host. */
  readonly authority: string;
  readonly certificate: string;
  readonly privateKey: string;
  /** How many times longer than usual a member may be silent; 1 unless set. */
  readonly patience?: number;
  readonly keepWindow: KeepWindow;
  readonly onMessage: (from: string, message: MemberMessage) => void;
  readonly onUp: (member: string, rttMs: number) => void;
  readonly onDown: (member: string, reason: string) => void;
  readonly drop: (reason: string) => void;
}

interface Link {
  readonly socket: TLSSocket;
  readonly pings: Map<number, number>;
  nextPing: number;
  announced: boolean;
}

/**
 * Padding sent when a link comes up: a moved client's state must not wait for slow start, which would cost a round trip for each doubling from 14 KB.
 * It helps as long as the kernel keeps the window while the link is idle (net.ipv4.tcp_slow_start_after_idle = 0, set by main.ts; `keepWindow`).
 */
const paddingBytes = 512 << 10;
const pingEveryMs = 1000;
/** Unanswered pings after which a member counts as gone. */
const pingsMissed = 4;
/** Connecting takes no longer, or is tried again, ms. */
const connectMs = 2 * handshakeMs;

/**
 * One persistent TLS 1.3 connection to every other member of a group. Both sides present a certificate of the group's authority whose SAN names
 * group and member; anything else is refused. The member with the smaller name connects, so that there is one connection per pair.
 */
export class MemberLinks {
  readonly #options: MemberLinkOptions;
  readonly #door: Door;
  readonly #links = new Map<string, Link>();
  readonly #retries = new Map<string, NodeJS.Timeout>();
  readonly #pinger: NodeJS.Timeout;
  #closed = false;

  constructor(options: MemberLinkOptions) {
    this.#options = options;
    const { authority, certificate, privateKey, keepWindow, drop } = options;
    this.#door = new Door({ authority, certificate, privateKey, members: new Set(options.members.map((m) => m.address)), keepWindow, onProven: (socket) => this.#accept(socket), drop });
    for (const member of options.members) if (member.name !== options.self.name && options.self.name < member.name) this.#dial(member, 0);
    this.#pinger = setInterval(() => this.#ping(), pingEveryMs);
  }

  /** Resolves when the port is open; rejects when it cannot be bound. */
  listen(): Promise<void> {
    const { address, port } = this.#options.self;
    return this.#door.listen(address, port);
  }

  /** True when a link to the member stands. */
  isUp(member: string): boolean {
    return this.#links.has(member);
  }

  /** Sends in order, or returns false when there is no link; the caller decides what that means. */
  send(member: string, message: MemberMessage): boolean {
    const link = this.#links.get(member);
    if (!link) return false;
    write(link.socket, message);
    return true;
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#pinger);
    for (const timer of this.#retries.values()) clearTimeout(timer);
    for (const link of this.#links.values()) link.socket.destroy();
    this.#links.clear();
    this.#door.close();
  }

  #dial(member: { readonly name: string; readonly address: Address; readonly port: number }, attempt: number): void {
    if (this.#closed) return;
    const { authority, certificate, privateKey, self } = this.#options;
    const under = connectTcp({ host: member.address, port: member.port, localAddress: self.address, noDelay: true });
    under.once("connect", () => this.#options.keepWindow(under));
    const socket = connect({
      socket: under,
      ca: authority,
      cert: certificate,
      key: privateKey,
      minVersion: "TLSv1.3",
      checkServerIdentity: (_host, peer) => (memberOf(peer.subjectaltname, this.#options.group) === member.name ? undefined : new Error(`is not member ${member.name}`)),
    });
    // Somebody may hold the port there who never answers.
    const timer = setTimeout(() => socket.destroy(), connectMs).unref();
    socket.once("secureConnect", () => {
      clearTimeout(timer);
      this.#establish(member.name, socket);
    });
    socket.on("error", () => {}); // the close that follows carries the consequence
    socket.once("close", () => {
      clearTimeout(timer);
      const delay = Math.min(2000, 100 * 2 ** attempt);
      const stood = this.#links.has(member.name);
      this.#lost(member.name, socket, "connection closed");
      if (!this.#closed) this.#retries.set(member.name, setTimeout(() => this.#dial(member, stood ? 0 : attempt + 1), delay));
    });
  }

  #accept(socket: TLSSocket): void {
    const name = memberOf(socket.getPeerCertificate().subjectaltname, this.#options.group);
    socket.on("error", () => {});
    if (!name || !this.#options.members.some((m) => m.name === name)) {
      this.#options.drop("member port: a certificate of no member of the group");
      socket.destroy();
      return;
    }
    socket.once("close", () => this.#lost(name, socket, "connection closed"));
    this.#establish(name, socket);
  }

  #establish(member: string, socket: TLSSocket): void {
    if (this.#closed) return void socket.destroy();
    this.#links.get(member)?.socket.destroy(); // a member that restarted dials anew before its old connection has timed out
    const reader = new FrameReader();
    const link: Link = { socket, pings: new Map(), nextPing: 1, announced: false };
    this.#links.set(member, link);
    socket.on("data", (chunk: Buffer) => {
      try {
        for (const message of reader.push(chunk)) this.#receive(member, link, message);
      } catch (error) {
        this.#lost(member, socket, `malformed frame: ${(error as Error).message.slice(0, 200)}`);
        socket.destroy();
      }
    });
    this.#sendPing(link);
    write(socket, { kind: "padding", bundle: new Uint8Array(paddingBytes) });
  }

  #receive(member: string, link: Link, message: ReturnType<FrameReader["push"]>[number]): void {
    if (message.kind === "ping") {
      write(link.socket, { kind: "pong", nonce: message.nonce });
    } else if (message.kind === "pong") {
      const sent = link.pings.get(message.nonce);
      link.pings.clear();
      if (sent !== undefined && !link.announced) {
        link.announced = true;
        this.#options.onUp(member, performance.now() - sent);
      }
    } else if (message.kind !== "padding") {
      this.#options.onMessage(member, message);
    }
  }

  #ping(): void {
    for (const [member, link] of this.#links) {
      const missed = pingsMissed * (this.#options.patience ?? 1);
      if (link.pings.size >= missed) {
        this.#lost(member, link.socket, `no answer for ${missed} s`);
        link.socket.destroy();
      } else {
        this.#sendPing(link);
      }
    }
  }

  #sendPing(link: Link): void {
    const nonce = link.nextPing++;
    link.pings.set(nonce, performance.now());
    write(link.socket, { kind: "ping", nonce });
  }

  #lost(member: string, socket: TLSSocket, reason: string): void {
    const link = this.#links.get(member);
    if (link?.socket !== socket) return;
    this.#links.delete(member);
    if (link.announced && !this.#closed) this.#options.onDown(member, reason);
  }
}

function write(socket: TLSSocket, message: Parameters<typeof encodeFrame>[0]): void {
  socket.write(Buffer.concat(encodeFrame(message))); // one write, so that a small message is one TLS record
}

/** The member a certificate names, from the SAN `URI:urn:anycast-lab:group:<id>:member:<name>`, or null. */
export function memberOf(subjectAltName: string | undefined, group: string): string | null {
  const prefix = `URI:urn:anycast-lab:group:${group}:member:`;
  const entry = (subjectAltName ?? "").split(", ").find((part) => part.startsWith(prefix));
  return entry ? entry.slice(prefix.length) : null;
}
