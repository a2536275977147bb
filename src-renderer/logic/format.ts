const minus = "\u2212";
const thin = "\u202f";

const signed = (text: string) => text.replace("-", minus);

/** Milliseconds with a unit and about three significant digits: 0.31 ms, 4.52 ms, 48.3 ms, 412 ms, 1.83 s, 41.0 s, 2 min 5 s. */
export function duration(ms: number | null | undefined): string {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return "–";
  const size = Math.abs(ms);
  if (size >= 60_000) {
    const seconds = Math.round(size / 1000);
    return signed(`${ms < 0 ? "-" : ""}${Math.floor(seconds / 60)}${thin}min ${seconds % 60}${thin}s`);
  }
  if (size >= 1000) return signed(`${(ms / 1000).toFixed(size >= 9995 ? 1 : 2)}${thin}s`);
  return signed(`${ms.toFixed(size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2)}${thin}ms`);
}

/** A duration with how far off it may be, or a note that it is withheld because the clocks do not allow it. */
export function measured(ms: number | null, errorMs: number | null): string {
  if (ms === null) return "–";
  if (errorMs === null) return duration(ms);
  if (Math.abs(ms) < errorMs) return `within ±${thin}${duration(errorMs)}`;
  return `${duration(ms)} ±${thin}${duration(errorMs)}`;
}

/** Seconds left, coarse: people read it once a second. */
export function remaining(seconds: number | null): string {
  if (seconds === null) return "unknown";
  if (seconds < 90) return `${Math.ceil(seconds)}${thin}s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)}${thin}min` : `${(seconds / 3600).toFixed(1)}${thin}h`;
}

export function bytes(count: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  const power = count < 1000 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(count) / 3));
  const value = count / 1000 ** power;
  return `${power === 0 ? value : value.toFixed(value < 10 ? 1 : 0)}${thin}${units[power]}`;
}

export function rate(mbit: number): string {
  return mbit >= 1000 ? `${(mbit / 1000).toFixed(2)}${thin}Gbit/s` : `${mbit.toFixed(mbit < 10 ? 1 : 0)}${thin}Mbit/s`;
}

/** 14:03:27, local time. */
export function clockTime(wallMs: number): string {
  return new Date(wallMs).toTimeString().slice(0, 8);
}

/** 14:03:27.125, local time. */
export function clockTimeMs(wallMs: number): string {
  return `${clockTime(wallMs)}.${String(Math.floor(wallMs % 1000)).padStart(3, "0")}`;
}

/** "3 min ago"; a date once it is older than a day. */
export function ago(wallMs: number, now: number): string {
  const seconds = Math.max(0, Math.round((now - wallMs) / 1000));
  if (seconds < 10) return "just now";
  if (seconds < 90) return `${seconds} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.round(seconds / 3600)} h ago`;
  return new Date(wallMs).toISOString().slice(0, 10);
}

/** "1 host", "2 hosts". */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
