/**
 * Quantities as people write them in lab and scenario files: a number and a unit. A bare number is refused, because nobody can tell its
 * unit by looking at it. Every parser throws RangeError naming the text and the accepted form.
 */
const quantity = /^(\d+(?:\.\d+)?|\.\d+)\s*([a-zA-Zµ%/]+)$/;

/** "20 ms", "1.5 s", "250 us", "2 min", "1 h" in milliseconds. */
export function parseDuration(text: string): number {
  return scaled(text, { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1000, min: 60_000, h: 3_600_000 }, 'a duration such as "20 ms"');
}

/** "100 Mbit/s", "1.5 Gbit/s", "64 kbit/s" in bits per second (decimal prefixes); above 0. */
export function parseRate(text: string): number {
  const rate = scaled(text, { "bit/s": 1, "kbit/s": 1e3, "Mbit/s": 1e6, "Gbit/s": 1e9, bps: 1, kbps: 1e3, Mbps: 1e6, Gbps: 1e9, kbit: 1e3, Mbit: 1e6, Gbit: 1e9 }, 'a rate such as "100 Mbit/s"');
  if (rate <= 0) throw new RangeError(`"${text}" lets nothing through: leave the rate out for no limit, or take the link down`);
  return rate;
}

/** "1 %" or "0.5%" as a share in 0..1. */
export function parseShare(text: string): number {
  const share = scaled(text, { "%": 0.01 }, 'a share such as "0.5 %"');
  if (share > 1) throw new RangeError(`"${text}" is more than 100 %`);
  return share;
}

/** "64 KiB", "1.5 MB", "1500 B" in bytes, rounded down. */
export function parseSize(text: string): number {
  return Math.floor(scaled(text, { B: 1, kB: 1e3, KB: 1e3, MB: 1e6, GB: 1e9, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 }, 'a size such as "64 KiB"'));
}

function scaled(text: string, units: Readonly<Record<string, number>>, expected: string): number {
  const [, digits, unit] = quantity.exec(text.trim()) ?? [];
  const factor = unit === undefined ? undefined : Object.hasOwn(units, unit) ? units[unit] : undefined;
  if (digits === undefined || factor === undefined) throw new RangeError(`"${text}" is not ${expected} (units: ${Object.keys(units).join(", ")})`);
  return Number(digits) * factor;
}

/** A duration in milliseconds as people read it: "250 µs", "20 ms", "1.5 s". */
export function formatDuration(ms: number): string {
  if (ms !== 0 && ms < 1) return `${trim(ms * 1000)} µs`;
  return ms < 1000 ? `${trim(ms)} ms` : `${trim(ms / 1000)} s`;
}

/** A rate in bits per second as people read it: "100 Mbit/s". */
export function formatRate(bitsPerSecond: number): string {
  for (const [factor, unit] of [[1e9, "Gbit/s"], [1e6, "Mbit/s"], [1e3, "kbit/s"]] as const) if (bitsPerSecond >= factor) return `${trim(bitsPerSecond / factor)} ${unit}`;
  return `${trim(bitsPerSecond)} bit/s`;
}

/** A share in 0..1 as people read it: "0.5 %". */
export function formatShare(share: number): string {
  return `${trim(share * 100)} %`;
}

function trim(value: number): string {
  return String(Number(value.toPrecision(4)));
}
