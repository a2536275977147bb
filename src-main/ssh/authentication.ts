import { readFile } from "node:fs/promises";
import ssh2, { type AnyAuthMethod, type AuthHandlerMiddleware, type ParsedKey } from "ssh2";
import type { Credentials } from "./target.ts";

/** What was tried to log in, in words, for the error when nothing was accepted. */
export type Tried = string[];

/** One thing to try; `make` runs when its turn comes and may ask a person. */
interface Attempt {
  readonly method: "publickey" | "password" | "none";
  readonly make: () => Promise<AnyAuthMethod | undefined>;
}

/** A handler that offers each credential once, in the order of Credentials, asking for secrets only when their turn comes. */
export function authenticator(username: string, credentials: Credentials, tried: Tried): AuthHandlerMiddleware {
  const attempts = attemptsFor(username, credentials, tried);
  const nextMethod = async (methodsLeft: readonly string[] | null): Promise<AnyAuthMethod | false> => {
    for (let attempt = attempts.shift(); attempt; attempt = attempts.shift()) {
      if (methodsLeft && !methodsLeft.includes(attempt.method)) continue;
      const method = await attempt.make();
      if (method) return method;
    }
    return false;
  };
  return (methodsLeft, _partialSuccess, next) => {
    nextMethod(methodsLeft).then(
      (method) => next(method as AnyAuthMethod),
      (error: unknown) => {
        tried.push(String(error));
        next(false as never);
      },
    );
  };
}

function attemptsFor(username: string, credentials: Credentials, tried: Tried): Attempt[] {
  const attempts: Attempt[] = [];
  const { agentSocket, password } = credentials;
  if (agentSocket) {
    attempts.push({
      method: "publickey",
      make: async () => {
        tried.push("SSH agent");
        return { type: "agent", username, agent: agentSocket };
      },
    });
  }
  for (const file of credentials.keyFiles) {
    attempts.push({
      method: "publickey",
      make: async () => {
        const key = await loadKey(file, credentials, tried);
        return key && { type: "publickey", username, key };
      },
    });
  }
  if (password) {
    attempts.push({
      method: "password",
      make: async () => {
        const answer = await password(`Password of ${username}`);
        tried.push("password");
        return answer === undefined ? undefined : { type: "password", username, password: answer };
      },
    });
  }
  return attempts.length > 0 ? attempts : [{ method: "none", make: async () => ({ type: "none", username }) }];
}

/** Reads a private key file, asking for its passphrase when it is encrypted. A key that cannot be used is noted and passed over. */
async function loadKey(file: string, credentials: Credentials, tried: Tried): Promise<ParsedKey | undefined> {
  let text: Buffer;
  try {
    text = await readFile(file);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== "ENOENT") tried.push(`${file} (cannot be read: ${code})`);
    return undefined;
  }
  let key = firstKey(ssh2.utils.parseKey(text));
  if (key instanceof Error && /passphrase|encrypted/i.test(key.message) && credentials.passphrase) {
    const passphrase = await credentials.passphrase(`Passphrase of ${file}`);
    if (passphrase !== undefined) key = firstKey(ssh2.utils.parseKey(text, passphrase));
  }
  if (key instanceof Error) {
    tried.push(`${file} (${unusable(key)})`);
    return undefined;
  }
  tried.push(file);
  return key;
}

function firstKey(parsed: ParsedKey | ParsedKey[] | Error): ParsedKey | Error {
  return Array.isArray(parsed) ? (parsed[0] ?? new Error("no key in it")) : parsed;
}

function unusable(error: Error): string {
  if (/no passphrase/i.test(error.message)) return "encrypted, no passphrase given";
  if (/bad passphrase|integrity|malformed|bad decrypt|wrong/i.test(error.message)) return "wrong passphrase, or damaged";
  return `not usable: ${error.message}`;
}
