import type { Socket } from "node:net";
import type { ServiceConfig } from "../src-shared/api/control.ts";
import type { Address } from "../src-shared/net/address.ts";
import type { Transport } from "../src-shared/protocol/core/group/dataWatch.ts";

/** Packets as the host's stack handles them (several segments at once where it does so), and their bytes from the outermost IPv6 header on. */
export interface Moved {
  readonly packets: number;
  readonly bytes: number;
}

/** What a data plane has moved and refused; every refusal has a reason. */
export interface DataPlaneCounters {
  readonly translatedOut: Moved;
  readonly translatedIn: Moved;
  readonly tunnelledOut: Moved;
  readonly tunnelledIn: Moved;
  readonly relayed: Moved;
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
  /** Whether packets to or from `home` were translated by its binding since `bind`, or since the last call (§9.5.5). False without a binding. */
  takeUse(home: Address): boolean;

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

  /**
   * What becomes of packets client -> home that arrive here, by routing header or tunnel. A client is in exactly one state, and `serve`, `hold` and
   * `relay` each replace the one before:
   * - *unknown* (at first, and after `unserve`, `unrelay`, `discard`): delivered to the stack when they come by routing header or from the home
   *   agent. From another member they may run ahead of the connection they belong to (the donor relays before the state has arrived), and the
   *   stack would answer with an RST: they are kept for about a second, bounded, and dropped and counted after that.
   * - *served*: delivered. `release` leads here too.
   * - *held*: kept in order, without a time limit, at most 4 MB a client, the oldest dropped and counted.
   * - *relayed*: tunnelled on to `member`, as they were, hop limit lowered; what came from that same member after a moment only.
   * Packets that were kept are delivered (`serve`, `release`) or relayed (`relay`) first, in order; `discard`, `unserve` and `unrelay` drop them.
   */
  serve(home: Address, client: Address): void;
  /** From served to unknown; nothing in any other state. */
  unserve(home: Address, client: Address): void;

  relay(home: Address, client: Address, member: Address): void;
  /** From relayed to unknown; nothing in any other state. */
  unrelay(home: Address, client: Address): void;

  hold(home: Address, client: Address): void;
  /** From held to served; nothing in any other state. */
  release(home: Address, client: Address): void;
  /** From held to unknown; nothing in any other state. */
  discard(home: Address, client: Address): void;

  /**
   * Called for packets that carried a Home Address option without a binding for just (`home`, `careOf`), §9.3.1; they are dropped. At most about
   * a thousand calls a second, however many arrive: all are counted.
   */
  onUnbound(handler: (home: Address, careOf: Address, destination: Address) => void): void;

  counters(): DataPlaneCounters;
  /** Removes everything it made, in the reverse order. Safe to call twice, and after a failed start. */
  close(): void;
}

/** Raw IPv6 packets that carry a Mobility Header, in and out. */
export interface Signalling {
  /** `packet` starts at the IPv6 header and is sent as it is. Returns when it left, on the monotonic clock in ms. Throws on system call failure. */
  send(packet: Uint8Array): number;
  /**
   * Called with each packet (IPv6 header first, tunnel header included) and its arrival on the monotonic clock in ms: the kernel's own timestamp.
   * Also sees packets that only pass through (at the home agent, at the contact): whether one is for this host is for the engine to say.
   */
  onPacket(handler: (packet: Uint8Array, at: number) => void): void;
  /** ICMPv6 errors (RFC 4443 §3) that arrived, tunnel header included: Parameter Problem is how a peer without Mobile IPv6 answers. */
  onError(handler: (packet: Uint8Array, at: number) => void): void;
  /** A TCP SYN (without ACK) from `client` to `home` came in a tunnel from `tunnelSource`; it goes to the stack as well. */
  onTunnelledSyn(handler: (client: Address, home: Address, tunnelSource: Address, at: number) => void): void;
  /** Packets that the kernel could not keep for us because we read too slowly, since the start. */
  lost(): number;
  close(): void;
}

