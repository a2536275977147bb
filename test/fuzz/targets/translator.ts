import { Frame } from "../../../src-agent/dataplane/userspace/frame.ts";
import { Tables } from "../../../src-agent/dataplane/userspace/tables.ts";
import { Translator } from "../../../src-agent/dataplane/userspace/translator.ts";
import { addressBytes, parseAddress, type Address } from "../../../src-shared/net/address.ts";
import { encodeIcmp } from "../../../src-shared/protocol/wire/icmp.ts";
import { Feed } from "../feed.ts";
import { allowed, must, type Target } from "../target.ts";

const X = parseAddress("2001:db8:f::1");
const Y = parseAddress("2001:db8:e::1");
const own = parseAddress("2001:db8:1::1");
const homeAgent = parseAddress("2001:db8:f::ff");
const member = parseAddress("2001:db8:2::1");
const clients = ["2001:db8:c1::1", "2001:db8:c2::1"].map(parseAddress);
const everybody = [X, Y, own, homeAgent, member, ...clients, parseAddress("fe80::1"), parseAddress("ff02::1")];
const protocols = [6, 17, 58, 41, 43, 60, 135, 0, 44, 59] as const;
const mtu = 1500;
/** What a tunnel and an extension header add, and what an ICMPv6 error adds to what it quotes. */
const overhead = 40 + 24 + 48;
const inputs = 16;

/** The userspace data plane's translation, with any packet on any side, while its tables change. */
class World {
  #now = 0;
  #out = 0;
  #outBytes = 0;
  #counted = 0;
  readonly #translator: Translator;
  readonly #feed: Feed;

  constructor(feed: Feed) {
    this.#feed = feed;
    const send = (frame: Frame): void => {
      must(frame.at >= 0 && frame.at <= frame.end && frame.end <= frame.bytes.length, "a frame outside its buffer");
      must(frame.length >= 40 && frame.bytes[frame.at] !== undefined && (frame.bytes[frame.at] as number) >> 4 === 6, "what leaves is no IPv6 packet");
      this.#out++;
      this.#outBytes += frame.length;
    };
    this.#translator = new Translator(new Tables(), {
      mtu,
      self: addressBytes(own),
      selfText: own,
      now: () => this.#now,
      mayTell: () => true,
      used: () => {},
      toStack: send,
      toWire: send,
      toTunnel: (frame, source, destination, hopLimit) => {
        frame.encapsulate(source, destination, hopLimit);
        send(frame);
      },
      count: (_name, _bytes, packets = 1) => {
        this.#counted += packets;
      },
      unbound: () => {},
    });
    this.#translator.apply({ do: "locals", addresses: [own] });
    this.#translator.apply({ do: "home", home: X, ends: { careOf: own, homeAgent, via: feed.flag() ? homeAgent : member } });
    this.#translator.apply({ do: "members", home: X, members: [member] });
  }

  step(): void {
    const feed = this.#feed;
    const client = feed.pick(clients);
    switch (feed.below(8)) {
      case 0:
        return this.#translator.apply({ do: "client", home: X, client, state: feed.pick([{ kind: "unknown" }, { kind: "served" }, { kind: "held" }, { kind: "relayed", member }] as const), optimised: feed.flag() });
      case 1:
        return this.#setAway(feed.pick([X, Y]), feed.flag() ? feed.pick(everybody) : null);
      case 2:
        this.#now += feed.time();
        return this.#translator.expire();
      case 3:
        return this.#pass(false);
      default:
        return this.#pass(true);
    }
  }

  #setAway(home: Address, careOf: Address | null): void {
    this.#translator.apply(this.#feed.flag() ? { do: "bind", home, careOf, slot: 0 } : { do: "tunnel", home, careOf });
  }

  #pass(fromWire: boolean): void {
    const frame = this.#frame();
    const { length } = frame;
    this.#out = 0;
    this.#outBytes = 0;
    const counted = this.#counted;
    const holding = this.#translator.patienceMs >= 0;
    const isError = frame.next === 58;
    try {
      if (fromWire) this.#translator.fromWire(frame);
      else this.#translator.fromStack(frame);
    } catch (error) {
      // As its caller has it: headers that contradict themselves are counted and dropped.
      allowed(error, ["RangeError"]);
      return;
    }
    must(this.#out <= 1, `${this.#out} packets for one`);
    must(this.#outBytes <= length + overhead, "much more goes out than came in");
    // Errors that say nothing to anybody here end silently.
    const mayVanish = !fromWire || holding || this.#translator.patienceMs >= 0 || isError;
    if (this.#out === 0 && !mayVanish) must(this.#counted > counted, "lost without a reason");
  }

  /** A packet of headers that fit each other more often than not, then bytes as they come. */
  #frame(): Frame {
    const feed = this.#feed;
    let packet = this.#packet(feed.pick(everybody), feed.pick(everybody), feed.pick(protocols), feed.bytes(feed.below(80)));
    if (feed.flag()) packet = this.#packet(feed.pick(everybody), feed.pick(everybody), 41, packet);
    if (feed.below(4) === 3) packet = encodeIcmp({ source: feed.pick(everybody), destination: feed.pick(everybody), message: { kind: "packetTooBig", mtu: feed.u16(), invoking: packet } });
    // What the kernel says about large packets (segment.spec.ts) is the kernel's own, and not from the wire.
    return Frame.of(packet);
  }

  #packet(source: Address, destination: Address, next: number, payload: Uint8Array): Uint8Array {
    const feed = this.#feed;
    const extended = next === 43 || next === 60 ? Uint8Array.of(feed.pick(protocols), 2, next === 43 ? 2 : 1, 1, 0, 0, next === 43 ? 0 : 0xc9, 16, ...addressBytes(feed.pick(everybody)), ...payload) : payload;
    const packet = new Uint8Array(40 + extended.length);
    packet.set([0x60, 0, 0, 0, extended.length >> 8, extended.length & 0xff, next, feed.pick([64, 1, 0, 255])]);
    packet.set(addressBytes(source), 8);
    packet.set(addressBytes(destination), 24);
    packet.set(extended, 40);
    return packet;
  }
}

export const translator: Target = {
  name: "translator",
  weight: 1,
  longest: 500,
  seeds: () => [Uint8Array.from([0, 0, 0, 1, 1, 4, 0, 6, 5, 0, 0]), Uint8Array.from([1, 0, 0, 3, 0, 4, 5, 0, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 4, 2, 0, 0])],
  run: (input) => {
    const feed = new Feed(input);
    const world = new World(feed);
    for (let i = 0; i < inputs && feed.more; i++) world.step();
  },
};
