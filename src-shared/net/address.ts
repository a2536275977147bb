/** An IPv6 address as its RFC 5952 text: canonical, lower case, so that equal addresses are equal strings and work as map keys. */
export type Address = string & { readonly __brand: "Address" };

/** Parses any RFC 4291 text form (zone ids excluded). Throws RangeError naming the text. */
export function parseAddress(text: string): Address {
  return formatAddress(addressBytes(text));
}

/** The 16 bytes of an address in network order. Accepts any RFC 4291 text form; throws RangeError naming the text. */
export function addressBytes(text: string): Uint8Array {
  const bad = () => new RangeError(`not an IPv6 address: "${text}"`);
  const halves = text.split("::");
  if (halves.length > 2) throw bad();
  const groups = (half: string | undefined, ends: boolean): number[] => {
    if (!half) return [];
    const parts = half.split(":");
    const last = parts.at(-1) ?? "";
    // RFC 4291 §2.2: an IPv4 address may only stand at the very end.
    const v4 = ends && /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(last);
    if (v4) {
      const [a, b, c, d] = v4.slice(1).map(Number) as [number, number, number, number];
      if (Math.max(a, b, c, d) > 255) throw bad();
      parts.splice(-1, 1, ((a << 8) | b).toString(16), ((c << 8) | d).toString(16));
    }
    return parts.map((p) => {
      if (!/^[0-9a-fA-F]{1,4}$/.test(p)) throw bad();
      return parseInt(p, 16);
    });
  };
  const head = groups(halves[0], halves.length === 1);
  const tail = groups(halves[1], true);
  const missing = 8 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) throw bad();
  const all = [...head, ...Array<number>(halves.length === 2 ? missing : 0).fill(0), ...tail];
  const out = new Uint8Array(16);
  all.forEach((g, i) => {
    out[2 * i] = g >> 8;
    out[2 * i + 1] = g & 0xff;
  });
  return out;
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
