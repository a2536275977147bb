import { addressBytes, type Address } from "../../../src-shared/net/address.ts";
import { SystemCallError } from "../../linux/libc.ts";
import { ArrivingRules, arrivedAt, has, put, type Expression } from "../../linux/nftables.ts";
import { matchAddress, matchNextHeader, type WordMatch } from "../../linux/trafficControl.ts";
import type { Moved } from "../../ports.ts";
import { names } from "../names.ts";

const sourceAt = 8;
const destinationAt = 24;
const nextHeaderAt = 6;
/** The extension header: next header and length; then 6 bytes that differ; then an address. */
const startAt = 42;
const addressAt = 48;
export const routing = 43;
export const destinationOptions = 60;
/** Each takes a number among the tc filters that let packets pass (redirects.ts), and a step in a list that arriving packets go along. */
const mostRules = 200;

/** §6.4 and §6.3, as everybody has to write them: bytes 2 to 7. */
export const typeTwoRouting = Uint8Array.of(2, 1, 0, 0, 0, 0);
export const homeAddressOption = Uint8Array.of(1, 2, 0, 0, 0xc9, 16);
/**
 * What they become: an option (type 30, for experiments, to be skipped where it is unknown) of 20 bytes: two that make up for what else has changed, so
 * that sums over the packet stay what they were (RFC 1624; a device may have summed it up already), two zero ones, and the address.
 */
export const afterRouting = Uint8Array.of(0x1e, 20, 0xd2, 0xec, 0, 0);
export const afterOption = Uint8Array.of(0x1e, 20, 0xab, 0xfe, 0, 0);

/** Arriving packets that a rule translates, as words for tc: those pass by the agent. */
export type Passing = readonly WordMatch[];

/**
 * Translation of arriving packets by nftables rules, where they are: addresses trade places, and what is left of the extension header is one that means
 * nothing to the stack. No copy of the packet for it, no thread. Only what needs no decision is done so; the rest goes to the thread.
 */
export class InPlace {
  readonly #rules = new ArrivingRules(names.arrivingTable);
  readonly #device: number;
  readonly #own: Uint8Array;
  readonly #names = new Set<string>();
  #gone: Moved = { packets: 0, bytes: 0 };

  /** `own`: the address of ours that bindings are for. Throws a SystemCallError when the kernel has no nftables. */
  constructor(device: number, own: Address) {
    this.#device = device;
    this.#own = addressBytes(own);
  }

  /** Packets from anybody to `home` by a routing header through `careOf`. Which ones; undefined when they are not translated here. */
  home(home: Address, careOf: Address): Passing | undefined {
    const [to, by] = [addressBytes(home), addressBytes(careOf)];
    const rule = [
      ...this.#extension(routing, typeTwoRouting, to),
      ...has(destinationAt, by),
      ...put(destinationAt, to),
      ...put(addressAt, by),
      ...put(startAt, afterRouting),
      ...put(nextHeaderAt, Uint8Array.of(destinationOptions)),
    ];
    return this.#add(`home ${home}`, rule) ? [...matchAddress(destinationAt, by), ...passing(routing, typeTwoRouting, to)] : undefined;
  }

  /** Packets with a Home Address option from `home` at `careOf`, to our own address. */
  binding(home: Address, careOf: Address): Passing | undefined {
    const [from, at] = [addressBytes(home), addressBytes(careOf)];
    const rule = [
      ...this.#extension(destinationOptions, homeAddressOption, from),
      ...has(sourceAt, at),
      ...has(destinationAt, this.#own),
      ...put(sourceAt, from),
      ...put(addressAt, at),
      ...put(startAt, afterOption),
    ];
    const words = [...matchAddress(sourceAt, at), ...matchAddress(destinationAt, this.#own), ...passing(destinationOptions, homeAddressOption, from)];
    return this.#add(`binding ${home}`, rule) ? words : undefined;
  }

  /** Forgets a rule; its packets must pass no longer. */
  forget(kind: "home" | "binding", home: Address): void {
    const name = `${kind} ${home}`;
    if (!this.#names.delete(name)) return;
    const count = this.#rules.counts().get(name);
    if (!count) return;
    this.#gone = { packets: this.#gone.packets + count.packets, bytes: this.#gone.bytes + count.bytes };
    this.#rules.remove(count.handle);
  }

  /** Packets that the binding's rule has translated. */
  packetsOf(home: Address): number {
    return this.#names.has(`binding ${home}`) ? (this.#rules.counts().get(`binding ${home}`)?.packets ?? 0) : 0;
  }

  /** Everything translated so far. */
  total(): Moved {
    let { packets, bytes } = this.#gone;
    for (const count of this.#rules.counts().values()) {
      packets += count.packets;
      bytes += count.bytes;
    }
    return { packets, bytes };
  }

  close(): void {
    this.#rules.close();
  }

  #extension(protocol: number, start: Uint8Array, address: Uint8Array): Expression[] {
    return [...arrivedAt(this.#device), ...has(nextHeaderAt, Uint8Array.of(protocol)), ...has(startAt - 1, Uint8Array.of(2, ...start)), ...has(addressAt, address)];
  }

  #add(name: string, rule: readonly Expression[]): boolean {
    if (this.#names.size >= mostRules) return false;
    try {
      this.#rules.add(name, rule);
    } catch (error) {
      // A kernel whose nftables cannot write into packets: the thread does it.
      if (error instanceof SystemCallError) return false;
      throw error;
    }
    this.#names.add(name);
    return true;
  }
}

/** The same conditions in the words of tc: what passes must be translated, or the kernel would answer with an error. */
function passing(protocol: number, start: Uint8Array, address: Uint8Array): WordMatch[] {
  const word = Buffer.from(start);
  return [
    matchNextHeader(protocol),
    { offset: 40, mask: 0x00ffffff, value: (2 << 16) | word.readUInt16BE(0) },
    { offset: 44, mask: 0xffffffff, value: word.readUInt32BE(2) },
    ...matchAddress(48, address),
  ];
}
