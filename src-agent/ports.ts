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
