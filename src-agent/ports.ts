import type { ServiceConfig } from "../src-shared/api/control.ts";
import type { Address } from "../src-shared/net/address.ts";

/** What a data plane has moved and refused; every refusal has a reason. */
export interface DataPlaneCounters {
  readonly translatedOut: number;
  readonly translatedIn: number;
  readonly tunnelledOut: number;
  readonly tunnelledIn: number;
  readonly relayed: number;
  readonly drops: Readonly<Record<string, number>>;
}

/**
 * Carries user packets for X between the wire and this host's sockets. One interface for the kernel, eBPF and TUN implementations.
 * Every method is idempotent, takes effect before it returns, and throws an error naming the system call that failed. Signalling
 * (protocol 135, tunnelled or not) is never translated here: it belongs to the Signalling port, and the kernel must not answer it.
 */
export interface DataPlane {
  readonly kind: "kernel" | "ebpf" | "userspace";

  /** Correspondent (§9.3): to `home` with a type 2 routing header via `careOf`; HAO packets from (`careOf`, `home`) accepted. */
  bind(home: Address, careOf: Address): void;
  unbind(home: Address): void;

  /** Home agent (§10.4): packets for `home` are tunnelled to `careOf`; reverse-tunnelled ones accepted only from `careOf` with inner source `home`. */
  tunnel(home: Address, careOf: Address): void;
  untunnel(home: Address): void;

  /**
   * Anycast node: `home` becomes local (on lo, never a default source). Packets from `home` to a client without an optimised entry leave
   * through `via` in an IPv6-in-IPv6 tunnel (the home agent at the contact, the contact at the others). Type 2 routing headers for `home` and
   * tunnels from `homeAgent` are accepted.
   */
  addHome(home: Address, options: { readonly careOf: Address; readonly homeAgent: Address; readonly via: Address }): void;
  removeHome(home: Address): void;

  /** Other members, whose tunnelled packets (C -> X inwards, X -> C outwards at the contact) are accepted. Replaces the list. */
  setMembers(home: Address, members: readonly Address[]): void;

  /** Route optimisation for one client: packets home -> client carry a Home Address option and leave with our care-of address. */
  optimise(home: Address, client: Address): void;
  unoptimise(home: Address, client: Address): void;

  /** Packets client -> home that still arrive here are tunnelled on to `member` instead of being delivered. */
  relay(home: Address, client: Address, member: Address): void;
  unrelay(home: Address, client: Address): void;

  /**
   * From now packets client -> home are kept (bounded: at most `limitBytes`, oldest dropped and counted) instead of delivered, because their
   * connection is still on its way. `release` delivers them in order and ends the hold; `discard` ends it without delivering.
   */
  hold(home: Address, client: Address): void;
  release(home: Address, client: Address): void;
  discard(home: Address, client: Address): void;

  counters(): DataPlaneCounters;
  /** Removes everything it made, in the reverse order. Safe to call twice, and after a failed start. */
  close(): void;
}

/** Raw IPv6 packets that carry a Mobility Header, in and out. */
export interface Signalling {
  /** `packet` starts at the IPv6 header and is sent as it is. Throws on system call failure. */
  send(packet: Uint8Array): void;
  /** Called with each packet (IPv6 header first, tunnel header included) and its arrival on the monotonic clock in ms. */
  onPacket(handler: (packet: Uint8Array, at: number) => void): void;
  close(): void;
}

/** The engine's clocks: monotonic milliseconds (the host's CLOCK_MONOTONIC, with fractions) and wall-clock milliseconds since 1970. */
export interface Clock {
  mono(): number;
  wall(): number;
}

/** One connection of a client to X, as people see it. */
export interface ConnectionInfo {
  readonly service: string;
  /** Local port at X and the client's port. */
  readonly port: number;
  readonly clientPort: number;
  /** `serving`: with its service · `closing`: the service is done, the kernel still delivers · `released`: frozen, on its way. */
  readonly phase: "serving" | "closing" | "released";
}

/**
 * A client's connections after their services let go of them: frozen and written down in `bundle`. Times are on the engine's monotonic clock.
 * The frozen sockets swallow what arrives, but their timers could still retransmit: `destroy` them as soon as the data plane keeps the client's
 * packets from this host's sockets (relay or hold). `resume` works before and after that.
 */
export interface Released {
  /** For `prepareAdopt` at the acceptor. At most `maximumBundleBytes` (src-agent/services/bundle.ts). */
  readonly bundle: Uint8Array;
  readonly connections: number;
  readonly frozenAt: number;
  /** Removes the frozen sockets without a packet. Idempotent; not an end: `resume` can still recreate them from the bundle. */
  destroy(): void;
  /** The handoff failed before the acceptor went live: the services here go on as if nothing had happened. Never after a success. */
  resume(): Promise<void>;
}

/** Sockets rebuilt from a bundle: they hold their place and drop what arrives, in complete silence, until activated. */
export interface Prepared {
  readonly connections: number;
  /**
   * Goes live. The sockets send before this returns (a window probe each, then unsent data); `done` settles when the services have taken over. A
   * connection whose service refuses it is reset and listed in `failed`; the others go on.
   */
  activate(): { readonly liveAt: number; readonly done: Promise<{ readonly failed: readonly string[] }> };
  /** Removes the sockets without a packet. */
  abort(): void;
}

/**
 * The services of this host and their TCP connections. Everything a client holds to X moves as one unit. Errors carry a stable `code`:
 * `refused` (a connection cannot move; the message says which and why; nothing has changed for the client), `bad-bundle` (from a peer, not to be
 * trusted), `no-service` (a bundle's service is not offered or not running here), `restore-failed` (a system call; it is named).
 */
export interface Connections {
  /** A connection of `client` was accepted; `first` when it had none before. Connections that arrive by `activate` are not told. */
  onClient(handler: (home: Address, client: Address, service: string, first: boolean) => void): void;
  /** The last connection of `client` ended here (closed or reset, not moved). */
  onIdle(handler: (home: Address, client: Address) => void): void;
  connectionsOf(home: Address, client: Address): readonly ConnectionInfo[];
  clientsOf(home: Address): readonly Address[];
  /**
   * Services stop producing for `client` and the kernel's send queues run empty, or `deadlineMs` passes. Resolves with the time taken and whether
   * they are empty. Follow with `release` or `proceed`.
   */
  drain(home: Address, client: Address, deadlineMs: number): Promise<{ readonly ms: number; readonly empty: boolean }>;
  /** Ends a drain without a handoff. */
  proceed(home: Address, client: Address): void;
  /** Takes every connection of `client` from its service, freezes them together and writes them down. Rejects with `refused`: all go on as before. */
  release(home: Address, client: Address): Promise<Released>;
  /** Checks a peer's bundle (local address `home`, peer `client`, offered ports, versions, bounds) and builds the sockets, still silent. Throws. */
  prepareAdopt(home: Address, client: Address, bundle: Uint8Array): Prepared;
}

/** Starts the services of a group on this host; the edge decides how (separate processes without capabilities). */
export interface ServiceProvider {
  /** Resolves when every service listens; rejects naming the one that does not, with nothing left running. */
  start(home: Address, services: readonly ServiceConfig[]): Promise<RunningServices>;
}

export interface RunningServices {
  readonly connections: Connections;
  close(): Promise<void>;
}
