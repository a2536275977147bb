import type { ClientRequest, IncomingMessage } from "node:http";
import type { ConnectionHandler, Service } from "../library.ts";
import type { ServiceConnection } from "../serviceConnection.ts";
import { answerHead, continueAnswer, plainAnswer } from "./answer.ts";
import { bodyStart, readBody, type BodyPosition } from "./bodyReader.ts";
import { decodeHttpState, encodeHttpState, type Exchange } from "./httpState.ts";
import { answerFields, contentLength, continuable, goesOn, Origin } from "./origin.ts";
import { BadRequest, readRequestHead, type RequestHead } from "./requestHead.ts";

/** An answer that no other origin could continue is read whole before any of it is sent, up to this size: then it is ours to move. In bytes. */
const collectLimit = 256 * 1024;
/** What a client may send ahead of its answers. In bytes. */
const inputLimit = 64 * 1024;
/** How often, and with what pauses, the rest of an answer is asked for again. */
const attempts = 5;
const retryMs = 200;

/** Fronts an unmodified HTTP server, and moves downloads in the middle of an answer. */
export function httpService(at: { readonly name: string; readonly port: number; readonly home?: string }, originUrl: string): Service {
  const origin = new Origin(originUrl);
  return { ...at, version: "1", onConnection: (connection, state) => new HttpConnection(connection, origin, state) };
}

