import { setTimeout as sleep } from "node:timers/promises";
import type { Address } from "../../src-shared/net/address.ts";
import { destroySocket, halfOpenSockets } from "../linux/sockDiag.ts";
import { outstandingBytes } from "../linux/tcpRepair.ts";
import type { Clock, Prepared, Released, ReleaseHooks } from "../ports.ts";
import { abort, activate, prepare } from "../tcp/restore.ts";
import type { TcpSnapshot } from "../tcp/snapshot.ts";
import { guardListener } from "../tcp/synGuard.ts";
import type { Log } from "./adapterProcess.ts";
import { decodeBundle, type BundleEntry } from "./bundle.ts";
import type { ClosingWatch } from "./closingWatch.ts";
import { describeConnection, type Connection, type ConnectionTable } from "./connection.ts";
import { ConnectionsError } from "./connectionsError.ts";
import type { OfferedService } from "./offeredService.ts";
import { destroyAll, freezeAll, refuseUnmovable, thaw, type Frozen, type Taken } from "./releaseClient.ts";
import { TakeOuts, type ReleaseAnswer } from "./takeOut.ts";

/** Lets the route to a client start with the window that its connection had at the donor (see docs/adapter.md, "A busy download"). */
export interface RouteHints {
  /** Before the client's sockets are rebuilt; `segments` is the largest congestion window among them. */
  initialWindow(home: Address, client: Address, segments: number): void;
}

/** What moving needs from the host. */
export interface MoverDependencies {
  readonly table: ConnectionTable;
  readonly closing: ClosingWatch;
  readonly clock: Clock;
  readonly log: Log;
  readonly routeHints: RouteHints | null;
  readonly servicesAt: (home: Address) => readonly OfferedService[];
  /** A connection is known by its id from now; or no longer. */
  readonly adopt: (connection: Connection) => void;
  readonly forget: (connection: Connection) => void;
  readonly reset: (connection: Connection, reason: string) => void;
  readonly gone: (connection: Connection) => void;
}

const none = new Uint8Array(0);
/** Handshakes of the client that are half done get this long to complete before a freeze, in ms. */
const handshakeWaitMs = 250;
const handshakePollMs = 5;
const drainPollMs = 1;

/** Moves all of a client's connections as one: out of their services, frozen, written down; and the same backwards. */
export class ClientMover {
  readonly #has: MoverDependencies;
  readonly #takeOuts = new TakeOuts();
  /** Clients whose new connections are kept from the services, because a release is under way. */
  readonly #releasing = new Map<string, Connection[]>();

  constructor(dependencies: MoverDependencies) {
    this.#has = dependencies;
  }

  answered(request: number, connection: Connection, answer: ReleaseAnswer): boolean {
    return this.#takeOuts.answer(request, connection.id, answer);
  }

  closed(connection: Connection): void {
    this.#takeOuts.closed(connection);
  }

  /** A connection accepted while its client is being released joins the release instead of being served. */
  takeNew(connection: Connection): boolean {
    const joined = this.#releasing.get(key(connection.home, connection.client));
    if (!joined) return false;
    connection.phase = "released";
    joined.push(connection);
    return true;
  }

