import { createInterface } from "node:readline";
import type { LogLine } from "../../../src-shared/api/app/work.ts";
import { agentLog } from "../hosts/logs.ts";
import type { HostLink } from "./host-link.ts";
import { LogLines } from "./log-lines.ts";
import type { Emit } from "./store.ts";

/** Lines of the past that are shown. */
const lines = 500;
/** A log nobody has asked for in this time is no longer followed, ms. */
const followMs = 10 * 60_000;
/** How long the lines of the past may take to arrive, ms. */
const firstLinesMs = 400;

interface Followed {
  readonly log: LogLines;
  readonly end: () => void;
  timer: NodeJS.Timeout;
}

/** The agents' logs on their hosts, followed for as long as somebody looks. */
export class AgentLogs {
  readonly #emit: Emit;
  readonly #followed = new Map<string, Promise<Followed>>();

  constructor(emit: Emit) {
    this.#emit = emit;
  }

  /** Lines after that number; later ones come as `host.log`. */
  async read(lab: string, link: HostLink, deployment: string, after: number): Promise<LogLine[]> {
    const key = `${lab} ${link.name}`;
    let following = this.#followed.get(key);
    if (!following) {
      following = this.#follow(key, lab, link, deployment);
      this.#followed.set(key, following);
      following.catch(() => this.#followed.delete(key));
    }
    const followed = await following;
    followed.timer.refresh();
    return followed.log.after(after);
  }

  close(): void {
    for (const following of this.#followed.values()) void following.then((followed) => followed.end(), () => {});
  }

  async #follow(key: string, lab: string, link: HostLink, deployment: string): Promise<Followed> {
    const log = new LogLines((fresh) => this.#emit("host.log", { lab, host: link.name, lines: fresh }));
    const process = await agentLog(link.access, deployment, { lines, follow: true });
    const end = (): void => {
      this.#followed.delete(key);
      clearTimeout(timer);
      process.signal("TERM");
      process.close();
    };
    const timer = setTimeout(end, followMs);
    timer.unref();
    const onLine = (text: string): void => log.add(text, /\berror\b/i.test(text) ? "error" : /\bwarn/i.test(text) ? "warn" : "info", link.name);
    createInterface({ input: process.stdout }).on("line", onLine);
    createInterface({ input: process.stderr }).on("line", onLine);
    void process.exit.then(end, end);
    await new Promise((resolve) => setTimeout(resolve, firstLinesMs));
    return { log, end, timer };
  }
}
