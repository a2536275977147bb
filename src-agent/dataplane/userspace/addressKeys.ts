import { addressBytes, type Address } from "../../../src-shared/net/address.ts";

/** A power of two: more than there are peers at a time, mostly. */
const places = 4096;
const zero = "\0".repeat(16);

/** An address as the data path compares it: its 16 bytes as a string. */
export function addressKey(address: Address): string {
  return Buffer.from(addressBytes(address)).toString("latin1");
}

/**
 * The same for addresses in packets. Making a string and hashing it costs more than any other step of a translation, so strings stay until another
 * address needs their place; whoever makes addresses share one only makes us as slow as without.
 */
class AddressKeys {
  readonly #words = new Int32Array(4 * places);
  readonly #keys: string[] = Array.from({ length: places }, () => zero);

  at(bytes: Buffer, at: number): string {
    const a = bytes.readInt32LE(at);
    const b = bytes.readInt32LE(at + 4);
    const c = bytes.readInt32LE(at + 8);
    const d = bytes.readInt32LE(at + 12);
    const mixed = Math.imul(a, 0x85ebca6b) ^ Math.imul(b, 0xc2b2ae35) ^ Math.imul(c, 0x27d4eb2f) ^ Math.imul(d, 0x165667b1);
    const place = (mixed ^ (mixed >>> 15)) & (places - 1);
    const words = this.#words;
    const i = 4 * place;
    if (words[i] !== a || words[i + 1] !== b || words[i + 2] !== c || words[i + 3] !== d) {
      words[i] = a;
      words[i + 1] = b;
      words[i + 2] = c;
      words[i + 3] = d;
      this.#keys[place] = bytes.toString("latin1", at, at + 16);
    }
    return this.#keys[place] as string;
  }
}

const known = new AddressKeys();

/** The key of the address whose 16 bytes start at `at`. RangeError when `bytes` ends before. */
export function keyAt(bytes: Buffer, at: number): string {
  return known.at(bytes, at);
}
