/** Seconds from 1900 to 1970. */
const NTP_TO_UNIX_S = 2_208_988_800;
const FRACTION = 0x1_0000_0000;

/** The NTP timestamp of a wall-clock time in ms since 1970: seconds since 1900 above 32 bits of fraction (RFC 4285 §6). Good until 2036. */
export function ntpTimestamp(wallMs: number): bigint {
  const seconds = Math.floor(wallMs / 1000);
  const fraction = Math.min(FRACTION - 1, Math.floor(((wallMs - seconds * 1000) / 1000) * FRACTION));
  return (BigInt(seconds + NTP_TO_UNIX_S) << 32n) | BigInt(fraction);
}

/** Milliseconds since 1970 of an NTP timestamp. */
export function wallOfNtp(timestamp: bigint): number {
  return (Number(timestamp >> 32n) - NTP_TO_UNIX_S) * 1000 + (Number(timestamp & 0xffffffffn) / FRACTION) * 1000;
}

/** `fraction`'s lower half under the seconds of `seconds`: how a home agent answers a timestamp that it does not accept. */
export function withSecondsOf(seconds: bigint, fraction: bigint): bigint {
  return ((seconds >> 32n) << 32n) | (fraction & 0xffffffffn);
}
