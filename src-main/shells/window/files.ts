import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { extname, join, relative, sep } from "node:path";

const types: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".json": "application/json",
  ".woff2": "font/woff2",
};

export interface StaticFile {
  readonly body: Buffer;
  readonly type: string;
  readonly etag: string;
  /** Its name carries a hash of its content, so it may be kept for ever. */
  readonly hashed: boolean;
}

/** The built window, read once: a path that is not in the map does not exist, whatever it is spelled like. Throws when there is no index.html. */
export function readWindow(folder: string): ReadonlyMap<string, StaticFile> {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const files = new Map<string, StaticFile>();
  for (const entry of entries) {
    const file = join(entry.parentPath, entry.name);
    const path = `/${relative(folder, file).split(sep).join("/")}`;
    const type = types[extname(entry.name)];
    if (!type) continue;
    const body = readFileSync(file);
    files.set(path, { body, type, etag: `"${createHash("sha256").update(body).digest("base64url").slice(0, 27)}"`, hashed: path.startsWith("/assets/") });
  }
  if (!files.has("/index.html")) throw new Error(`the window is not built: ${join(folder, "index.html")} is missing; run npm run build`);
  return files;
}
