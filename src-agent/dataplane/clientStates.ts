import { randomBytes } from "node:crypto";
import { addressBytes, formatAddress, type Address } from "../../src-shared/net/address.ts";
import { grown, PackedIndex } from "../../src-shared/protocol/core/packedIndex.ts";

/** Where packets client -> home go (see DataPlane in ports.ts). A client without an entry is unknown. */
export type ClientState = { readonly kind: "unknown" | "served" | "held" } | { readonly kind: "relayed"; readonly member: Address };

/** One client of one home address, as the control side of a data plane sees it. */
export interface ClientEntry {
  readonly home: Address;
  readonly client: Address;
  readonly state: ClientState;
  readonly optimised: boolean;
}

export const stateNumbers = { unknown: 0, served: 1, held: 2, relayed: 3 } as const;

export type ClientKey = `${Address} ${Address}`;

export function clientKey(home: Address, client: Address): ClientKey {
  return `${home} ${client}`;
}

/** Clients of one home address that fit. */
const mostClients = 1 << 20;
const KIND = 0b011;
const OPTIMISED = 0b100;
const kinds = ["unknown", "served", "held", "relayed"] as const;

/** The clients that are in some state or optimised; one that is neither takes no room, any other about 30 bytes. */
export class ClientStates {
  readonly #homes = new Map<Address, HomeClients>();
  readonly #limit: number;

  constructor(limit = mostClients) {
    this.#limit = limit;
  }

  get(home: Address, client: Address): ClientEntry {
    return this.#homes.get(home)?.get(client) ?? { home, client, state: { kind: "unknown" }, optimised: false };
  }

  /** Stores an entry; false when it says nothing and was removed. Throws RangeError when there is no room for another client. */
  put(entry: ClientEntry): boolean {
    const clients = this.#homes.get(entry.home) ?? new HomeClients(entry.home, this.#limit);
    if (entry.state.kind === "unknown" && !entry.optimised) {
      clients.delete(entry.client);
      if (clients.size === 0) this.#homes.delete(entry.home);
      return false;
    }
    clients.put(entry);
    this.#homes.set(entry.home, clients);
    return true;
  }

  of(home: Address): ClientEntry[] {
    return this.#homes.get(home)?.all() ?? [];
  }

  /** Bytes of memory in the packed arrays. */
  get bytes(): number {
    return [...this.#homes.values()].reduce((sum, clients) => sum + clients.bytes, 0);
  }
}

/** Packed rows by client address. */
class HomeClients {
  readonly #home: Address;
  readonly #index: PackedIndex;
  readonly #members: Address[] = [];
  #flags = new Uint8Array(0);
  #member = new Uint16Array(0);

  constructor(home: Address, limit: number) {
    this.#home = home;
    this.#index = new PackedIndex(16, limit, randomBytes(4).readInt32LE());
  }

  get size(): number {
    return this.#index.size;
  }

  get bytes(): number {
    return this.#index.bytes + this.#flags.byteLength + this.#member.byteLength;
  }

  get(client: Address): ClientEntry | undefined {
    const slot = this.#index.find(addressBytes(client));
    return slot < 0 ? undefined : this.#read(slot, client);
  }

  put({ client, state, optimised }: ClientEntry): void {
    const slot = this.#index.add(addressBytes(client));
    if (slot < 0) throw new RangeError(`${this.#index.limit} clients of ${this.#home} have a state already: there is no room for another`);
    this.#flags = grown(this.#flags, this.#index.capacity);
    this.#member = grown(this.#member, this.#index.capacity);
    this.#flags[slot] = stateNumbers[state.kind] | (optimised ? OPTIMISED : 0);
    if (state.kind === "relayed") this.#member[slot] = this.#numberOf(state.member);
  }

  delete(client: Address): void {
    this.#index.remove(addressBytes(client));
  }

  all(): ClientEntry[] {
    return Array.from(this.#index.slots(), (slot) => this.#read(slot, formatAddress(this.#index.keyAt(slot))));
  }

  #read(slot: number, client: Address): ClientEntry {
    const flags = this.#flags[slot] as number;
    const kind = kinds[flags & KIND] as ClientState["kind"];
    const state: ClientState = kind === "relayed" ? { kind, member: this.#members[this.#member[slot] as number] as Address } : { kind };
    return { home: this.#home, client, state, optimised: (flags & OPTIMISED) !== 0 };
  }

  #numberOf(member: Address): number {
    const known = this.#members.indexOf(member);
    return known >= 0 ? known : this.#members.push(member) - 1;
  }
}
