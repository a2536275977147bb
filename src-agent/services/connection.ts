import type { Address } from "../../src-shared/net/address.ts";
import type { ConnectionInfo } from "../ports.ts";

/** What a service process is to be given with a connection that has a history: its state, and bytes to send before anything else. */
export interface Handover {
  readonly state: Uint8Array;
  readonly tail: Uint8Array;
}

/**
 * One TCP connection of a client to X, as the agent knows it. The agent keeps a descriptor of its own from accept to the very end, so that it can
 * freeze the connection whatever becomes of the service, and still move it while the kernel delivers the last bytes.
 */
export interface Connection {
  readonly id: number;
  readonly home: Address;
  readonly service: string;
  readonly port: number;
  readonly client: Address;
  readonly clientPort: number;
  fd: number;
  /**
   * `waiting`: not given to a service process yet (`handover` null: new) · `offered`: given with its history, not confirmed · `serving` ·
   * `closing`: the service is done · `released`: out of the service's hands · `gone`: closed.
   */
  phase: "waiting" | "offered" | "serving" | "closing" | "released" | "gone";
  handover: Handover | null;
  /** How many service processes it has been offered to. */
  offers: number;
  /** The client has ended its side, though the kernel's state may not show it any more. */
  peerEnded: boolean;
  /** Settles an `offered` connection: null when served, else why not. */
  onSettled: ((failure: string | null) => void) | null;
}

export function describeConnection(c: Connection): string {
  return `${c.service} [${c.client}]:${c.clientPort}`;
}

export function connectionInfo(c: Connection): ConnectionInfo {
  const phase = c.phase === "closing" || c.phase === "released" ? c.phase : "serving";
  return { service: c.service, port: c.port, clientPort: c.clientPort, phase };
}

/** Who holds what, by X and client. Says when a client comes and when its last connection has ended. */
export class ConnectionTable {
  readonly #byHome = new Map<Address, Map<Address, Set<Connection>>>();
  #nextId = 1;

  nextId(): number {
    return this.#nextId++;
  }

  /** True when the client had none before. */
  add(connection: Connection): boolean {
    const clients = getOrMake(this.#byHome, connection.home, () => new Map<Address, Set<Connection>>());
    const set = getOrMake(clients, connection.client, () => new Set<Connection>());
    set.add(connection);
    return set.size === 1;
  }

  /** True when it was the client's last. */
  remove(connection: Connection): boolean {
    const clients = this.#byHome.get(connection.home);
    const set = clients?.get(connection.client);
    if (!clients || !set?.delete(connection)) return false;
    if (set.size > 0) return false;
    clients.delete(connection.client);
    if (clients.size === 0) this.#byHome.delete(connection.home);
    return true;
  }

  of(home: Address, client: Address): readonly Connection[] {
    return [...(this.#byHome.get(home)?.get(client) ?? [])];
  }

  countOf(home: Address, client: Address): number {
    return this.#byHome.get(home)?.get(client)?.size ?? 0;
  }

  clientsOf(home: Address): readonly Address[] {
    return [...(this.#byHome.get(home)?.keys() ?? [])];
  }

  all(): readonly Connection[] {
    return [...this.#byHome.values()].flatMap((clients) => [...clients.values()].flatMap((set) => [...set]));
  }
}

function getOrMake<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) map.set(key, (value = make()));
  return value;
}