class HttpConnection implements ConnectionHandler {
  readonly #connection: ServiceConnection;
  readonly #origin: Origin;
  #input: Buffer = Buffer.alloc(0);
  #clientEnded = false;
  #exchange: Exchange = { phase: "idle" };
  #body: BodyPosition = { kind: "done" };
  /** Where this process began with the answer under way. */
  #firstOffset = 0;
  #request: ClientRequest | null = null;
  #answer: IncomingMessage | null = null;
  #failures = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(connection: ServiceConnection, origin: Origin, state: Uint8Array | null) {
    this.#connection = connection;
    this.#origin = origin;
    if (state) ({ input: this.#input, clientEnded: this.#clientEnded, exchange: this.#exchange } = decodeHttpState(state));
    if (this.#exchange.phase === "sending") this.#firstOffset = this.#exchange.rest.next;
    if (state) setImmediate(() => this.#goOn());
  }

  data(bytes: Buffer): void {
    this.#input = this.#input.length === 0 ? bytes : Buffer.concat([this.#input, bytes]);
    if (this.#exchange.phase === "forwarding") this.#forwardBody();
    if (this.#exchange.phase === "idle") this.#nextRequest();
    else if (this.#body.kind === "done" && this.#input.length > inputLimit) this.#connection.pause();
  }

  end(): void {
    this.#clientEnded = true;
    if (this.#exchange.phase === "idle") this.#connection.close();
    else if (this.#body.kind !== "done") this.#connection.reset("the client ended in the middle of a request body");
  }

  drain(): void {
    this.#answer?.resume();
  }

  gone(): void {
    this.#stopAsking();
  }

  /** What waits here of an answer under way is not moved: the acceptor's origin has it, too. */
  save(): Uint8Array {
    let exchange = this.#exchange;
    if (exchange.phase === "sending") {
      const { head, rest } = exchange;
      exchange = { phase: "sending", head, rest: { ...rest, next: rest.next - this.#connection.takeBack(rest.next - this.#firstOffset) } };
    }
    return encodeHttpState({ input: this.#input, clientEnded: this.#clientEnded, exchange });
  }

  /** After a move: what was under way. */
  #goOn(): void {
    if (this.#connection.over) return;
    if (this.#exchange.phase === "idle") return this.#nextRequest();
    if (this.#exchange.phase === "sending" && this.#exchange.rest.next === this.#exchange.rest.end) return this.#finished();
    this.#ask();
  }

  #nextRequest(): void {
    try {
      const found = readRequestHead(this.#input);
      if (!found) {
        this.#connection.resume();
        if (this.#clientEnded) this.#connection.close();
        return;
      }
      this.#input = this.#input.subarray(found.length);
      this.#begin(found.head);
    } catch (error) {
      if (!(error instanceof BadRequest)) throw error;
      this.#refuse(error.status, error.message);
    }
  }

  #begin(head: RequestHead): void {
    this.#failures = 0;
    const safe = head.method === "GET" || head.method === "HEAD";
    if (safe && head.body.kind === "none") {
      this.#exchange = { phase: "asking", head };
      return this.#ask();
    }
    this.#exchange = { phase: "forwarding", head, why: safe ? "it has a body" : "it is not idempotent, so it is never asked twice" };
    this.#body = bodyStart(head.body);
    if (head.expectsContinue && this.#body.kind !== "done") this.#connection.write(continueAnswer);
    this.#ask();
    this.#forwardBody();
  }

  #ask(): void {
    const exchange = this.#exchange;
    if (exchange.phase === "idle" || this.#connection.over) return;
    const request = this.#origin.ask(exchange.head, this.#connection.peer, exchange.phase === "sending" ? exchange.rest : null);
    this.#request = request;
    request.on("error", (error) => this.#failed(request, error.message));
    request.on("drain", () => this.#connection.resume());
    request.on("response", (answer) => this.#answered(request, answer));
    if (exchange.phase !== "forwarding" || this.#body.kind === "done") request.end();
  }

  #forwardBody(): void {
    if (this.#body.kind === "done" || !this.#request) return;
    try {
      const { position, data, used } = readBody(this.#body, this.#input);
      this.#input = this.#input.subarray(used);
      this.#body = position;
      const room = data.map((part) => this.#request?.write(part)).every((taken) => taken !== false);
      if (position.kind === "done") this.#request.end();
      else if (!room) this.#connection.pause();
    } catch (error) {
      this.#connection.reset((error as Error).message);
    }
  }

  #answered(request: ClientRequest, answer: IncomingMessage): void {
    if (request !== this.#request || this.#exchange.phase === "idle") {
      answer.destroy();
      return;
    }
    this.#answer = answer;
    answer.on("error", (error) => this.#failed(request, error.message));
    answer.on("close", () => {
      if (!answer.complete) this.#failed(request, "the origin ended in the middle of its answer");
    });
    if (this.#exchange.phase === "sending") return this.#sendRest(this.#exchange, answer);
    const { head } = this.#exchange;
    if (head.method === "HEAD" || answer.statusCode === 204 || answer.statusCode === 304) return this.#sendWithoutBody(answer);
    const rest = this.#exchange.phase === "asking" && head.method === "GET" ? continuable(answer) : null;
    const length = contentLength(answer);
    if (rest) {
      this.#exchange = { phase: "sending", head, rest };
      this.#firstOffset = rest.next;
      this.#connection.write(this.#headFor(head, answer, "length"));
      this.#sendRest(this.#exchange, answer, 0);
    } else if (this.#exchange.phase === "asking" && length !== null && length <= collectLimit) {
      this.#collect(head, answer);
    } else {
      if (this.#exchange.phase === "asking") this.#exchange = { phase: "forwarding", head, why: "its answer has no strong ETag and length, so no other origin can continue it" };
      this.#forwardAnswer(head, answer, length !== null);
    }
  }

  /** `skip` is given for the first answer; a later one must prove that it goes on with the same bytes. */
  #sendRest(exchange: Extract<Exchange, { phase: "sending" }>, answer: IncomingMessage, skip: number | null = null): void {
    if (skip === null) {
      const verdict = goesOn(answer, exchange.rest);
      if ("reason" in verdict) return this.#connection.reset(verdict.reason);
      skip = verdict.skip;
    }
    let toSkip = skip;
    answer.on("data", (chunk: Buffer) => {
      if (this.#answer !== answer || this.#exchange.phase !== "sending") return;
      const passed = Math.min(toSkip, chunk.length);
      toSkip -= passed;
      const { head, rest } = this.#exchange;
      const bytes = chunk.subarray(passed, passed + rest.end - rest.next);
      if (bytes.length === 0) return;
      this.#failures = 0;
      this.#exchange = { phase: "sending", head, rest: { ...rest, next: rest.next + bytes.length } };
      if (!this.#connection.write(bytes)) answer.pause();
      if (rest.next + bytes.length === rest.end && toSkip === 0) this.#finished();
    });
    if (exchange.rest.next === exchange.rest.end) this.#finished();
  }

  #sendWithoutBody(answer: IncomingMessage): void {
    if (this.#exchange.phase === "idle") return;
    this.#connection.write(this.#headFor(this.#exchange.head, answer, "asIs"));
    answer.resume();
    this.#finished();
  }

  #collect(head: RequestHead, answer: IncomingMessage): void {
    const chunks: Buffer[] = [];
    answer.on("data", (chunk: Buffer) => chunks.push(chunk));
    answer.on("end", () => {
      if (this.#answer !== answer || !answer.complete) return;
      this.#connection.write(Buffer.concat([this.#headFor(head, answer, "length"), ...chunks]));
      this.#finished();
    });
  }

  #forwardAnswer(head: RequestHead, answer: IncomingMessage, hasLength: boolean): void {
    const framing = hasLength ? "length" : head.minor === 1 ? "chunked" : "close";
    this.#connection.write(this.#headFor(head, answer, framing));
    answer.on("data", (chunk: Buffer) => {
      if (this.#answer !== answer || chunk.length === 0) return;
      const bytes = framing === "chunked" ? Buffer.concat([Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from("\r\n")]) : chunk;
      if (!this.#connection.write(bytes)) answer.pause();
    });
    answer.on("end", () => {
      if (this.#answer !== answer || !answer.complete) return;
      if (framing === "chunked") this.#connection.write(Buffer.from("0\r\n\r\n"));
      this.#finished(framing === "close");
    });
  }

  #headFor(head: RequestHead, answer: IncomingMessage, framing: "length" | "chunked" | "close" | "asIs"): Buffer {
    const fields = answerFields(answer);
    if (framing === "chunked") fields.push(["Transfer-Encoding", "chunked"]);
    fields.push(["Connection", this.#keepsAlive(head) && framing !== "close" ? "keep-alive" : "close"]);
    return answerHead(answer.statusCode ?? 502, answer.statusMessage ?? "", fields);
  }

  /** A body that the client has not finished sending cannot be told from its next request. */
  #keepsAlive(head: RequestHead): boolean {
    return head.keepAlive && this.#body.kind === "done";
  }

  #finished(close = false): void {
    if (this.#exchange.phase === "idle") return;
    const stays = this.#keepsAlive(this.#exchange.head) && !close;
    const isWhole = this.#exchange.phase !== "sending" || this.#exchange.rest.end === this.#exchange.rest.total;
    // Its end must still be read, or the origin's connection is never free again; more than its end is not ours.
    if (isWhole || this.#answer?.statusCode === 206) this.#answer?.resume();
    else this.#answer?.destroy();
    this.#exchange = { phase: "idle" };
    this.#request = null;
    this.#answer = null;
    if (stays) this.#nextRequest();
    else this.#connection.close();
  }

  #failed(request: ClientRequest, reason: string): void {
    if (request !== this.#request || this.#connection.over) return;
    const answered = this.#answer !== null;
    this.#stopAsking();
    const { phase } = this.#exchange;
    if (phase === "forwarding" && answered) return this.#connection.reset(`origin: ${reason}`);
    if (phase === "forwarding") return this.#refuse(502, `the origin server cannot be reached: ${reason}`);
    if (++this.#failures < (phase === "asking" && !request.reusedSocket ? 2 : attempts)) {
      this.#timer = setTimeout(() => this.#ask(), retryMs * (this.#failures - 1));
      return;
    }
    if (phase === "asking") this.#refuse(502, `the origin server cannot be reached: ${reason}`);
    else this.#connection.reset(`origin: ${reason}`);
  }

  #refuse(status: number, message: string): void {
    console.error(`[${this.#connection.peer.address}]:${this.#connection.peer.port}: ${status} ${message}`);
    this.#stopAsking();
    const headOnly = this.#exchange.phase !== "idle" && this.#exchange.head.method === "HEAD";
    this.#exchange = { phase: "idle" };
    this.#connection.write(plainAnswer(status, message, { close: true, headOnly }));
    this.#connection.close();
  }

  #stopAsking(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    const request = this.#request;
    this.#request = null;
    this.#answer = null;
    request?.destroy();
  }
}
