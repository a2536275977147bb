import { createWriteStream, type WriteStream } from "node:fs";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { finished } from "node:stream/promises";
import { eventLine, runDescription, runSummary, type EventLine, type RunDescription, type RunSummary } from "../../src-shared/api/summary.ts";
import { Problem } from "../problem.ts";
import { isAlive, markOf, type ProcessMark } from "../process-mark.ts";

/** The files of a run, by their place in its folder. docs/run-folder.md describes each. */
export const runFiles = {
  run: "run.json",
  scenario: "scenario.yaml",
  events: "events.jsonl",
  handoffs: "handoffs.csv",
  series: "series.csv",
  summary: "summary.json",
  capture: "capture.pcapng",
  report: "report.html",
  clients: "clients",
  parts: ".captures",
  owner: ".owner.json",
} as const;

/** One run's folder: where each file is, how it is written and read back. */
export class RunFolder {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** Makes `base/20061123-101500-name`, with a number behind it when two runs start in one second. Rejects with a Problem when it can't. */
  static async create(base: string, name: string, startedAt: Date): Promise<RunFolder> {
    const stamp = startedAt.toISOString().replaceAll(/[-:]/g, "").replace("T", "-").slice(0, 15);
    try {
      await mkdir(base, { recursive: true });
      for (let i = 1; ; i++) {
        const path = join(base, `${stamp}-${name}${i > 1 ? `-${i}` : ""}`);
        if (await made(path)) return await RunFolder.prepared(path);
      }
    } catch (error) {
      throw unwritable(base, error);
    }
  }

  /** Uses an existing or new folder as it is named; an earlier run in it is refused, so that no run is overwritten. */
  static async at(path: string): Promise<RunFolder> {
    try {
      await mkdir(path, { recursive: true });
      await readFile(join(path, runFiles.run)).then(
        () => Promise.reject(new Problem({ code: "run.folderTaken", what: `${path} holds a run already`, remedy: "Name another folder with --out, or remove that one." })),
        () => {},
      );
      return await RunFolder.prepared(path);
    } catch (error) {
      throw error instanceof Problem ? error : unwritable(path, error);
    }
  }

  private static async prepared(path: string): Promise<RunFolder> {
    await mkdir(join(path, runFiles.clients), { recursive: true });
    await mkdir(join(path, runFiles.parts), { recursive: true, mode: 0o700 });
    const folder = new RunFolder(path);
    await writeFile(folder.#owner, JSON.stringify(await markOf(process.pid)));
    return folder;
  }

  /** Another process that is filling this folder now; null when none is. */
  async filledBy(): Promise<number | null> {
    const owner = await readFile(this.#owner, "utf8").then((text) => JSON.parse(text) as ProcessMark).catch(() => null);
    return owner && owner.pid !== process.pid && (await isAlive(owner)) ? owner.pid : null;
  }

  /** Nobody fills it any more. */
  async release(): Promise<void> {
    await rm(this.#owner, { force: true });
  }

  get #owner(): string {
    return join(this.path, runFiles.owner);
  }

  file(name: keyof typeof runFiles): string {
    return join(this.path, runFiles[name]);
  }

  clientLog(name: string): string {
    return join(this.path, runFiles.clients, name);
  }

  capturePart(host: string): string {
    return join(this.path, runFiles.parts, `${host}.pcapng`);
  }

  /** Replaces a file in one go: a reader sees the old one or the new one. */
  async write(name: keyof typeof runFiles, text: string): Promise<void> {
    const target = this.file(name);
    try {
      await writeFile(`${target}.part`, text);
      await rename(`${target}.part`, target);
    } catch (error) {
      throw unwritable(target, error);
    }
  }

  async writeRun(run: RunDescription): Promise<void> {
    await this.write("run", `${JSON.stringify(runDescription.parse(run), null, 2)}\n`);
  }

  async writeSummary(summary: RunSummary): Promise<void> {
    await this.write("summary", `${JSON.stringify(runSummary.parse(summary), null, 2)}\n`);
  }

  async readRun(): Promise<RunDescription> {
    return runDescription.parse(await this.#json("run"));
  }

  async readSummary(): Promise<RunSummary> {
    return runSummary.parse(await this.#json("summary"));
  }

  async readScenario(): Promise<string> {
    return this.#text("scenario");
  }

  /** The event log; a last line that was cut off by a crash is left out. */
  async readEvents(): Promise<EventLine[]> {
    const lines = (await this.#text("events")).split("\n");
    lines.pop();
    return lines.map((line, i) => {
      const parsed = eventLine.safeParse(JSON.parse(line));
      if (!parsed.success) throw new Problem({ code: "run.broken", what: `${this.file("events")}:${i + 1} is not an event`, remedy: "The run folder was changed after the run; its report can't be made again." });
      return parsed.data;
    });
  }

  /** A client's own log; lines that are no JSON (a cut-off last one) are left out. */
  async readClientLog(name: string): Promise<Record<string, unknown>[]> {
    const text = await readFile(this.clientLog(name), "utf8").catch(() => "");
    return text.split("\n").flatMap((line) => {
      try {
        return line ? [JSON.parse(line) as Record<string, unknown>] : [];
      } catch {
        return [];
      }
    });
  }

  async removeParts(): Promise<void> {
    await rm(join(this.path, runFiles.parts), { recursive: true, force: true });
  }

  async #json(name: keyof typeof runFiles): Promise<unknown> {
    return JSON.parse(await this.#text(name));
  }

  async #text(name: keyof typeof runFiles): Promise<string> {
    try {
      return await readFile(this.file(name), "utf8");
    } catch (error) {
      throw new Problem({ code: "run.unreadable", what: `${this.file(name)} can't be read (${(error as NodeJS.ErrnoException).code ?? String(error)})`, remedy: "Give the folder of a run, such as runs/20061123-101500-quickstart.", cause: error });
    }
  }
}

/** Appends lines as they come; `end` resolves when all are on disk. */
export class LineFile {
  readonly #stream: WriteStream;
  #failure: Error | null = null;

  constructor(path: string, mode = 0o644) {
    this.#stream = createWriteStream(path, { mode });
    this.#stream.on("error", (error) => (this.#failure = error));
  }

  append(value: unknown): void {
    this.#stream.write(`${JSON.stringify(value)}\n`);
  }

  /** Rejects when any line could not be written (a full disk). */
  async end(): Promise<void> {
    if (!this.#failure) {
      this.#stream.end();
      await finished(this.#stream).catch((error: Error) => (this.#failure = error));
    }
    if (this.#failure) throw unwritable(String(this.#stream.path), this.#failure);
  }
}

async function made(path: string): Promise<boolean> {
  try {
    await mkdir(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

function unwritable(path: string, error: unknown): Problem {
  const code = (error as NodeJS.ErrnoException).code ?? String(error);
  const remedy = code === "ENOSPC" ? "Make room on the disk, or name a folder on another one with --out." : "Name a folder that you may write to with --out.";
  return new Problem({ code: "run.unwritable", what: `${path} can't be written (${code})`, remedy, cause: error });
}
