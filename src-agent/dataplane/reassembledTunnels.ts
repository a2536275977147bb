import { formatAddress, type Address } from "../../src-shared/net/address.ts";
import { SystemCallError } from "../linux/libc.ts";
import { RawReceiver } from "../linux/rawReceiver.ts";
import { encapsulated } from "./tunnelFragments.ts";

const tunnelProtocol = 41;
const headerLength = 40;
const hopLimit = 64;

/**
 * Tunnel packets that came in fragments: the data planes leave fragments to the kernel, which reassembles them within its own bounds and gives them to a
 * raw socket for each peer. What comes whole never gets here: the data planes take it before.
 */
export class ReassembledTunnels {
  readonly #self: Address;
  readonly #onPacket: (packet: Uint8Array) => void;
  readonly #onForeign: () => void;
  readonly #receivers = new Map<string, RawReceiver>();
  readonly #tunnels = new Map<Address, Address>();
  readonly #homes = new Map<Address, { readonly careOf: Address; readonly homeAgent: Address }>();
  readonly #members = new Map<Address, readonly Address[]>();

  /** `onPacket` gets a whole packet, the tunnel's header in front, that the data plane decides about; `onForeign` is called for all others. */
  constructor(self: Address, onPacket: (packet: Uint8Array) => void, onForeign: () => void) {
    this.#self = self;
    this.#onPacket = onPacket;
    this.#onForeign = onForeign;
  }

  setTunnel(home: Address, careOf: Address | null): void {
    if (careOf) this.#tunnels.set(home, careOf);
    else this.#tunnels.delete(home);
    this.#follow();
  }

  setHome(home: Address, ends: { readonly careOf: Address; readonly homeAgent: Address } | null): void {
    if (ends) this.#homes.set(home, ends);
    else this.#homes.delete(home);
    this.#follow();
  }

  setMembers(home: Address, members: readonly Address[]): void {
    this.#members.set(home, members);
    this.#follow();
  }

  close(): void {
    for (const receiver of this.#receivers.values()) receiver.close();
    this.#receivers.clear();
  }

  /** A socket for each tunnel, and no others. */
  #follow(): void {
    const pairs = [
      ...[...this.#tunnels.values()].map((careOf) => [this.#self, careOf] as const),
      ...[...this.#homes].flatMap(([home, { careOf, homeAgent }]) => [homeAgent, ...(this.#members.get(home) ?? [])].map((peer) => [careOf, peer] as const)),
    ];
    const wanted = new Map(pairs.map((pair) => [pair.join(" "), pair]));
    for (const [key, receiver] of this.#receivers) {
      if (wanted.has(key)) continue;
      receiver.close();
      this.#receivers.delete(key);
    }
    for (const [key, [local, peer]] of wanted) {
      if (this.#receivers.has(key)) continue;
      const receiver = open(local, peer, (inner) => this.#take(local, peer, inner));
      if (receiver) this.#receivers.set(key, receiver);
    }
  }

  /** Only what a data plane surely takes: what it would leave to the kernel came from there, and would come again. */
  #take(local: Address, peer: Address, inner: Uint8Array): void {
    const isPacket = inner.length >= headerLength && (inner[0] as number) >> 4 === 6;
    const ours = isPacket && [formatAddress(inner, 8), formatAddress(inner, 24)].some((address) => this.#tunnels.has(address) || this.#homes.has(address));
    if (ours) this.#onPacket(encapsulated(inner, peer, local, hopLimit));
    else this.#onForeign();
  }
}

/** Undefined when this host has no such address, or no way to the peer: then nothing can come, either. */
function open(local: Address, peer: Address, onPayload: (payload: Uint8Array) => void): RawReceiver | undefined {
  try {
    return new RawReceiver(tunnelProtocol, local, peer, onPayload);
  } catch (error) {
    if (error instanceof SystemCallError && ["EADDRNOTAVAIL", "ENETUNREACH", "EHOSTUNREACH"].includes(error.code)) return undefined;
    throw error;
  }
}
