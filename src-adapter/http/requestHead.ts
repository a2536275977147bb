/** What an HTTP client asked: RFC 9112 §3 request line and its header fields in order, names in lower case. */
export interface RequestHead {
  readonly method: string;
  /** Origin form, `/path?query`, or `*`. */
  readonly target: string;
  /** 0 or 1: HTTP/1.0 or HTTP/1.1. */
  readonly minor: 0 | 1;
  readonly fields: readonly (readonly [name: string, value: string])[];
  /** How its body is framed (RFC 9112 §6). */
  readonly body: { readonly kind: "none" } | { readonly kind: "length"; readonly length: number } | { readonly kind: "chunked" };
  /** The client lets the connection stand after the answer. */
  readonly keepAlive: boolean;
  readonly expectsContinue: boolean;
}

/** A request that is answered with `status` and not read further, since what follows it cannot be told apart reliably. */
export class BadRequest extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export const maximumHead = 32 * 1024;
const maximumFields = 200;
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const visible = /^[\x21-\x7e]+$/;
// Field values: visible characters, spaces, tabs and the opaque upper half; no control characters (RFC 9110 §5.5).
const fieldValue = /^[\t\x20-\x7e\x80-\xff]*$/;

/** The first request head in `input` and the bytes it takes, or null while it is incomplete. Throws BadRequest. */
export function readRequestHead(input: Buffer): { readonly head: RequestHead; readonly length: number } | null {
  const start = skipEmptyLines(input);
  const end = input.indexOf("\r\n\r\n", start, "latin1");
  if (end < 0) {
    if (input.length - start > maximumHead) throw new BadRequest(431, `a request head of more than ${maximumHead} bytes`);
    return null;
  }
  if (end - start > maximumHead) throw new BadRequest(431, `a request head of more than ${maximumHead} bytes`);
  const [requestLine = "", ...lines] = input.toString("latin1", start, end).split("\r\n");
  if (lines.length > maximumFields) throw new BadRequest(431, `more than ${maximumFields} header fields`);
  const { method, target, minor } = readRequestLine(requestLine);
  const fields = lines.map(readField);
  const body = readFraming(fields, minor);
  if (minor === 1 && fields.filter(([name]) => name === "host").length !== 1) throw new BadRequest(400, "a request needs exactly one Host field");
  const connection = listValues(fields, "connection");
  const head = { method, target, minor, fields, body, keepAlive: minor === 1 ? !connection.includes("close") : connection.includes("keep-alive"), expectsContinue: minor === 1 && listValues(fields, "expect").includes("100-continue") };
  return { head, length: end + 4 };
}

/** The members of a comma-separated field, lower case (RFC 9110 §5.6.1). */
export function listValues(fields: RequestHead["fields"], name: string): string[] {
  return fields.filter(([n]) => n === name).flatMap(([, value]) => value.split(",").map((part) => part.trim().toLowerCase())).filter((part) => part !== "");
}

export function fieldValueOf(fields: RequestHead["fields"], name: string): string | undefined {
  return fields.find(([n]) => n === name)?.[1];
}

/** RFC 9112 §2.2: empty lines before a request are ignored. */
function skipEmptyLines(input: Buffer): number {
  let at = 0;
  while (input[at] === 13 && input[at + 1] === 10) at += 2;
  return at;
}

function readRequestLine(line: string): Pick<RequestHead, "method" | "target" | "minor"> {
  const parts = line.split(" ");
  const [method = "", target = "", version = ""] = parts;
  if (parts.length !== 3 || !token.test(method) || !visible.test(target)) throw new BadRequest(400, "not a request line");
  const minor = /^HTTP\/1\.([01])$/.exec(version)?.[1];
  if (minor === undefined) throw new BadRequest(505, `HTTP/1.0 and HTTP/1.1 are understood, not "${version.slice(0, 20)}"`);
  if (method === "CONNECT") throw new BadRequest(501, "CONNECT is not offered");
  return { method, target: originForm(target), minor: minor === "1" ? 1 : 0 };
}

/** RFC 9112 §3.2.2: a server takes the absolute form too. */
function originForm(target: string): string {
  if (target.startsWith("/") || target === "*") return target;
  const absolute = /^https?:\/\/[^/?#]+(\/[^#]*|\?[^#]*)?$/i.exec(target);
  if (!absolute) throw new BadRequest(400, "not a request target");
  const path = absolute[1] ?? "/";
  return path.startsWith("/") ? path : `/${path}`;
}

function readField(line: string): readonly [string, string] {
  const colon = line.indexOf(":");
  const name = line.slice(0, colon);
  // A space before the colon or a folded line would let two readers disagree (RFC 9112 §5.1, §5.2).
  if (colon < 1 || !token.test(name)) throw new BadRequest(400, "not a header field");
  const value = line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, "");
  if (!fieldValue.test(value)) throw new BadRequest(400, `control characters in "${name}"`);
  return [name.toLowerCase(), value];
}

function readFraming(fields: RequestHead["fields"], minor: number): RequestHead["body"] {
  const lengths = fields.filter(([name]) => name === "content-length").map(([, value]) => value);
  const codings = listValues(fields, "transfer-encoding");
  if (fields.some(([name]) => name === "transfer-encoding")) {
    // Both, or anything but a plain chunked: the classic ways to smuggle a request.
    if (lengths.length > 0 || minor === 0) throw new BadRequest(400, "Transfer-Encoding with Content-Length or in HTTP/1.0");
    if (codings.length !== 1 || codings[0] !== "chunked") throw new BadRequest(501, "the only transfer coding understood is chunked");
    return { kind: "chunked" };
  }
  if (lengths.length === 0) return { kind: "none" };
  const [first = ""] = lengths;
  if (lengths.some((value) => value !== first) || !/^\d{1,15}$/.test(first)) throw new BadRequest(400, "not one Content-Length");
  return { kind: "length", length: Number(first) };
}
