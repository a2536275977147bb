import { z } from "zod";

/** An id of ours: opaque to the window, safe in a URL, stable for the life of what it names. */
export const id = z.string().min(1).max(120);

/** One line that a host, a file or a person supplied. It may hold anything: show it, never interpret it. */
export const line = z.string().max(4000);

/** Text of many lines, at most 1 MiB. */
export const longText = z.string().max(1 << 20);

/** An IPv6 address in RFC 5952 text. */
export const address = z.string().min(2).max(45);

/** Wall-clock milliseconds since 1970 on the manager's clock. */
export const wallMs = z.number().nonnegative();

/** A duration in milliseconds, fractions allowed. */
export const durationMs = z.number().nonnegative();

export const count = z.number().int().nonnegative();

/** Raw bytes; the framing in wire.ts carries them unencoded. */
export const bytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array, "expected bytes");

export const empty = z.strictObject({});
