import { formatAddress, type Address } from "../../src-shared/net/address.ts";
import type { MobilityMessage, MobilityOption, MobilityPacket } from "../../src-shared/protocol/wire/message.ts";

/** Packets of every kind with every value and mix of options that may be sent; the same ones for the same seed (1..2^31-2). */
export function randomPackets(seed: number, count: number): MobilityPacket[] {
  const random = new Dice(seed);
  return Array.from({ length: count }, () => randomPacket(random));
}

class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** 0..sides-1, Park–Miller. */
  roll(sides: number): number {
    this.#state = (this.#state * 48271) % 0x7fff_ffff;
    return this.#state % sides;
  }

  flip(): boolean {
    return this.roll(2) === 1;
  }

  /** The ends of the range as often as all between. */
  unsigned(bits: 8 | 16): number {
    const most = 2 ** bits - 1;
    return [0, most, this.roll(most), this.roll(most)][this.roll(4)] as number;
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.roll(256));
  }

  /** Global unicast, some with runs of zeros. */
  address(): Address {
    const bytes = this.bytes(16);
    bytes[0] = 0x20;
    if (this.flip()) bytes.fill(0, 4 + this.roll(6), 15);
    return formatAddress(bytes);
  }

  pick<T>(from: readonly T[]): T {
    return from[this.roll(from.length)] as T;
  }
}

function randomPacket(random: Dice): MobilityPacket {
  const message = randomMessage(random);
  return {
    source: random.address(),
    destination: random.address(),
    ...(message.kind === "bindingUpdate" && random.flip() && { homeAddress: random.address() }),
    ...(message.kind === "bindingAcknowledgement" && random.flip() && { routingHomeAddress: random.address() }),
    ...(random.roll(4) === 0 && { tunnel: { source: random.address(), destination: random.address() } }),
    message,
  };
}

function randomMessage(random: Dice): MobilityMessage {
  const cookie = random.bytes(8);
  const token = random.bytes(8);
  const nonceIndex = random.unsigned(16);
  const options = randomOptions(random);
  return random.pick<() => MobilityMessage>([
    () => ({ kind: "bindingRefreshRequest", options: options() }),
    () => ({ kind: "homeTestInit", cookie, options: options() }),
    () => ({ kind: "careOfTestInit", cookie, options: options() }),
    () => ({ kind: "homeTest", nonceIndex, cookie, token, options: options() }),
    () => ({ kind: "careOfTest", nonceIndex, cookie, token, options: options() }),
    () => ({
      kind: "bindingUpdate",
      sequence: random.unsigned(16),
      acknowledge: random.flip(),
      homeRegistration: random.flip(),
      linkLocalCompatibility: random.flip(),
      keyManagement: random.flip(),
      lifetimeUnits: random.unsigned(16),
      options: options(),
    }),
    () => ({
      kind: "bindingAcknowledgement",
      status: random.unsigned(8),
      keyManagement: random.flip(),
      sequence: random.unsigned(16),
      lifetimeUnits: random.unsigned(16),
      options: options(),
    }),
    () => ({ kind: "bindingError", status: 1 + random.roll(2), homeAddress: random.address(), options: options() }),
  ])();
}

/** Each option at most once, in any order, the authenticator last. */
function randomOptions(random: Dice): () => MobilityOption[] {
  return () => {
    const drawers: readonly (() => MobilityOption)[] = [
      () => ({ kind: "bindingRefreshAdvice", intervalUnits: random.unsigned(16) }),
      () => ({ kind: "alternateCareOf", address: random.address() }),
      () => ({ kind: "nonceIndices", home: random.unsigned(16), careOf: random.unsigned(16) }),
      () => ({ kind: "mnIdentifier", subtype: 1, identifier: Uint8Array.from(Buffer.from("n".repeat(1 + random.roll(20)) + "@example.org")) }),
      () => ({ kind: "authentication", subtype: 1, spi: 256 + random.unsigned(16), data: random.bytes(12) }),
      () => ({ kind: "messageReplay", timestamp: (BigInt(3_900_000_000 + random.unsigned(16)) << 32n) | BigInt(random.roll(0x7fff_ffff)) }),
    ];
    const order = drawers.map((draw) => ({ draw, key: random.roll(1000) })).sort((a, b) => a.key - b.key);
    const chosen = order.filter(() => random.flip()).map(({ draw }) => draw());
    return random.flip() ? [...chosen, { kind: "bindingAuthorization", authenticator: random.bytes(12) }] : chosen;
  };
}
