import { createHash, randomBytes } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";

const linkLifetimeMs = 10 * 60_000;
const maxSessions = 32;

/** Who may talk to this server: whoever opened a one-time link, and then carries the cookie that it was exchanged for. Neither is ever logged. */
export class Access {
  readonly cookieName: string;
  readonly #links = new Map<string, number>();
  readonly #sessions = new Set<string>();
  readonly #now: () => number;

  /** Cookies are shared by all ports of a host, so the name carries the port. */
  constructor(port: number, now: () => number = Date.now) {
    this.cookieName = `anycast-lab-${port}`;
    this.#now = now;
  }

  /** A token that opens the window once, within ten minutes. */
  newToken(): string {
    const token = secret();
    this.#links.set(digest(token), this.#now() + linkLifetimeMs);
    return token;
  }

  /** Uses a token up. Answers the new session's secret, or null if the token is unknown, used or too old. */
  exchange(token: string): string | null {
    const key = digest(token);
    const until = this.#links.get(key);
    this.#links.delete(key);
    if (until === undefined || until < this.#now()) return null;
    const session = secret();
    this.#sessions.add(digest(session));
    if (this.#sessions.size > maxSessions) this.#sessions.delete(this.#sessions.values().next().value as string);
    return session;
  }

  setCookie(session: string): string {
    return `${this.cookieName}=${session}; Path=/; HttpOnly; SameSite=Strict`;
  }

  /** Whether the request carries a live session's cookie. */
  holds(headers: IncomingHttpHeaders): boolean {
    const values = (headers.cookie ?? "").split(";").map((pair) => pair.trim().split("=", 2));
    return values.some(([name, value]) => name === this.cookieName && value !== undefined && this.#sessions.has(digest(value)));
  }
}

const secret = () => randomBytes(32).toString("base64url");
/** Only digests are kept and looked up, so that a lookup's timing says nothing about a secret. */
const digest = (text: string) => createHash("sha256").update(text).digest("base64url");

