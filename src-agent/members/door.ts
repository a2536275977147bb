import { createServer as createTcpServer, type Server as TcpServer, type Socket } from "node:net";
import { createServer as createTlsServer, type Server as TlsServer, type TLSSocket } from "node:tls";
import { parseAddress, type Address } from "../../src-shared/net/address.ts";
import type { KeepWindow } from "../ports.ts";

export interface DoorOptions {
  /** PEM: the group's authority, our certificate, our key. */
  readonly authority: string;
  readonly certificate: string;
  readonly privateKey: string;
  /** Where members connect from. */
  readonly members: ReadonlySet<Address>;
  readonly keepWindow: KeepWindow;
  /** A connection whose certificate the authority has issued: it may speak. */
  readonly onProven: (socket: TLSSocket) => void;
  readonly drop: (reason: string) => void;
  /** How long a handshake may take, ms. */
  readonly handshakeMs?: number;
}

interface Unproven {
  readonly socket: Socket;
  readonly source: Address;
  readonly timer: NodeJS.Timeout;
}

/** A handshake that takes longer has failed, ms, unless the options say otherwise: it needs two round trips. */
export const handshakeMs = 5_000;
/** Connections under way that have not shown a certificate yet: from one address, and together. */
export const unprovenEach = 8;
export const unprovenTogether = 64;

/**
 * The port at which other members connect. Until a connection has shown a certificate of the group's authority it may be anybody's: only addresses of
 * members get as far as the handshake (members connect from no other), few at a time, and not for long. Where there are too many the oldest must go, so that
 * whoever really is a member, and done within two round trips, gets in among others who only wait.
 */
export class Door {
  readonly #options: DoorOptions;
  readonly #port: TcpServer;
  readonly #tls: TlsServer;
  /** In the order of their arrival, by `endOf`. */
  readonly #unproven = new Map<string, Unproven>();

  constructor(options: DoorOptions) {
    this.#options = options;
    this.#tls = createTlsServer({ ca: options.authority, cert: options.certificate, key: options.privateKey, minVersion: "TLSv1.3", maxVersion: "TLSv1.3", requestCert: true, rejectUnauthorized: true }, (socket) => this.#proven(socket));
    this.#tls.on("tlsClientError", (_error, socket) => socket.destroy());
    this.#port = createTcpServer({ noDelay: true }, (socket) => this.#accept(socket));
  }

  /** Resolves when the port is open; rejects when it cannot be bound. */
  listen(address: Address, port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#port.once("error", (error) => reject(new Error(`cannot listen for members on [${address}]:${port}: ${error.message}`)));
      this.#port.listen({ host: address, port, ipv6Only: true }, resolve);
    });
  }

  /** Proven connections are their owner's. */
  close(): void {
    this.#port.close();
    for (const { socket, timer } of this.#unproven.values()) {
      clearTimeout(timer);
      socket.destroy();
    }
    this.#unproven.clear();
  }

  #accept(socket: Socket): void {
    socket.on("error", () => {});
    const source = sourceOf(socket);
    if (source === null || !this.#options.members.has(source)) {
      this.#options.drop("member port: a connection from an address that no member has");
      socket.destroy();
      return;
    }
    this.#makeRoom(source);
    const end = endOf(socket);
    // Not the time since its last byte: whoever trickles them gets no longer.
    const timer = setTimeout(() => this.#end(end, "member port: no certificate in time"), this.#options.handshakeMs ?? handshakeMs);
    this.#unproven.set(end, { socket, source, timer });
    this.#options.keepWindow(socket);
    // Unless it is proven by then, or ended for another reason.
    socket.once("close", () => this.#end(end, "member port: TLS handshake failed"));
    this.#tls.emit("connection", socket);
  }

  #makeRoom(source: Address): void {
    const same = [...this.#unproven].filter(([, unproven]) => unproven.source === source);
    const [tooMany] = same.length >= unprovenEach ? same : this.#unproven.size >= unprovenTogether ? this.#unproven : [];
    if (tooMany) this.#end(tooMany[0], "member port: too many connections without a certificate");
  }

  #proven(socket: TLSSocket): void {
    this.#forget(endOf(socket));
    this.#options.onProven(socket);
  }

  #end(end: string, reason: string): void {
    const unproven = this.#forget(end);
    if (!unproven) return;
    this.#options.drop(reason);
    unproven.socket.destroy();
  }

  #forget(end: string): Unproven | undefined {
    const unproven = this.#unproven.get(end);
    clearTimeout(unproven?.timer);
    this.#unproven.delete(end);
    return unproven;
  }
}

/** The other end: what a TLS connection and the TCP connection under it have in common. */
function endOf(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort}`;
}

/** Null for a connection that is gone already, or comes from an address with a zone, which no member has. */
function sourceOf(socket: Socket): Address | null {
  try {
    return parseAddress(socket.remoteAddress ?? "");
  } catch {
    return null;
  }
}
