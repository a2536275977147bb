import { chmodSync, rmSync } from "node:fs";
import type { Address } from "../../src-shared/net/address.ts";
import { libc } from "../linux/libc.ts";
import type { Endpoint } from "../linux/sockaddr.ts";
import { resetOnClose } from "../linux/sockopt.ts";
import { acceptUnix, listenUnix, peerCredentials } from "../linux/unixSocket.ts";
import { Watch } from "../linux/watch.ts";
import type { Clock, ConnectionInfo, Connections, Prepared, Released, ReleaseHooks } from "../ports.ts";
import type { Transport } from "../../src-shared/protocol/core/group/dataWatch.ts";
import { transportOf } from "../tcp/transport.ts";
import { AdapterLink, type Accepted, type LinkEvents, type Registration } from "./adapterLink.ts";
import { AdapterProcess, type Log } from "./adapterProcess.ts";
import { ClientMover, type RouteHints } from "./clientMover.ts";
import { ClosingWatch } from "./closingWatch.ts";
import { connectionLimits, type ConnectionLimits } from "./connectionLimits.ts";
import { connectionInfo, ConnectionTable, describeConnection, type Connection } from "./connection.ts";
import { OfferedService } from "./offeredService.ts";

/** A service to offer at X. */
export interface ServiceOffer {
  readonly name: string;
  readonly port: number;
  /** Program and arguments that serve it; null when a process of someone else's will register. */
  readonly command: readonly string[] | null;
}

export interface ServiceHostOptions {
  /** Where service processes connect; made on start, removed on close. */
  readonly socketPath: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Users besides our own whose processes may serve. */
  readonly allowedUids?: readonly number[];
  readonly routeHints?: RouteHints;
  readonly limits?: ConnectionLimits;
  readonly drop: (reason: string) => void;
}

/** A service process of ours must have registered by then, in ms: on an emulated processor, one of several takes half a minute. */
const startWithinMs = 60_000;
/** Service processes that one connection may take down with it. */
const maximumOffers = 3;

/** The agent's side of the adapter protocol (docs/adapter.md): listening sockets, service processes, and every connection of every client. */
export class ServiceHost implements Connections {
  readonly #options: ServiceHostOptions;
  readonly #limits: ConnectionLimits;
  readonly #listenFd: number;
  readonly #watch: Watch;
  readonly #services = new Set<OfferedService>();
  readonly #links = new Set<AdapterLink>();
  readonly #table = new ConnectionTable();
  readonly #byId = new Map<number, Connection>();
  readonly #closing: ClosingWatch;
  readonly #mover: ClientMover;
  readonly #onClient: ((home: Address, client: Address, service: string, first: boolean) => void)[] = [];
  readonly #onIdle: ((home: Address, client: Address) => void)[] = [];
  readonly #registered = new Map<OfferedService, () => void>();

