import type { Protocol } from "electron";
import type { StaticFile } from "../window/files.ts";
import { commonHeaders } from "../window/headers.ts";
import { origin, scheme } from "./origin.ts";

/** Must be called before the app is ready: our scheme then has an origin, like https. */
export function declareScheme(protocol: Protocol): void {
  protocol.registerSchemesAsPrivileged([{ scheme, privileges: { standard: true, secure: true, supportFetchAPI: true, codeCache: true } }]);
}

/** Answers our scheme from the built window, which was read once: what is not in it does not exist. */
export function serveScheme(protocol: Protocol, files: ReadonlyMap<string, StaticFile>): void {
  protocol.handle(scheme, (request) => answer(request.method, request.url, files));
}

export function answer(method: string, address: string, files: ReadonlyMap<string, StaticFile>): Response {
  const url = URL.parse(address);
  if (method !== "GET" && method !== "HEAD") return new Response("", { status: 405 });
  const file = url && `${url.protocol}//${url.host}` === origin ? files.get(url.pathname === "/" ? "/index.html" : url.pathname) : undefined;
  if (!file) return new Response("", { status: 404, headers: commonHeaders });
  return new Response(method === "HEAD" ? null : new Uint8Array(file.body), { headers: { ...commonHeaders, "content-type": file.type } });
}
