import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";
import type { AskSecret } from "../../ssh/target.ts";

/** Whether a person is there to be asked. */
export const canAsk = (): boolean => process.stdin.isTTY && process.stderr.isTTY;

/** Asks for a secret on the terminal without showing it; undefined where nobody can be asked. One question at a time. */
export const askSecret: AskSecret = (question) => {
  const asked = queue.then(() => (canAsk() ? ask(`${question}: `, true) : undefined));
  queue = asked.catch(() => {});
  return asked;
};

/** Asks a question on the terminal; undefined where nobody can be asked. */
export const askLine = (question: string): Promise<string | undefined> => {
  const asked = queue.then(() => (canAsk() ? ask(question, false) : undefined));
  queue = asked.catch(() => {});
  return asked;
};

let queue: Promise<unknown> = Promise.resolve();

async function ask(question: string, hidden: boolean): Promise<string> {
  process.stderr.write(question);
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: hidden ? silent : process.stderr, terminal: true });
  try {
    return await lines.question("");
  } finally {
    lines.close();
    if (hidden) process.stderr.write("\n");
  }
}
