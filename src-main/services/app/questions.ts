import type { AppHandlers } from "../../../src-shared/api/app.ts";
import { AppError } from "../../../src-shared/api/app/error.ts";
import type { Question } from "../../../src-shared/api/app/work.ts";
import type { AskSecret } from "../../ssh/target.ts";
import type { Emit } from "./store.ts";

/** A question nobody answers is declined after this, ms. */
const patienceMs = 5 * 60_000;

interface Waiting {
  readonly question: Question;
  readonly answer: (secret: string | undefined) => void;
}

/** Asks the person at a window for secrets. An answer goes to whoever asked, once, and is kept nowhere. */
export class Questions {
  readonly #waiting = new Map<string, Waiting>();
  readonly #emit: Emit;
  #next = 1;

  constructor(emit: Emit) {
    this.#emit = emit;
  }

  readonly handlers = {
    "question.list": () => [...this.#waiting.values()].map(({ question }) => question),
    "question.answer": ({ question, secret }) => {
      const waiting = this.#waiting.get(question);
      if (!waiting) throw new AppError("not-found", "this question was answered already, or is no longer asked");
      waiting.answer(secret ?? undefined);
      return {};
    },
  } satisfies Partial<AppHandlers>;

  /** A way to ask about one host. */
  about(host: string, kind: Question["kind"]): AskSecret {
    return (prompt) =>
      new Promise((resolve) => {
        const id = `question-${this.#next++}`;
        const answer = (secret: string | undefined): void => {
          clearTimeout(timer);
          this.#waiting.delete(id);
          this.#emit("question.settled", { question: id });
          resolve(secret);
        };
        const timer = setTimeout(() => answer(undefined), patienceMs);
        timer.unref();
        const question: Question = { id, host, kind, prompt };
        this.#waiting.set(id, { question, answer });
        this.#emit("question.asked", question);
      });
  }

  close(): void {
    for (const { answer } of this.#waiting.values()) answer(undefined);
  }
}
