import { readFileSync } from "node:fs";
import { parseAddress, type Address } from "../../src-shared/net/address.ts";
import type { MobilityKey } from "../../src-shared/protocol/wire/authenticator.ts";
import type { MobilityPacket } from "../../src-shared/protocol/wire/message.ts";

/** One packet of mobility.json (see make_vectors.py): its bytes, what they say, and the keys it was signed with. */
export interface Vector {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly packet: MobilityPacket;
  readonly kbm?: Uint8Array;
  readonly mnHa?: MobilityKey;
  readonly careOf?: Address;
}

interface JsonVector {
  readonly name: string;
  readonly hex: string;
  readonly packet: MobilityPacket;
  readonly kbm?: string;
  readonly mnHa?: { readonly spi: number; readonly key: string };
  readonly careOf?: string;
}

export function fromHex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, "hex"));
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

export const vectorsFile = new URL("mobility.json", import.meta.url);

export function loadVectors(): Vector[] {
  const read = JSON.parse(readFileSync(vectorsFile, "utf8"), revive) as JsonVector[];
  return read.map(({ name, hex, packet, kbm, mnHa, careOf }) => ({
    name,
    bytes: fromHex(hex),
    packet,
    ...(kbm && { kbm: fromHex(kbm) }),
    ...(mnHa && { mnHa: { spi: mnHa.spi, key: fromHex(mnHa.key) } }),
    ...(careOf && { careOf: parseAddress(careOf) }),
  }));
}

/** `{"hex": …}` are bytes, `{"uint64": …}` a bigint. */
function revive(_key: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || Object.keys(value).length !== 1) return value;
  if ("hex" in value && typeof value.hex === "string") return fromHex(value.hex);
  if ("uint64" in value && typeof value.uint64 === "string") return BigInt(value.uint64);
  return value;
}
