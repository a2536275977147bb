import type { IncomingHttpHeaders } from "node:http";

/** What of a request the guard looks at. */
export interface Asked {
  readonly method: string;
  readonly headers: IncomingHttpHeaders;
}

/** Why a request is refused: an HTTP status and one line for the person at the other end. */
export interface Refusal {
  readonly status: number;
  readonly reason: string;
}

/**
 * What holds for every request, before anything is looked up. `host` is what the address bar shows, "127.0.0.1:port".
 * The Host check keeps out DNS rebinding; Origin and Sec-Fetch-Site keep out other pages of the same browser.
 */
export function refuseRequest(asked: Asked, host: string): Refusal | null {
  if (asked.headers.host !== host) return { status: 421, reason: `this server answers only as http://${host}` };
  if (asked.method !== "GET" && asked.method !== "HEAD") return { status: 405, reason: "only GET" };
  const { origin } = asked.headers;
  if (origin !== undefined && origin !== `http://${host}`) return { status: 403, reason: "asked for by another page" };
  const site = asked.headers["sec-fetch-site"];
  const typedOrOwn = site === undefined || site === "same-origin" || site === "none";
  const opened = asked.headers["sec-fetch-mode"] === "navigate" && asked.headers["sec-fetch-dest"] === "document";
  if (!typedOrOwn && !opened) return { status: 403, reason: "asked for by another page" };
  return null;
}

/** A WebSocket says its origin always; one without, or with another, is not our window. */
export function refuseSocket(asked: Asked, host: string): Refusal | null {
  const refusal = refuseRequest(asked, host);
  if (refusal) return refusal;
  return asked.headers.origin === `http://${host}` ? null : { status: 403, reason: "not our window" };
}
