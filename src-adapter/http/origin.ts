import { Agent, request as httpRequest, type ClientRequest, type IncomingMessage } from "node:http";
import type { Endpoint } from "../../src-agent/linux/sockaddr.ts";
import { listValues, type RequestHead } from "./requestHead.ts";

/** Fields that belong to one connection (RFC 9110 §7.6.1), besides those that Connection names. */
const hopByHop = new Set(["connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade", "expect"]);
/** Fields that would make the rest of an answer depend on something else than its ETag. */
const conditional = new Set(["range", "if-range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since"]);

/** The rest of an answer under way: absolute offsets in the representation, `end` exclusive. */
export interface Rest {
  readonly etag: string;
  readonly total: number;
  readonly next: number;
  readonly end: number;
}

/** The unmodified HTTP server behind this adapter. */
export class Origin {
  readonly #host: string;
  readonly #port: number;
  readonly #agent = new Agent({ keepAlive: true });

  /** Throws an Error when `url` is not the bare http:// address of a server. */
  constructor(url: string) {
    const parsed = URL.canParse(url) ? new URL(url) : null;
    if (parsed?.protocol !== "http:" || parsed.pathname !== "/" || parsed.search !== "" || parsed.username !== "") throw new Error(`an origin like http://[::1]:8080 is expected, not "${url}"`);
    this.#host = parsed.hostname.replace(/^\[|\]$/g, "");
    this.#port = parsed.port === "" ? 80 : Number(parsed.port);
  }

  /** Opens a request; its body, if any, is the caller's to write and end. With `rest` it asks for that part only, and only of that very version. */
  ask(head: RequestHead, peer: Endpoint, rest: Rest | null): ClientRequest {
    return httpRequest({ agent: this.#agent, host: this.#host, port: this.#port, method: head.method, path: head.target, headers: originFields(head, peer, rest), setHost: false });
  }
}

function originFields(head: RequestHead, peer: Endpoint, rest: Rest | null): Record<string, string | string[]> {
  const named = new Set(listValues(head.fields, "connection"));
  const fields: Record<string, string[]> = {};
  for (const [name, value] of head.fields) {
    if (hopByHop.has(name) || named.has(name) || (rest && conditional.has(name))) continue;
    (fields[name] ??= []).push(value);
  }
  if (head.body.kind === "chunked") fields["transfer-encoding"] = ["chunked"];
  (fields["via"] ??= []).push(`1.${head.minor} anycast`);
  (fields["forwarded"] ??= []).push(`for="[${peer.address}]:${peer.port}"`);
  if (rest) {
    fields["range"] = [`bytes=${rest.next}-${rest.end - 1}`];
    fields["if-range"] = [rest.etag];
  }
  return Object.fromEntries(Object.entries(fields).map(([name, values]) => [name, values.length === 1 ? (values[0] as string) : values]));
}

/** The fields of an origin's answer that go to the client, with their original names. */
export function answerFields(answer: IncomingMessage): [string, string][] {
  const named = new Set((answer.headers.connection ?? "").split(",").map((part) => part.trim().toLowerCase()));
  const fields: [string, string][] = [];
  for (let i = 0; i + 1 < answer.rawHeaders.length; i += 2) {
    const name = answer.rawHeaders[i] as string;
    if (!hopByHop.has(name.toLowerCase()) && !named.has(name.toLowerCase())) fields.push([name, answer.rawHeaders[i + 1] as string]);
  }
  return fields;
}

export function contentLength(answer: IncomingMessage): number | null {
  const text = answer.headers["content-length"];
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : null;
}

/** RFC 9110 §8.8.3: byte-for-byte equality is what a strong ETag promises, a weak one (W/) does not. */
export function strongEtag(answer: IncomingMessage): string | null {
  const etag = answer.headers.etag;
  return etag !== undefined && /^"[\x21\x23-\x7e\x80-\xff]*"$/.test(etag) ? etag : null;
}

/** `Content-Range: bytes first-last/total`, or null. */
export function contentRange(answer: IncomingMessage): { readonly first: number; readonly last: number; readonly total: number } | null {
  const found = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/.exec(answer.headers["content-range"] ?? "");
  return found ? { first: Number(found[1]), last: Number(found[2]), total: Number(found[3]) } : null;
}

/** The part of the representation that an answer carries, when another member's origin could continue it; else null. */
export function continuable(answer: IncomingMessage): Rest | null {
  const etag = strongEtag(answer);
  const length = contentLength(answer);
  if (etag === null || length === null || answer.headers["accept-ranges"] === "none") return null;
  if (answer.statusCode === 200) return { etag, total: length, next: 0, end: length };
  const range = answer.statusCode === 206 ? contentRange(answer) : null;
  if (!range || range.last - range.first + 1 !== length) return null;
  return { etag, total: range.total, next: range.first, end: range.last + 1 };
}

/** Whether `answer` goes on with exactly `rest`: how many of its bytes to skip, or why not. */
export function goesOn(answer: IncomingMessage, rest: Rest): { readonly skip: number } | { readonly reason: string } {
  const etag = strongEtag(answer);
  if (etag !== rest.etag) return { reason: `the origin here has ETag ${answer.headers.etag ?? "none"}, the answer under way ${rest.etag}` };
  if (answer.statusCode === 200) return contentLength(answer) === rest.total ? { skip: rest.next } : { reason: `the origin here has ${contentLength(answer)} bytes, the answer under way ${rest.total}` };
  const range = contentRange(answer);
  if (answer.statusCode !== 206 || !range) return { reason: `the origin answered ${answer.statusCode} to the request for the rest` };
  const fits = range.first === rest.next && range.last === rest.end - 1 && range.total === rest.total && (contentLength(answer) ?? rest.end - rest.next) === rest.end - rest.next;
  return fits ? { skip: 0 } : { reason: `the origin answered "${answer.headers["content-range"]}" for bytes ${rest.next}-${rest.end - 1}/${rest.total}` };
}
