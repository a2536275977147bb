import { addressBytes, formatAddress, type Address } from "../../../net/address.ts";
import { Deadlines } from "../deadlines.ts";
import { grown, PackedIndex } from "../packedIndex.ts";
import type { Millis } from "../step.ts";
import { MAX_UPDATE_RATE } from "../limits.ts";
import type { ContactClient } from "./contactClient.ts";

const capabilities = ["unknown", "mobile", "plain", "silent"] as const;
const CAPABILITY = 0b0011;
const ACTIVE = 0b0100;
const GRANTED = 0b1000;
const TOKEN_LENGTH = 8;
/** In a column of times: there is none. */
const NONE = Number.NaN;

/**
 * The clients that a contact knows. Nearly all of them are idle: those are rows of packed columns, about 120 bytes each with index and timer; only a
 * client with work under way, a wish waiting or a test that may yet be answered is an object. Both have a slot, and a deadline if they want to be woken. Changes in place; each
 * entry is replaced as a whole by what contact.ts makes of it. When it is full, new clients are not taken in.
 */
export class ClientStore {
  readonly #index: PackedIndex;
  readonly #deadlines = new Deadlines();
  readonly #busy = new Map<Address, ContactClient>();
  /** Names of members by number, for the column of servers. */
  readonly #names: string[] = [];
  #server = new Uint16Array(0);
  #nextSequence = new Uint16Array(0);
  #nonceIndex = new Uint16Array(0);
  #token = new Uint8Array(0);
  #flags = new Uint8Array(0);
  #receivedAt = new Float64Array(0);
  #boundUntil = new Float64Array(0);
  #refreshAt = new Float64Array(0);
  #retryAt = new Float64Array(0);
  #updates = new Float64Array(0);

  /** `seed`: 32 bits that peers cannot know. */
  constructor(limit: number, seed: number) {
    this.#index = new PackedIndex(16, limit, seed);
  }

  get size(): number {
    return this.#index.size;
  }

  /** Clients that are objects: with work under way, a wish waiting or a test that may yet be answered. */
  get busy(): number {
    return this.#busy.size;
  }

  get limit(): number {
    return this.#index.limit;
  }

  /** Bytes of memory in the packed arrays. */
  get bytes(): number {
    const columns = [this.#server, this.#nextSequence, this.#nonceIndex, this.#token, this.#flags, this.#receivedAt, this.#boundUntil, this.#refreshAt, this.#retryAt, this.#updates];
    return this.#index.bytes + this.#deadlines.bytes + columns.reduce((sum, column) => sum + column.byteLength, 0);
  }

  has(client: Address): boolean {
    return this.#index.find(addressBytes(client)) >= 0;
  }

  get(client: Address): ContactClient | undefined {
    const busy = this.#busy.get(client);
    if (busy) return busy;
    const slot = this.#index.find(addressBytes(client));
    return slot < 0 ? undefined : this.#read(slot, client);
  }

  /** Stores or replaces an entry, which wants to be woken at `wakeAt`. False when it is new and the store is full. */
  put(state: ContactClient, wakeAt: Millis | undefined): boolean {
    const slot = this.#index.add(addressBytes(state.client));
    if (slot < 0) return false;
    this.#reserve(this.#index.capacity);
    if (wakeAt === undefined) this.#deadlines.remove(slot);
    else this.#deadlines.set(slot, wakeAt);
    if (state.work.phase !== "idle" || state.late || state.waiting) {
      this.#busy.set(state.client, state);
    } else {
      this.#busy.delete(state.client);
      this.#write(slot, state);
    }
    return true;
  }

  delete(client: Address): void {
    const slot = this.#index.remove(addressBytes(client));
    if (slot < 0) return;
    this.#busy.delete(client);
    this.#deadlines.remove(slot);
  }

  /** The earliest time at which a client wants to be woken, or null. */
  nextWake(): Millis | null {
    return this.#deadlines.next() ?? null;
  }

  /** Takes the deadline off one client that is due, or null. */
  takeDue(now: Millis): Address | null {
    const next = this.#deadlines.next();
    if (next === undefined || next > now) return null;
    const slot = this.#deadlines.first();
    this.#deadlines.remove(slot);
    return formatAddress(this.#index.keyAt(slot));
  }

  /** Every client, for inspection: slow. */
  *entries(): Generator<ContactClient> {
    for (const slot of this.#index.slots()) {
      const client = formatAddress(this.#index.keyAt(slot));
      yield this.#busy.get(client) ?? this.#read(slot, client);
    }
  }

  #write(slot: number, { server, nextSequence, grant, capability, active, boundUntil, refreshAt, retryAt, updates }: ContactClient): void {
    this.#server[slot] = this.#numberOf(server);
    this.#nextSequence[slot] = nextSequence;
    this.#flags[slot] = capabilities.indexOf(capability) | (active ? ACTIVE : 0) | (grant ? GRANTED : 0);
    if (grant) {
      this.#token.set(grant.token, slot * TOKEN_LENGTH);
      this.#nonceIndex[slot] = grant.nonceIndex;
      this.#receivedAt[slot] = grant.receivedAt;
    }
    this.#boundUntil[slot] = boundUntil ?? NONE;
    this.#refreshAt[slot] = refreshAt;
    this.#retryAt[slot] = retryAt ?? NONE;
    for (let i = 0; i < MAX_UPDATE_RATE; i++) this.#updates[slot * MAX_UPDATE_RATE + i] = updates[i] ?? NONE;
  }

  #read(slot: number, client: Address): ContactClient {
    const flags = this.#flags[slot] as number;
    const timeIn = (column: Float64Array): Millis | null => (Number.isNaN(column[slot]) ? null : (column[slot] as Millis));
    const at = slot * TOKEN_LENGTH;
    const grant = { token: this.#token.slice(at, at + TOKEN_LENGTH), nonceIndex: this.#nonceIndex[slot] as number, receivedAt: this.#receivedAt[slot] as number };
    return {
      client,
      server: this.#names[this.#server[slot] as number] as string,
      nextSequence: this.#nextSequence[slot] as number,
      grant: (flags & GRANTED) !== 0 ? grant : null,
      capability: capabilities[flags & CAPABILITY] as ContactClient["capability"],
      active: (flags & ACTIVE) !== 0,
      boundUntil: timeIn(this.#boundUntil),
      refreshAt: this.#refreshAt[slot] as number,
      retryAt: timeIn(this.#retryAt),
      work: { phase: "idle" },
      late: null,
      updates: Array.from(this.#updates.subarray(slot * MAX_UPDATE_RATE, (slot + 1) * MAX_UPDATE_RATE)).filter((at) => !Number.isNaN(at)),
      waiting: null,
    };
  }

  #numberOf(name: string): number {
    const known = this.#names.indexOf(name);
    return known >= 0 ? known : this.#names.push(name) - 1;
  }

  #reserve(capacity: number): void {
    if (this.#flags.length >= capacity) return;
    this.#server = grown(this.#server, capacity);
    this.#nextSequence = grown(this.#nextSequence, capacity);
    this.#nonceIndex = grown(this.#nonceIndex, capacity);
    this.#token = grown(this.#token, capacity * TOKEN_LENGTH);
    this.#flags = grown(this.#flags, capacity);
    this.#receivedAt = grown(this.#receivedAt, capacity);
    this.#boundUntil = grown(this.#boundUntil, capacity);
    this.#refreshAt = grown(this.#refreshAt, capacity);
    this.#retryAt = grown(this.#retryAt, capacity);
    this.#updates = grown(this.#updates, capacity * MAX_UPDATE_RATE);
  }
}
