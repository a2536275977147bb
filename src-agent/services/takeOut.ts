import type { Connection } from "./connection.ts";

/** How a service answered a `release`. `closed`: it was done with the connection at the same moment. */
export type ReleaseAnswer =
  | { readonly kind: "released"; readonly state: Uint8Array }
  | { readonly kind: "kept"; readonly reason: string }
  | { readonly kind: "closed" }
  | { readonly kind: "late" };

interface Pending {
  readonly waiting: Map<number, Connection>;
  readonly answers: Map<Connection, ReleaseAnswer>;
  readonly finish: () => void;
}

/** A service that has not let go after this long counts as refusing, in ms; times the group's patience. */
const answerWithinMs = 2000;

/** Requests to services to let connections go, and their answers. */
export class TakeOuts {
  readonly #pending = new Map<number, Pending>();
  #next = 1;

  /** `ask` sends the request; resolves with one answer for each connection, `late` where none came in time. */
  async ask(connections: readonly Connection[], patience: number, ask: (request: number) => void): Promise<ReadonlyMap<Connection, ReleaseAnswer>> {
    const request = this.#next++;
    const answers = new Map<Connection, ReleaseAnswer>();
    if (connections.length === 0) return answers;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, answerWithinMs * patience);
      const finish = () => {
        clearTimeout(timer);
        resolve();
      };
      this.#pending.set(request, { waiting: new Map(connections.map((c) => [c.id, c])), answers, finish });
      ask(request);
    });
    for (const late of this.#pending.get(request)?.waiting.values() ?? []) answers.set(late, { kind: "late" });
    this.#pending.delete(request);
    return answers;
  }

  /** False when nobody waits for it (any more). */
  answer(request: number, connection: number, answer: ReleaseAnswer): boolean {
    const pending = this.#pending.get(request);
    const asked = pending?.waiting.get(connection);
    if (!pending || !asked) return false;
    pending.waiting.delete(connection);
    pending.answers.set(asked, answer);
    if (pending.waiting.size === 0) pending.finish();
    return true;
  }

  /** The connection ended, whoever was asked about it. */
  closed(connection: Connection): void {
    for (const request of this.#pending.keys()) this.answer(request, connection.id, { kind: "closed" });
  }
}
