/**
 * Frames for a byte stream of messages (the WebSocket), so that Uint8Arrays travel as they are:
 *
 *     | JSON length 32, big-endian | JSON, UTF-8 | bytes of the first array | bytes of the second | …
 *
 * In the JSON an array of bytes stands as {"$bytes": length}, in the order of the raw parts; an object that itself has a key
 * starting with "$" travels with one more "$" on that key, so that no content can pretend to be bytes.
 */
export const maxFrameBytes = 32 * 1024 * 1024;

/** A frame that is damaged or not of our making. */
export class FrameError extends Error {
  override readonly name = "FrameError";
  readonly code = "bad-frame";
}

/** Throws FrameError when the frame would exceed maxFrameBytes. */
export function encodeFrame(value: unknown): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [];
  const json = new TextEncoder().encode(JSON.stringify(pack(value, parts)));
  const size = parts.reduce((sum, part) => sum + part.length, 4 + json.length);
  if (size > maxFrameBytes) throw new FrameError(`a frame of ${size} bytes is more than the ${maxFrameBytes} that fit`);
  const out = new Uint8Array(size);
  new DataView(out.buffer).setUint32(0, json.length);
  out.set(json, 4);
  let at = 4 + json.length;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Throws FrameError naming what is wrong with the frame. Arrays of bytes are copies. */
export function decodeFrame(frame: Uint8Array): unknown {
  if (frame.length < 4) throw new FrameError("shorter than its length field");
  const end = 4 + new DataView(frame.buffer, frame.byteOffset).getUint32(0);
  if (end > frame.length) throw new FrameError(`its JSON should end at ${end}, but the frame at ${frame.length}`);
  let packed: unknown;
  let marked: boolean;
  try {
    const json = new TextDecoder("utf-8", { fatal: true }).decode(frame.subarray(4, end));
    packed = JSON.parse(json);
    // Most frames carry neither bytes nor such keys, and a flood of events need not be taken apart to see that.
    marked = /"(?:\$|\\u0024)/.test(json);
  } catch (cause) {
    throw new FrameError("its JSON cannot be read", { cause });
  }
  const rest = { frame, at: end };
  const value = marked ? unpack(packed, rest) : packed;
  if (rest.at !== frame.length) throw new FrameError(`${frame.length - rest.at} bytes left over`);
  return value;
}

function pack(value: unknown, parts: Uint8Array[]): unknown {
  if (value instanceof Uint8Array) {
    parts.push(value);
    return { $bytes: value.length };
  }
  if (Array.isArray(value)) return value.map((item) => pack(item, parts));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key.startsWith("$") ? `$${key}` : key, pack(item, parts)]));
}

function unpack(value: unknown, rest: { readonly frame: Uint8Array; at: number }): unknown {
  if (Array.isArray(value)) return value.map((item) => unpack(item, rest));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value);
  const [first] = entries;
  if (entries.length === 1 && first?.[0] === "$bytes") return takeBytes(first[1], rest);
  return Object.fromEntries(entries.map(([key, item]) => [key.startsWith("$$") ? key.slice(1) : key, unpack(item, rest)]));
}

function takeBytes(length: unknown, rest: { readonly frame: Uint8Array; at: number }): Uint8Array {
  if (!Number.isInteger(length) || (length as number) < 0 || rest.at + (length as number) > rest.frame.length) throw new FrameError("bytes that are not all there");
  const part = rest.frame.slice(rest.at, rest.at + (length as number));
  rest.at += part.length;
  return part;
}
