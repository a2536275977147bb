import type { Address } from "../../src-shared/net/address.ts";
import { connectionsPerMessage } from "../../src-shared/api/adapter.ts";
import type { Endpoint } from "../linux/sockaddr.ts";
import type { AdapterLink } from "./adapterLink.ts";
import type { AdapterProcess } from "./adapterProcess.ts";
import type { Connection } from "./connection.ts";
import { ServiceListener } from "./serviceListener.ts";

/** A connection with a history waits this long for its service process to come (back), in ms. */
const waitForProcessMs = 10_000;

/** One service at X: its listening socket, the process that serves it once it has registered, and the connections that wait for one. */
export class OfferedService {
  readonly home: Address;
  readonly name: string;
  readonly port: number;
  readonly listener: ServiceListener;
  process: AdapterProcess | null = null;
  #link: AdapterLink | null = null;
  readonly #waiting = new Set<Connection>();
  readonly #expired: (connection: Connection) => void;

  /** `expired`: no process came for it in time. */
  constructor(at: Endpoint, name: string, events: { readonly accepted: (service: OfferedService, fd: number, peer: Endpoint) => void; readonly expired: (connection: Connection) => void }) {
    this.home = at.address;
    this.name = name;
    this.port = at.port;
    this.#expired = events.expired;
    this.listener = new ServiceListener(at, (fd, peer) => events.accepted(this, fd, peer));
  }

  get link(): AdapterLink | null {
    return this.#link;
  }

  attach(link: AdapterLink): void {
    this.#link = link;
    for (const connection of this.#waiting) this.give(connection);
    this.#waiting.clear();
    this.listener.accepting = true;
  }

  detach(): void {
    this.#link = null;
    this.listener.accepting = false;
  }

  /** To the process, or to wait for one. */
  give(connection: Connection): void {
    const { id, client, clientPort, handover } = connection;
    if (!this.#link) {
      connection.phase = "waiting";
      this.#waiting.add(connection);
      if (handover) setTimeout(() => this.#expire(connection), waitForProcessMs).unref();
      return;
    }
    const peer = { address: client, port: clientPort };
    if (!handover) {
      connection.phase = "serving";
      this.#link.send({ type: "connection", connection: id, peer }, undefined, connection.fd);
      return;
    }
    connection.phase = "offered";
    connection.offers++;
    const message = { type: "adopt" as const, connection: id, peer, stateBytes: handover.state.length, peerEnded: connection.peerEnded };
    this.#link.send(message, Buffer.concat([handover.state, handover.tail]), connection.fd);
  }

  /** Takes a connection out of the queue for a process. */
  unqueue(connection: Connection): void {
    this.#waiting.delete(connection);
  }

  release(request: number, connections: readonly number[]): void {
    for (const part of slices(connections)) this.#link?.send({ type: "release", request, connections: part });
  }

  quiesce(connections: readonly number[]): void {
    for (const part of slices(connections)) this.#link?.send({ type: "quiesce", connections: part });
  }

  proceed(connections: readonly number[]): void {
    for (const part of slices(connections)) this.#link?.send({ type: "proceed", connections: part });
  }

  #expire(connection: Connection): void {
    if (this.#waiting.delete(connection)) this.#expired(connection);
  }
}

function slices(connections: readonly number[]): number[][] {
  const count = Math.ceil(connections.length / connectionsPerMessage);
  return Array.from({ length: count }, (_, i) => connections.slice(i * connectionsPerMessage, (i + 1) * connectionsPerMessage));
}
