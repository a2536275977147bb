import { closeSync, existsSync, mkdirSync, openSync, renameSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { randomUUID } from "node:crypto";
import { z } from "zod";
import { Sha256 } from "../sha256.ts";

/** A run of an upload's bytes that one member received and keeps. */
const segment = z.object({ member: z.string().max(64), from: z.number().int().nonnegative(), length: z.number().int().nonnegative() });
export type Segment = z.infer<typeof segment>;

/** What moves of an upload: everything but the bytes, which stay with the member that took them. */
export const uploadState = z.object({
  name: z.string().regex(/^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$/),
  id: z.uuid(),
  hash: z.object({ h: z.array(z.number()), block: z.array(z.number()).max(63), length: z.number() }),
  segments: z.array(segment).max(1000),
});
export type UploadState = z.infer<typeof uploadState>;

/** The answer to a finished upload. */
export interface UploadResult {
  readonly name: string;
  readonly length: number;
  readonly sha256: string;
  readonly segments: readonly Segment[];
}

/**
 * An upload being received. Bytes are appended to this member's segment file `NAME.ID.FROM.part` as they come; a move closes the file, and the
 * acceptor opens one of its own that starts at the next byte. The hash runs over all of them.
 */
export class Upload {
  readonly #directory: string;
  readonly #member: string;
  readonly #name: string;
  readonly #id: string;
  readonly #hash: Sha256;
  readonly #earlier: readonly Segment[];
  readonly #from: number;
  readonly #path: string;
  readonly #file: number;
  #length = 0;

  /** A new upload of `state.name`, or one to go on with. Throws on file errors and impossible states. */
  constructor(directory: string, member: string, from: string | UploadState) {
    const state = typeof from === "string" ? null : from;
    this.#directory = directory;
    this.#member = member;
    this.#name = state?.name ?? (from as string);
    this.#id = state?.id ?? randomUUID();
    this.#hash = state ? Sha256.restore(state.hash) : Sha256.start();
    this.#earlier = state?.segments ?? [];
    this.#from = this.#earlier.reduce((sum, s) => sum + s.length, 0);
    if (state && state.hash.length !== this.#from) throw new RangeError(`${state.hash.length} bytes hashed, ${this.#from} in segments`);
    mkdirSync(directory, { recursive: true });
    this.#path = freeName(join(directory, `${this.#name}.${this.#id}.${this.#from}`));
    this.#file = openSync(this.#path, "wx", 0o600);
  }

  /** Throws on file errors, a full disk among them. */
  append(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#file, bytes, at);
    this.#hash.update(bytes);
    this.#length += bytes.length;
  }

  /** State for another member (or this one, later). The upload can go on here until `close`. */
  save(): UploadState {
    return { name: this.#name, id: this.#id, hash: this.#hash.save(), segments: this.#segments() };
  }

  close(): void {
    closeSync(this.#file);
  }

  /** Everything has arrived. A file that came here whole gets its name; else `NAME.ID.json` says which member has which part. */
  finish(): UploadResult {
    this.close();
    const result = { name: this.#name, length: this.#from + this.#length, sha256: this.#hash.hex(), segments: this.#segments() };
    if (this.#from === 0) renameSync(this.#path, join(this.#directory, this.#name));
    else writeFileSync(join(this.#directory, `${this.#name}.${this.#id}.json`), `${JSON.stringify(result, null, 2)}\n`);
    return result;
  }

  #segments(): Segment[] {
    return this.#length === 0 ? [...this.#earlier] : [...this.#earlier, { member: this.#member, from: this.#from, length: this.#length }];
  }

}

/** A connection that came back before a byte arrived elsewhere starts at the same byte again: the first free name. */
function freeName(base: string): string {
  for (let i = 0; ; i++) {
    const path = i === 0 ? `${base}.part` : `${base}.${i}.part`;
    if (!existsSync(path)) return path;
  }
}
