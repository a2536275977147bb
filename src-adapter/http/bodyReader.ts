import { BadRequest, type RequestHead } from "./requestHead.ts";

/** Where in a request body we are. Plain data: it moves with the connection. */
export type BodyPosition =
  | { readonly kind: "length"; readonly left: number }
  /** `size`: reading a chunk's size line · `data`: `left` bytes to come · `gap`: the line end after them · `trailer`: lines until an empty one. */
  | { readonly kind: "chunked"; readonly at: "size" | "data" | "gap" | "trailer"; readonly left: number }
  | { readonly kind: "done" };

const maximumLine = 4096;

export function bodyStart(framing: RequestHead["body"]): BodyPosition {
  if (framing.kind === "chunked") return { kind: "chunked", at: "size", left: 0 };
  return framing.kind === "length" && framing.length > 0 ? { kind: "length", left: framing.length } : { kind: "done" };
}

/**
 * Reads on from `position`: the body bytes found in `input`, how much of it was used, and the position after. What is not used must be given again,
 * with more behind it. Throws BadRequest on broken chunks.
 */
export function readBody(position: BodyPosition, input: Buffer): { readonly position: BodyPosition; readonly data: readonly Buffer[]; readonly used: number } {
  const data: Buffer[] = [];
  let used = 0;
  let now = position;
  while (now.kind !== "done") {
    const step = now.kind === "length" ? readLength(now.left, input.subarray(used)) : readChunked(now, input.subarray(used));
    if (!step) break;
    if (step.data) data.push(step.data);
    used += step.used;
    now = step.position;
  }
  return { position: now, data, used };
}

interface BodyStep {
  readonly position: BodyPosition;
  readonly used: number;
  readonly data?: Buffer;
}

function readLength(left: number, input: Buffer): BodyStep | null {
  if (input.length === 0) return null;
  const data = input.subarray(0, left);
  const rest = left - data.length;
  return { data, used: data.length, position: rest === 0 ? { kind: "done" } : { kind: "length", left: rest } };
}

/** RFC 9112 §7.1. Chunk extensions and trailers are read over. */
function readChunked(position: Extract<BodyPosition, { kind: "chunked" }>, input: Buffer): BodyStep | null {
  if (position.at === "data") {
    if (input.length === 0) return null;
    const data = input.subarray(0, position.left);
    const left = position.left - data.length;
    return { data, used: data.length, position: { kind: "chunked", at: left === 0 ? "gap" : "data", left } };
  }
  const end = input.indexOf("\r\n", 0, "latin1");
  if (end > maximumLine || (end < 0 && input.length > maximumLine)) throw new BadRequest(400, "a chunk line of more than 4096 bytes");
  if (end < 0) return null;
  const line = input.toString("latin1", 0, end);
  const used = end + 2;
  if (position.at === "gap") {
    if (end !== 0) throw new BadRequest(400, "no line end after a chunk");
    return { used, position: { kind: "chunked", at: "size", left: 0 } };
  }
  if (position.at === "trailer") return { used, position: end === 0 ? { kind: "done" } : position };
  const size = /^([0-9a-fA-F]{1,12})[ \t]*(;.*)?$/.exec(line)?.[1];
  if (size === undefined) throw new BadRequest(400, "not a chunk size");
  const left = Number.parseInt(size, 16);
  return { used, position: left === 0 ? { kind: "chunked", at: "trailer", left: 0 } : { kind: "chunked", at: "data", left } };
}
