import { hostname } from "node:os";
import { z } from "zod";
import { continueAnswer, plainAnswer } from "../http/answer.ts";
import { bodyStart, readBody, type BodyPosition } from "../http/bodyReader.ts";
import { BadRequest, readRequestHead, type RequestHead } from "../http/requestHead.ts";
import type { ConnectionHandler, Service } from "../library.ts";
import type { ServiceConnection } from "../serviceConnection.ts";
import { Upload, uploadState } from "./upload.ts";

const position = z.union([
  z.object({ kind: z.literal("length"), left: z.number().int().positive() }),
  z.object({ kind: z.literal("chunked"), at: z.enum(["size", "data", "gap", "trailer"]), left: z.number().int().nonnegative() }),
  z.object({ kind: z.literal("done") }),
]);
const savedState = z.object({ version: z.literal(1), input: z.base64(), keepAlive: z.boolean(), body: position, upload: uploadState.nullable() });

/**
 * Takes uploads: `PUT /name` stores the body and answers `201` with its length, SHA-256 and the segments by member, as JSON. A connection moves at any
 * byte. `member` names this host in the segments.
 */
export function filesService(at: { readonly name: string; readonly port: number; readonly home?: string }, directory: string, member = hostname()): Service {
  return { ...at, version: "1", onConnection: (connection, state) => new FilesConnection(connection, directory, member, state) };
}

class FilesConnection implements ConnectionHandler {
  readonly #connection: ServiceConnection;
  readonly #directory: string;
  readonly #member: string;
  #input: Buffer = Buffer.alloc(0);
  #keepAlive = true;
  #body: BodyPosition = { kind: "done" };
  #upload: Upload | null = null;

  constructor(connection: ServiceConnection, directory: string, member: string, state: Uint8Array | null) {
    this.#connection = connection;
    this.#directory = directory;
    this.#member = member;
    if (!state) return;
    const saved = savedState.parse(JSON.parse(Buffer.from(state).toString("utf8")));
    this.#input = Buffer.from(saved.input, "base64");
    this.#keepAlive = saved.keepAlive;
    this.#body = saved.body;
    if (saved.upload) this.#upload = new Upload(directory, member, saved.upload);
    setImmediate(() => this.data(Buffer.alloc(0)));
  }

  data(bytes: Buffer): void {
    if (this.#connection.over) return;
    this.#input = this.#input.length === 0 ? bytes : Buffer.concat([this.#input, bytes]);
    try {
      while (this.#upload ? this.#takeBody(this.#upload) : this.#takeHead()) if (this.#connection.over) return;
    } catch (error) {
      this.#refuse(error instanceof BadRequest ? error.status : (error as NodeJS.ErrnoException).code === "ENOSPC" ? 507 : 500, (error as Error).message);
    }
  }

  end(): void {
    if (this.#upload) this.#connection.reset("the client ended in the middle of an upload");
    else this.#connection.close();
  }

  drain(): void {}

  gone(): void {
    this.#upload?.close();
    this.#upload = null;
  }

  save(): Uint8Array {
    return Buffer.from(JSON.stringify({ version: 1, input: this.#input.toString("base64"), keepAlive: this.#keepAlive, body: this.#body, upload: this.#upload?.save() ?? null }));
  }

  /** True when there may be more to do. */
  #takeHead(): boolean {
    const found = readRequestHead(this.#input);
    if (!found) return false;
    this.#input = this.#input.subarray(found.length);
    this.#begin(found.head);
    return true;
  }

  #begin(head: RequestHead): void {
    if (head.method !== "PUT") throw new BadRequest(405, "this service takes PUT /name");
    const name = uploadState.shape.name.safeParse(head.target.slice(1));
    if (!name.success) throw new BadRequest(400, "a name of letters, digits, dot, dash and underscore is expected after the slash");
    this.#keepAlive = head.keepAlive;
    this.#body = bodyStart(head.body);
    this.#upload = new Upload(this.#directory, this.#member, name.data);
    if (head.expectsContinue && this.#body.kind !== "done") this.#connection.write(continueAnswer);
  }

  #takeBody(upload: Upload): boolean {
    const { position: next, data, used } = readBody(this.#body, this.#input);
    for (const part of data) upload.append(part);
    this.#input = this.#input.subarray(used);
    this.#body = next;
    if (next.kind !== "done") return false;
    this.#upload = null;
    const result = upload.finish();
    this.#connection.write(plainAnswer(201, JSON.stringify(result), { close: !this.#keepAlive, contentType: "application/json" }));
    if (!this.#keepAlive) this.#connection.close();
    return this.#keepAlive;
  }

  #refuse(status: number, message: string): void {
    console.error(`[${this.#connection.peer.address}]:${this.#connection.peer.port}: ${status} ${message}`);
    this.#connection.write(plainAnswer(status, message, { close: true }));
    this.#connection.close();
  }
}
