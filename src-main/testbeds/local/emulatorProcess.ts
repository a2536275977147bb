import { spawn, type ChildProcess } from "node:child_process";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { emulatorReply, type EmulatorConfig, type EmulatorReply, type EmulatorReport, type EmulatorRequest } from "../../../src-shared/api/linkemu.ts";
import { Problem } from "../../problem.ts";
import { wireNamespace } from "./network.ts";
import { run, systemEnvironment } from "./run.ts";

const program = resolve(import.meta.dirname, "../../../src-agent/linkemu/main.ts");

type Without<T> = T extends unknown ? Omit<T, "id"> : never;

/** The lab's link emulator, a process in the namespace that holds the hosts' peers. */
export class EmulatorProcess {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, { resolve: (reply: EmulatorReply) => void; reject: (error: Error) => void }>();
  #lastId = 0;
  #ended: string | undefined;

  private constructor(child: ChildProcess, ready: () => void) {
    this.#child = child;
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).on("line", (line) => {
      const reply = emulatorReply.parse(JSON.parse(line));
      if ("ready" in reply) return ready();
      this.#waiting.get(reply.id)?.resolve(reply);
      this.#waiting.delete(reply.id);
    });
    child.once("close", (code, signal) => {
      this.#ended = String(signal ?? `exit code ${code}`);
      for (const { reject } of this.#waiting.values()) reject(this.#gone());
      this.#waiting.clear();
    });
    child.stdin?.on("error", () => {}); // told by `close`
  }

  /**
   * Starts it; resolves when packets flow. `log` is a descriptor for what it says. It gets the lowest real-time priority where we may give
   * it: on a busy machine it would otherwise wait its turn, for milliseconds, with packets that are due.
   */
  static async start(config: EmulatorConfig, log: number): Promise<EmulatorProcess> {
    const realTime = ["chrt", "--rr", "1"];
    const mayHurry = (await run(realTime[0] as string, [...realTime.slice(1), "true"])).code === 0;
    const command = [...(mayHurry ? realTime : []), process.execPath, program];
    return new Promise((resolve, reject) => {
      const child = spawn("nsenter", [`--net=/run/netns/${wireNamespace}`, ...command], { stdio: ["pipe", "pipe", log], env: systemEnvironment });
      const emulator: EmulatorProcess = new EmulatorProcess(child, () => resolve(emulator));
      child.once("error", reject);
      child.once("close", () => reject(emulator.#gone()));
      child.stdin?.write(`${JSON.stringify(config)}\n`);
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  async report(): Promise<EmulatorReport> {
    const reply = await this.#ask({ op: "report" });
    if (!("report" in reply) || !reply.report) throw new Error("the link emulator answered a report without one");
    return reply.report;
  }

  async setLinks(links: EmulatorConfig["links"]): Promise<void> {
    await this.#ask({ op: "links", links });
  }

  async interfacesChanged(): Promise<void> {
    await this.#ask({ op: "interfaces" });
  }

  async #ask(request: Without<EmulatorRequest>): Promise<EmulatorReply> {
    if (this.#ended !== undefined) throw this.#gone();
    const id = ++this.#lastId;
    const reply = await new Promise<EmulatorReply>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#child.stdin?.write(`${JSON.stringify({ ...request, id })}\n`);
    });
    if ("ok" in reply && !reply.ok) throw new Problem({ code: "lab.links", what: `the link emulator refused: ${reply.error}`, remedy: "Links are as they were." });
    return reply;
  }

  #gone(): Problem {
    return new Problem({ code: "lab.emulatorDied", what: `the lab's link emulator has ended (${this.#ended})`, remedy: "Take the lab down and up again; its log says more." });
  }
}