/** The link of the data interface as a home link (RFC 6275 §10.4.1): home addresses on it are other nodes' neighbours. */
export interface HomeLinks {
  /** Milliseconds left of the valid lifetime of the prefix of ours, on the link, that `home` lies in (Infinity: for ever); undefined when it lies in none. */
  prefixValidMs(home: Address): number | undefined;
  /**
   * From here on the link's Neighbor Discovery about `home` is heard: `onPacket` gets each packet from its IPv6 header on, not yet checked, and the
   * link-layer address it came from. Throws an error that names what failed.
   */
  open(home: Address, onPacket: (packet: Uint8Array, from: Uint8Array) => void): HomeLinkSocket;
}

export interface HomeLinkSocket {
  /** Ours on that link, 6 bytes. */
  readonly linkLayer: Uint8Array;
  /** `packet` as it is; `to` is the link-layer address of a unicast destination. Throws an error naming the system call that failed. */
  send(packet: Uint8Array, to?: Uint8Array): void;
  close(): void;
}

/** Where home agents keep what must outlive a restart of the agent. Nothing in it is secret, and nobody else may write it. */
export interface HomeStore {
  /** Home addresses of which something is kept, readable or not. */
  list(): readonly Address[];
  /** What was kept for `home`, undefined when nothing is; throws an error that says what is wrong with it. */
  load(home: Address): unknown;
  /** On the disk before it returns. Throws; what was kept before can then no longer be read, so that nobody takes it for the newest. */
  save(home: Address, saved: unknown): void;
  remove(home: Address): void;
}

/** Datagrams from clients to one home address of this host (anything that is neither TCP nor signalling), as they arrive: a sample when there are many. */
export interface DatagramWatch {
  /** How many were not looked at since the last call. */
  takeLost(): number;
  close(): void;
}

/** Lets a connection keep the congestion window that it has once reached, as far as this host can. Never throws. */
export type KeepWindow = (connection: Socket) => void;

/** `tunnelSource` is null for packets with a type 2 routing header. Throws a SystemCallError. */
export type WatchDatagrams = (home: Address, handler: (client: Address, tunnelSource: Address | null) => void) => DatagramWatch;

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

/** Moments inside a release. */
export interface ReleaseHooks {
  /** The services have let go; the connections still live. */
  readonly beforeFreeze: () => void;
  /** They stand still; they have not been written down yet. */
  readonly onFrozen: () => void;
  /** How many times longer than usual services may take to let go; 1 unless set. */
  readonly patience?: number;
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
  /** What the client's sockets know of the path to it. With `elicit` each live one first sends a segment that the client must acknowledge. */
  transportOf(home: Address, client: Address, elicit: boolean): Transport;
  /**
   * Services stop producing for `client` and the kernel's send queues run empty, or `deadlineMs` passes. Resolves with the time taken and whether
   * they are empty. Follow with `release` or `proceed`.
   */
  drain(home: Address, client: Address, deadlineMs: number): Promise<{ readonly ms: number; readonly empty: boolean }>;
  /** Ends a drain without a handoff. */
  proceed(home: Address, client: Address): void;
  /** Takes every connection of `client` from its service, freezes them together and writes them down. Rejects with `refused`: all go on as before. */
  release(home: Address, client: Address, hooks?: ReleaseHooks): Promise<Released>;
  /** Checks a peer's bundle (local address `home`, peer `client`, offered ports, versions, bounds) and builds the sockets, still silent. Throws. */
  prepareAdopt(home: Address, client: Address, bundle: Uint8Array): Prepared;
}

/** Starts the services of a group on this host; the edge decides how (separate processes without capabilities). */
export interface ServiceProvider {
  /** Resolves when every service listens; rejects naming the one that does not, with nothing left running. `drop`: a connection that is refused, and why. */
  start(home: Address, services: readonly ServiceConfig[], drop: (reason: string) => void): Promise<RunningServices>;
}

export interface RunningServices {
  readonly connections: Connections;
  close(): Promise<void>;
}
