/** An IPv6 address as its RFC 5952 text: canonical, lower case, so that equal addresses are equal strings and work as map keys. */
export type Address = string & { readonly __brand: "Address" };

/** Parses any RFC 4291 text form (zone ids excluded). Throws RangeError naming the text. */
export function parseAddress(text: string): Address {
  return formatAddress(addressBytes(text));
}

/** The 16 bytes of an address in network order. Accepts any RFC 4291 text form; throws RangeError naming the text. */
export function addressBytes(text: string): Uint8Array {
  const out = new Uint8Array(16);
  if (!readGroups(text, out)) throw new RangeError(`not an IPv6 address: "${text}"`);
  return out;
}

const COLON = 0x3a;

/** Character by character: this is where most of the time went when it was done with `split` and regular expressions. */
function readGroups(text: string, out: Uint8Array): boolean {
  const end = text.length;
  let at = 0;
  let filled = 0;
  /** Where `::` stands, in bytes filled before it, or -1. */
  let gap = -1;
  if (text.startsWith("::")) {
    gap = 0;
    at = 2;
  }
  while (at < end) {
    if (filled === 16) return false;
    const start = at;
    let value = 0;
    for (let digit = hexDigit(text, at); digit >= 0; digit = hexDigit(text, ++at)) value = (value << 4) | digit;
    // RFC 4291 §2.2: an IPv4 address may only stand at the very end.
    if (at < end && text[at] === ".") return filled <= 12 && readIpv4(text.slice(start), out, filled) && spread(out, filled + 4, gap);
    if (at === start || at - start > 4) return false;
    out[filled++] = value >> 8;
    out[filled++] = value & 0xff;
    if (at === end) break;
    if (text.charCodeAt(at++) !== COLON) return false;
    if (text.charCodeAt(at) === COLON) {
      if (gap >= 0) return false;
      gap = filled;
      at++;
    } else if (at === end) {
      return false;
    }
  }
  return spread(out, filled, gap);
}

/** Moves what stands behind `::` to the end. `::` stands for at least one group. */
function spread(out: Uint8Array, filled: number, gap: number): boolean {
  if (gap < 0) return filled === 16;
  if (filled > 14) return false;
  out.copyWithin(16 - (filled - gap), gap, filled);
  out.fill(0, gap, 16 - (filled - gap));
  return true;
}

function readIpv4(text: string, out: Uint8Array, at: number): boolean {
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)?.slice(1).map(Number);
  if (!parts || Math.max(...parts) > 255) return false;
  out.set(parts, at);
  return true;
}

/** 0..15, or -1 when there is no hexadecimal digit at `at`. */
function hexDigit(text: string, at: number): number {
  const code = text.charCodeAt(at);
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const letter = code | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

/** RFC 5952 text of the 16 bytes at `at`: longest run of zero groups compressed, the first when tied, never a single group. */
export function formatAddress(bytes: Uint8Array, at = 0): Address {
  const g: number[] = [];
  for (let i = 0; i < 8; i++) g.push(((bytes[at + 2 * i] as number) << 8) | (bytes[at + 2 * i + 1] as number));
  let best = -1;
  let bestLength = 1;
  for (let i = 0; i < 8; ) {
    let j = i;
    while (j < 8 && g[j] === 0) j++;
    if (j - i > bestLength) {
      best = i;
      bestLength = j - i;
    }
    i = Math.max(j, i + 1);
  }
  const hex = (from: number, to: number) =>
    g
      .slice(from, to)
      .map((x) => x.toString(16))
      .join(":");
  return (best < 0 ? hex(0, 8) : `${hex(0, best)}::${hex(best + bestLength, 8)}`) as Address;
}
