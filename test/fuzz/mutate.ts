import type { SeededRandom } from "../../src-shared/stats/random.ts";

const interesting = [0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 63, 64, 100, 127, 128, 200, 254, 255];

/** Changes inputs: a few random changes at once, sometimes parts of another input. */
export class Mutator {
  readonly #random: SeededRandom;
  readonly #longest: number;
  readonly #words: readonly Uint8Array[];

  constructor(random: SeededRandom, longest: number, words: readonly Uint8Array[]) {
    this.#random = random;
    this.#longest = longest;
    this.#words = words;
  }

  mutate(input: Uint8Array, other: Uint8Array): Uint8Array {
    const random = this.#random;
    let bytes = input;
    for (let left = 1 << random.below(5); left > 0; left--) bytes = this.#once(bytes, other);
    return bytes.length > this.#longest ? bytes.subarray(0, this.#longest) : bytes;
  }

  #once(bytes: Uint8Array, other: Uint8Array): Uint8Array {
    const random = this.#random;
    if (bytes.length === 0) return random.bytes(1 + random.below(8));
    const at = random.below(bytes.length);
    switch (random.below(13)) {
      case 0:
        return replaced(bytes, at, (bytes[at] as number) ^ (1 << random.below(8)));
      case 1:
        return replaced(bytes, at, random.below(256));
      case 2:
        return replaced(bytes, at, interesting[random.below(interesting.length)] as number);
      case 3:
        return replaced(bytes, at, (bytes[at] as number) + random.below(35) - 17);
      case 4:
        return addedTo(bytes, at, 2, random.below(71) - 35);
      case 5:
        return addedTo(bytes, at, 4, random.below(71) - 35);
      case 6:
        return spliced(bytes, at, 0, random.bytes(1 + random.below(8)));
      case 7:
        return spliced(bytes, at, this.#some(bytes.length - at), new Uint8Array(0));
      case 8:
        return spliced(bytes, random.below(bytes.length + 1), 0, bytes.subarray(at, at + this.#some(bytes.length - at)));
      case 9: {
        const from = random.below(bytes.length);
        const piece = bytes.slice(from, from + this.#some(bytes.length - from));
        return spliced(bytes, at, Math.min(piece.length, bytes.length - at), piece);
      }
      case 10:
      case 11: {
        const word = this.#words[random.below(this.#words.length)] ?? new Uint8Array(1);
        return spliced(bytes, at, random.below(2) === 0 ? 0 : Math.min(word.length, bytes.length - at), word);
      }
      default: {
        if (other.length === 0) return bytes;
        const from = random.below(other.length);
        const piece = other.subarray(from, from + this.#some(other.length - from));
        return spliced(bytes, at, random.below(2) === 0 ? 0 : Math.min(piece.length, bytes.length - at), piece);
      }
    }
  }

  /** A length from 1 to `most`, mostly a short one. */
  #some(most: number): number {
    const random = this.#random;
    return 1 + random.below(Math.min(most, random.below(4) === 0 ? most : 16));
  }
}

function replaced(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const copy = bytes.slice();
  copy[at] = value & 0xff;
  return copy;
}

/** Adds to the number of `width` bytes at `at`, in network order. */
function addedTo(bytes: Uint8Array, at: number, width: number, value: number): Uint8Array {
  if (at + width > bytes.length) return replaced(bytes, at, (bytes[at] as number) + value);
  const copy = bytes.slice();
  let carry = value;
  for (let i = at + width - 1; i >= at; i--) {
    const sum = (copy[i] as number) + carry;
    copy[i] = sum & 0xff;
    carry = Math.floor(sum / 256);
  }
  return copy;
}

function spliced(bytes: Uint8Array, at: number, removed: number, piece: Uint8Array): Uint8Array {
  const out = new Uint8Array(bytes.length - removed + piece.length);
  out.set(bytes.subarray(0, at));
  out.set(piece, at);
  out.set(bytes.subarray(at + removed), at + piece.length);
  return out;
}

/** The dictionary's entries as bytes: texts as they are, numbers in one, two and four bytes of network order. */
export function wordBytes(words: readonly string[]): Uint8Array[] {
  return words.flatMap((word) => {
    const [kind, text] = [word.slice(0, word.indexOf(" ")), word.slice(word.indexOf(" ") + 1)];
    if (kind === "string") return [new TextEncoder().encode(text)];
    const value = Number(text);
    if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff) return [];
    const four = Uint8Array.of(value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff);
    return value < 256 ? [four.subarray(3)] : value < 65536 ? [four.subarray(2)] : [four];
  });
}