  async drain(home: Address, client: Address, deadlineMs: number): Promise<{ readonly ms: number; readonly empty: boolean }> {
    const { table, clock } = this.#has;
    const startedAt = clock.mono();
    for (const [service, connections] of this.#byService(table.of(home, client))) service.quiesce(ids(connections));
    const isEmpty = () => table.of(home, client).every((c) => c.fd < 0 || outstandingBytes(c.fd) === 0);
    // A service hears of it with its next turn: what it writes until then must not be missed.
    do await sleep(drainPollMs);
    while (!isEmpty() && clock.mono() - startedAt < deadlineMs);
    return { ms: clock.mono() - startedAt, empty: isEmpty() };
  }

  proceed(home: Address, client: Address): void {
    for (const [service, connections] of this.#byService(this.#has.table.of(home, client))) service.proceed(ids(connections));
  }

  async release(home: Address, client: Address, hooks: ReleaseHooks = { beforeFreeze: () => {}, onFrozen: () => {} }): Promise<Released> {
    const { table, servicesAt, clock } = this.#has;
    const name = key(home, client);
    if (this.#releasing.has(name)) throw new ConnectionsError("refused", `${client} is being handed off already`);
    const joined: Connection[] = [];
    this.#releasing.set(name, joined);
    this.#guardListeners(home);
    try {
      for (const service of servicesAt(home)) service.listener.acceptWaiting();
      const connections = table.of(home, client).filter((c) => !joined.includes(c));
      refuseUnmovable(connections);
      // Handshakes are looked for while the services let go: a connection that is accepted meanwhile joins.
      const [taken] = await Promise.all([this.#takeOut(connections, hooks.patience ?? 1), this.#settleHandshakes(home, client)]);
      for (const service of servicesAt(home)) service.listener.acceptWaiting();
      taken.push(...joined.splice(0).map((connection) => ({ connection, phase: "fresh" as const, state: none })));
      return this.#freeze(taken, clock, hooks);
    } finally {
      this.#releasing.delete(name);
      this.#guardListeners(home);
      for (const connection of joined) this.#giveBack({ connection, phase: "fresh", state: none });
    }
  }

  #freeze(taken: readonly Taken[], clock: Clock, hooks: ReleaseHooks): Released {
    const present = taken.filter(({ connection }) => connection.phase !== "gone");
    let result: ReturnType<typeof freezeAll>;
    try {
      hooks.beforeFreeze();
      result = freezeAll(present, () => clock.mono(), hooks.onFrozen);
    } catch (error) {
      for (const each of present) this.#giveBack(each);
      throw error;
    }
    const { frozen, ended, bundle, frozenAt } = result;
    for (const { connection } of ended) this.#has.gone(connection);
    for (const { connection, tcp } of frozen) connection.peerEnded = tcp.peerEnded;
    let destroyed = false;
    const destroy = () => {
      if (destroyed) return;
      destroyed = true;
      destroyAll(frozen);
      for (const { connection } of frozen) this.#drop(connection);
    };
    return { bundle, connections: frozen.length, frozenAt, destroy, resume: () => this.#resume(frozen, destroyed) };
  }

  async #resume(frozen: readonly Frozen[], destroyed: boolean): Promise<void> {
    await Promise.all(
      frozen.map(async (each) => {
        if (!destroyed) {
          thaw(each.connection);
          return this.#giveBack(each);
        }
        const connection = this.#newConnection(each.connection, each.tcp);
        connection.fd = prepare(each.tcp);
        await this.#goLive(connection, each.phase, each.state, each.tcp);
      }),
    );
  }

  prepareAdopt(home: Address, client: Address, bundle: Uint8Array): Prepared {
    const entries = this.#checked(home, client, bundle);
    const { routeHints, clock } = this.#has;
    routeHints?.initialWindow(home, client, Math.max(0, ...entries.map(({ tcp }) => tcp.congestionWindow)));
    const prepared: { readonly entry: BundleEntry; readonly fd: number }[] = [];
    const undo = () => {
      for (const { fd } of prepared.splice(0)) abort(fd);
    };
    for (const entry of entries) {
      try {
        prepared.push({ entry, fd: prepare(entry.tcp) });
      } catch (error) {
        undo();
        throw new ConnectionsError("restore-failed", `${entry.service} [${client}]:${entry.tcp.peer.port}: ${(error as Error).message}`);
      }
    }
    return {
      connections: entries.length,
      abort: undo,
      activate: () => {
        // The one with the least to copy first: it tells the client soonest that somebody is there.
        const order = prepared.splice(0).toSorted((a, b) => a.entry.tcp.sendQueue.length - b.entry.tcp.sendQueue.length);
        let liveAt: number | null = null;
        const settled = order.map(({ entry, fd }) => {
          const connection = this.#newConnection({ home, client, service: entry.service, port: entry.tcp.local.port, clientPort: entry.tcp.peer.port }, entry.tcp);
          connection.fd = fd;
          return this.#goLive(connection, entry.phase, entry.state, entry.tcp, () => (liveAt ??= clock.mono()));
        });
        return { liveAt: liveAt ?? clock.mono(), done: Promise.all(settled).then((reasons) => ({ failed: reasons.filter((reason) => reason !== null) })) };
      },
    };
  }

  /** Rebuilt socket to live connection to its service. Resolves with null when served, else with the reason; never rejects. */
  async #goLive(connection: Connection, phase: BundleEntry["phase"], state: Uint8Array, tcp: TcpSnapshot, onLive: () => void = () => {}): Promise<string | null> {
    const { table, adopt, closing, reset } = this.#has;
    table.add(connection);
    adopt(connection);
    try {
      const tail = activate(connection.fd, tcp, onLive);
      if (phase === "closing") {
        closing.add(connection);
        return null;
      }
      // A new connection needs telling only of what its socket cannot show.
      connection.handover = phase === "fresh" && tail.length === 0 && !connection.peerEnded ? null : { state, tail };
    } catch (error) {
      const reason = `${describeConnection(connection)}: ${(error as Error).message}`;
      reset(connection, (error as Error).message);
      return reason;
    }
    return this.#give(connection);
  }

  #give(connection: Connection): Promise<string | null> {
    const service = this.#serviceOf(connection);
    if (!service) {
      this.#has.reset(connection, "its service is not offered any more");
      return Promise.resolve(`${describeConnection(connection)}: its service is not offered any more`);
    }
    if (!connection.handover) {
      service.give(connection);
      return Promise.resolve(null);
    }
    const settled = new Promise<string | null>((resolve) => {
      connection.onSettled = (failure) => resolve(failure === null ? null : `${describeConnection(connection)}: ${failure}`);
    });
    service.give(connection);
    return settled;
  }

  #giveBack({ connection, phase, state }: Taken): void {
    if (connection.phase === "gone") return;
    if (phase === "closing") return this.#has.closing.add(connection);
    connection.handover = phase === "fresh" ? null : { state, tail: none };
    void this.#give(connection);
  }

  /** Asks the services for their connections. All or none: when one is kept the others go back, and ConnectionsError `refused` says why. */
  async #takeOut(connections: readonly Connection[], patience: number): Promise<Taken[]> {
    const asked = connections.filter((c) => c.phase === "serving" || c.phase === "offered");
    const taken: Taken[] = [];
    for (const connection of connections) {
      if (asked.includes(connection)) continue;
      taken.push({ connection, phase: connection.phase === "closing" ? "closing" : "fresh", state: none });
      this.#serviceOf(connection)?.unqueue(connection);
      this.#has.closing.delete(connection);
      connection.phase = "released";
    }
    const answers = await this.#takeOuts.ask(asked, patience, (request) => {
      for (const [service, mine] of this.#byService(asked)) service.release(request, ids(mine));
    });
    const refusals: string[] = [];
    for (const [connection, answer] of answers) {
      if (answer.kind === "released") {
        connection.phase = "released";
        taken.push({ connection, phase: "serving", state: answer.state });
      } else if (answer.kind === "closed" && connection.phase === "closing") {
        this.#has.closing.delete(connection);
        connection.phase = "released";
        taken.push({ connection, phase: "closing", state: none });
      } else if (answer.kind !== "closed") {
        refusals.push(`${describeConnection(connection)}: ${answer.kind === "kept" ? answer.reason : "its service did not answer"}`);
      }
    }
    if (refusals.length === 0) return taken;
    for (const each of taken) this.#giveBack(each);
    throw new ConnectionsError("refused", refusals.join("; "));
  }

  #guardListeners(home: Address): void {
    const clients = [...this.#releasing.keys()].filter((name) => name.startsWith(key(home, "" as Address))).map((name) => name.slice(home.length + 1) as Address);
    for (const service of this.#has.servicesAt(home)) guardListener(service.listener.fd, clients);
  }

  /**
   * Gives half-done handshakes time to complete. What is left then is dropped without a packet: its repeated SYN-ACK would make the client answer
   * somebody who knows nothing of it, while its repeated SYN finds whoever serves it then.
   */
  async #settleHandshakes(home: Address, client: Address): Promise<void> {
    const ports = this.#has.servicesAt(home).map((s) => s.port);
    const until = this.#has.clock.mono() + handshakeWaitMs;
    const halfDone = () => halfOpenSockets().filter(({ local, peer }) => local.address === home && ports.includes(local.port) && peer.address === client);
    let left = halfDone();
    while (left.length > 0 && this.#has.clock.mono() < until) {
      await sleep(handshakePollMs);
      left = halfDone();
    }
    for (const ends of left) destroySocket(ends);
  }

  #checked(home: Address, client: Address, bundle: Uint8Array): readonly BundleEntry[] {
    let entries: readonly BundleEntry[];
    try {
      entries = decodeBundle(bundle);
    } catch (error) {
      throw new ConnectionsError("bad-bundle", (error as Error).message);
    }
    const services = this.#has.servicesAt(home);
    for (const { service: name, phase, tcp } of entries) {
      if (tcp.local.address !== home) throw new ConnectionsError("bad-bundle", `local address ${tcp.local.address}, expected ${home}`);
      if (tcp.peer.address !== client) throw new ConnectionsError("bad-bundle", `peer address ${tcp.peer.address}, expected ${client}`);
      const service = services.find((s) => s.port === tcp.local.port);
      if (!service) throw new ConnectionsError("no-service", `nothing is offered on port ${tcp.local.port} here`);
      if (service.name !== name) throw new ConnectionsError("no-service", `port ${tcp.local.port} is "${service.name}" here, not "${name}"`);
      if (!service.link && phase !== "closing") throw new ConnectionsError("no-service", `the process of "${name}" is not running here`);
    }
    return entries;
  }

  #newConnection(from: Pick<Connection, "home" | "client" | "service" | "port" | "clientPort">, tcp: TcpSnapshot): Connection {
    const { home, client, service, port, clientPort } = from;
    return { id: this.#has.table.nextId(), home, client, service, port, clientPort, fd: -1, phase: "waiting", handover: null, offers: 0, peerEnded: tcp.peerEnded, onSettled: null };
  }

  /** It lives elsewhere now: no farewell. */
  #drop(connection: Connection): void {
    connection.phase = "gone";
    this.#has.forget(connection);
    this.#has.table.remove(connection);
  }

  #serviceOf(connection: Connection): OfferedService | undefined {
    return this.#has.servicesAt(connection.home).find((s) => s.name === connection.service);
  }

  #byService(connections: readonly Connection[]): Map<OfferedService, Connection[]> {
    const grouped = new Map<OfferedService, Connection[]>();
    for (const connection of connections) {
      const service = this.#serviceOf(connection);
      if (service) grouped.set(service, [...(grouped.get(service) ?? []), connection]);
    }
    return grouped;
  }
}

function ids(connections: readonly Connection[]): number[] {
  return connections.map((c) => c.id);
}

function key(home: Address, client: Address): string {
  return `${home} ${client}`;
}