  /** Listens at once. Throws SystemCallError or RangeError. */
  constructor(options: ServiceHostOptions) {
    this.#options = options;
    this.#limits = options.limits ?? connectionLimits();
    this.#closing = new ClosingWatch((connection) => this.#gone(connection));
    this.#mover = new ClientMover({
      table: this.#table,
      closing: this.#closing,
      clock: options.clock,
      log: options.log,
      routeHints: options.routeHints ?? null,
      servicesAt: (home) => [...this.#services].filter((s) => s.home === home),
      adopt: (connection) => this.#byId.set(connection.id, connection),
      forget: (connection) => this.#byId.delete(connection.id),
      reset: (connection, reason) => this.#reset(connection, reason),
      gone: (connection) => this.#gone(connection),
    });
    rmSync(options.socketPath, { force: true });
    this.#listenFd = listenUnix(options.socketPath);
    chmodSync(options.socketPath, options.allowedUids?.length ? 0o666 : 0o600);
    this.#watch = new Watch(this.#listenFd, { readable: true }, () => this.#acceptLinks());
  }

  onClient(handler: (home: Address, client: Address, service: string, first: boolean) => void): void {
    this.#onClient.push(handler);
  }

  onIdle(handler: (home: Address, client: Address) => void): void {
    this.#onIdle.push(handler);
  }

  connectionsOf(home: Address, client: Address): readonly ConnectionInfo[] {
    return this.#table.of(home, client).map(connectionInfo);
  }

  clientsOf(home: Address): readonly Address[] {
    return this.#table.clientsOf(home);
  }

  transportOf(home: Address, client: Address, elicit: boolean): Transport {
    return transportOf(this.#table.of(home, client).flatMap(({ fd, phase }) => (fd >= 0 && phase !== "released" ? [fd] : [])), elicit);
  }

  drain(home: Address, client: Address, deadlineMs: number): Promise<{ readonly ms: number; readonly empty: boolean }> {
    return this.#mover.drain(home, client, deadlineMs);
  }

  proceed(home: Address, client: Address): void {
    this.#mover.proceed(home, client);
  }

  release(home: Address, client: Address, hooks?: ReleaseHooks): Promise<Released> {
    return this.#mover.release(home, client, hooks);
  }

  prepareAdopt(home: Address, client: Address, bundle: Uint8Array): Prepared {
    return this.#mover.prepareAdopt(home, client, bundle);
  }

  /**
   * Listens at [home]:port and starts the service's process. Resolves when it has registered (at once when `command` is null); rejects with
   * SystemCallError when the port cannot be had, or when no process registers in time. Nothing is left then.
   */
  async offer(home: Address, offer: ServiceOffer): Promise<void> {
    if ([...this.#services].some((s) => s.home === home && (s.port === offer.port || s.name === offer.name))) throw new Error(`${offer.name}: [${home}]:${offer.port} or this name is offered already`);
    const at: Endpoint = { address: home, port: offer.port };
    const service = new OfferedService(at, offer.name, {
      accepted: (s, fd, peer) => this.#accepted(s, fd, peer),
      expired: (connection) => this.#settle(connection, "no service process took it over in time"),
    });
    this.#services.add(service);
    if (!offer.command) return;
    service.process = new AdapterProcess(offer.name, offer.command, this.#options.log);
    try {
      await this.#firstRegistration(service);
    } catch (error) {
      await this.#drop(service, "the service did not start");
      throw error;
    }
  }

  /** Ends every service at `home`; its connections are reset. */
  async withdraw(home: Address): Promise<void> {
    await Promise.all([...this.#services].filter((s) => s.home === home).map((s) => this.#drop(s, "the service is withdrawn")));
  }

  /** Ends everything. Resolves when the processes are gone. */
  async close(): Promise<void> {
    this.#watch.close();
    libc.close(this.#listenFd);
    rmSync(this.#options.socketPath, { force: true });
    await Promise.all([...this.#services].map((s) => this.#drop(s, "the agent is stopping")));
    for (const link of this.#links) link.close("the agent is stopping");
    this.#closing.close();
  }

  async #drop(service: OfferedService, reason: string): Promise<void> {
    this.#services.delete(service);
    service.listener.close();
    for (const connection of this.#table.all()) {
      if (connection.home === service.home && connection.service === service.name && connection.phase !== "released") this.#reset(connection, reason);
    }
    const stopped = service.process?.stop();
    service.link?.close(reason);
    await stopped;
  }

  #firstRegistration(service: OfferedService): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#registered.delete(service);
        reject(new Error(`${service.name}: no service process registered within ${startWithinMs} ms (see its log lines)`));
      }, startWithinMs);
      this.#registered.set(service, () => {
        clearTimeout(timer);
        this.#registered.delete(service);
        resolve();
      });
    });
  }

  #acceptLinks(): void {
    for (let fd = acceptUnix(this.#listenFd); fd !== null; fd = acceptUnix(this.#listenFd)) {
      const { uid, pid } = peerCredentials(fd);
      if (uid !== process.getuid?.() && !this.#options.allowedUids?.includes(uid)) {
        this.#options.log("warn", `process ${pid} of user ${uid} may not serve here`);
        libc.close(fd);
        continue;
      }
      this.#links.add(new AdapterLink(fd, this.#linkEvents(pid)));
    }
  }

  #linkEvents(pid: number): LinkEvents {
    return {
      register: (link, registration) => this.#register(link, registration),
      message: (link, message, blob) => this.#onMessage(link, message, blob),
      closed: (link, reason) => this.#linkClosed(link, pid, reason),
    };
  }

  /**
   * What the process was serving is lost: those connections are reset. What it had been offered but did not confirm it has not touched, so the next
   * process gets it, unless several have died of it.
   */
  #linkClosed(link: AdapterLink, pid: number, reason: string): void {
    this.#links.delete(link);
    const service = this.#serviceOf(link);
    if (!service) return;
    service.detach();
    if (this.#services.has(service)) this.#options.log("warn", `${service.name}: the service process ${pid} is gone: ${reason}`);
    for (const connection of this.#table.all()) {
      if (connection.home !== service.home || connection.service !== service.name) continue;
      if (connection.phase === "offered" && connection.offers < maximumOffers) service.give(connection);
      else if (connection.phase === "serving" || connection.phase === "offered") this.#settle(connection, `its service process ended: ${reason}`);
    }
  }

  #register(link: AdapterLink, { service: name, port, home, version }: Registration): Accepted | { readonly code: string; readonly message: string } {
    const fitting = [...this.#services].filter((s) => s.name === name && s.port === port && (home === undefined || s.home === home));
    const [service] = fitting;
    if (!service) return { code: "not-offered", message: `"${name}" on port ${port} is not offered here` };
    if (fitting.length > 1) return { code: "ambiguous", message: `"${name}" on port ${port} is offered at ${fitting.map((s) => s.home).join(" and ")}: say which home` };
    if (service.link) return { code: "taken", message: `"${name}" on port ${port} is served by another process` };
    const start = () => {
      service.attach(link);
      this.#options.log("info", `${name} ${version} serves [${service.home}]:${port}`);
      this.#registered.get(service)?.();
    };
    return { home: service.home, start };
  }

  #onMessage(link: AdapterLink, message: Parameters<LinkEvents["message"]>[1], blob: Buffer): void {
    const connection = this.#byId.get(message.connection);
    const service = this.#serviceOf(link);
    if (!connection || connection.home !== service?.home || connection.service !== service.name) {
      // Messages about a connection that we have just reset may still be on their way; about another's, never.
      if (connection) link.close(`"${message.type}" about a connection of another service`);
      return;
    }
    switch (message.type) {
      case "adopted":
        return this.#settle(connection, null);
      case "failed":
        return this.#settle(connection, message.reason);
      case "released":
        if (this.#mover.answered(message.request, connection, { kind: "released", state: blob })) return;
        connection.handover = { state: blob, tail: new Uint8Array(0) };
        return service.give(connection);
      case "kept":
        return void this.#mover.answered(message.request, connection, { kind: "kept", reason: message.reason });
      case "closed":
        return this.#serviceDone(connection, message.how, message.reason);
    }
  }

  #serviceDone(connection: Connection, how: "finished" | "reset", reason: string): void {
    if (connection.phase !== "serving" && connection.phase !== "offered") return;
    this.#confirm(connection, null);
    if (how === "reset") this.#reset(connection, reason);
    else this.#closing.add(connection);
    this.#mover.closed(connection);
  }

  /** Ends the wait for a service to take a connection over: served, or reset with the reason. */
  #settle(connection: Connection, failure: string | null): void {
    if (connection.phase === "gone") return;
    if (failure === null && connection.phase !== "offered") return;
    if (failure === null) {
      connection.phase = "serving";
      connection.handover = null;
    } else {
      this.#reset(connection, failure);
    }
    this.#confirm(connection, failure);
    if (failure !== null) this.#mover.closed(connection);
  }

  #confirm(connection: Connection, failure: string | null): void {
    const settled = connection.onSettled;
    connection.onSettled = null;
    settled?.(failure);
  }

  #accepted(service: OfferedService, fd: number, peer: Endpoint): void {
    const full = this.#byId.size >= this.#limits.together ? "connections" : this.#table.countOf(service.home, peer.address) >= this.#limits.each ? "connections of one client" : null;
    if (full) {
      resetOnClose(fd);
      libc.close(fd);
      return this.#options.drop(`too many ${full} to the services here`);
    }
    const id = this.#table.nextId();
    const connection: Connection = {
      id,
      home: service.home,
      service: service.name,
      port: service.port,
      client: peer.address,
      clientPort: peer.port,
      fd,
      phase: "waiting",
      handover: null,
      offers: 0,
      peerEnded: false,
      onSettled: null,
    };
    this.#byId.set(id, connection);
    const first = this.#table.add(connection);
    if (!this.#mover.takeNew(connection)) service.give(connection);
    for (const tell of this.#onClient) tell(connection.home, connection.client, connection.service, first);
  }

  #reset(connection: Connection, reason: string): void {
    if (connection.phase === "gone") return;
    this.#options.log("info", `${describeConnection(connection)}: reset: ${reason}`);
    this.#closing.delete(connection);
    if (connection.fd >= 0) resetOnClose(connection.fd);
    this.#gone(connection);
  }

  #gone(connection: Connection): void {
    if (connection.phase === "gone") return;
    connection.phase = "gone";
    [...this.#services].find((s) => s.home === connection.home && s.name === connection.service)?.unqueue(connection);
    if (connection.fd >= 0) libc.close(connection.fd);
    connection.fd = -1;
    this.#byId.delete(connection.id);
    this.#confirm(connection, "the connection has ended");
    if (!this.#table.remove(connection)) return;
    // Told from the event loop: the last connection may end in the middle of a handoff.
    setImmediate(() => {
      if (this.#table.of(connection.home, connection.client).length > 0) return;
      for (const tell of this.#onIdle) tell(connection.home, connection.client);
    });
  }

  #serviceOf(link: AdapterLink): OfferedService | undefined {
    return [...this.#services].find((s) => s.link === link);
  }
}
