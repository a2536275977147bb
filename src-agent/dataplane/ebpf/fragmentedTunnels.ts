import { randomInt } from "node:crypto";
import { addressBytes, type Address } from "../../../src-shared/net/address.ts";
import { Frame, headroom } from "../userspace/frame.ts";
import { segments } from "../userspace/segment.ts";
import { encapsulated, fragmentsOf, NarrowTunnels } from "../tunnelFragments.ts";
import type { MobilityMaps } from "./maps.ts";

const expiryMs = 60_000;
const hopLimit = 64;

/** Ends of a tunnel of ours. */
export interface TunnelEnds {
  readonly source: Address;
  readonly destination: Address;
}

/** The programs leave packets on narrow ways to the agent (NOTICE_NARROW): here they are told which ways are, and get their fragments. */
export class FragmentedTunnels {
  readonly #maps: MobilityMaps;
  readonly #send: (packet: Uint8Array) => void;
  readonly #onCount: () => void;
  readonly #narrow = new NarrowTunnels();
  readonly #scratch = Buffer.alloc(headroom + 70_000);
  /** RFC 7739: not to be foreseen from outside, not soon repeated. */
  #identification = randomInt(2 ** 32);
  #expiry: NodeJS.Timeout | undefined;

  /** `onCount` is called when `size` has changed. */
  constructor(maps: MobilityMaps, send: (packet: Uint8Array) => void, onCount: () => void) {
    this.#maps = maps;
    this.#send = send;
    this.#onCount = onCount;
  }

  get size(): number {
    return this.#narrow.size;
  }

  /** See NarrowTunnels.learn. */
  learn(end: Address, innerMtu: number): void {
    if (!this.#narrow.learn(end, innerMtu, performance.now())) return;
    this.#maps.narrow.set(addressBytes(end), Buffer.from([1, 0, 0, 0]));
    this.#onCount();
    this.#expiry ??= setInterval(() => this.#expire(), expiryMs).unref();
  }

  /** Sends the inner packet of a frame that the programs left to us: all that they would have done to it is done but the tunnel's header. `skip` bytes of an old one go. */
  send(frame: Buffer, { source, destination }: TunnelEnds, skip: number): void {
    const whole = Frame.read(frame, 0, frame.length);
    if (!whole) return;
    whole.at += skip;
    for (const segment of segments(whole, this.#scratch)) {
      segment.finishChecksum();
      for (const fragment of fragmentsOf(encapsulated(segment.packet, source, destination, hopLimit), ++this.#identification)) this.#send(fragment);
    }
  }

  close(): void {
    clearInterval(this.#expiry);
  }

  #expire(): void {
    for (const end of this.#narrow.expire(performance.now())) this.#maps.narrow.delete(addressBytes(end));
    this.#onCount();
    if (this.#narrow.size > 0) return;
    clearInterval(this.#expiry);
    this.#expiry = undefined;
  }
}
