import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, rmSync, truncateSync, writeSync } from "node:fs";
import { join } from "node:path";
import { parseAddress, type Address } from "../../src-shared/net/address.ts";
import type { HomeStore } from "../ports.ts";

/** Far more than a saved home needs: what is longer was not written by us. */
const longest = 4096;

/** One small JSON file for each home address, mode 0600, in a folder of the agent's directory. */
export class FileHomeStore implements HomeStore {
  readonly #folder: string;

  constructor(directory: string) {
    this.#folder = join(directory, "homes");
  }

  list(): Address[] {
    if (!existsSync(this.#folder)) return [];
    return readdirSync(this.#folder).flatMap((name) => addressOf(name) ?? []);
  }

  load(home: Address): unknown {
    let text: string;
    try {
      text = readFileSync(this.#file(home), "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
    if (text.length > longest) throw new Error(`${this.#file(home)} is ${text.length} characters long: no more than ${longest} can be right`);
    try {
      return JSON.parse(text);
    } catch (error) {
      throw new Error(`${this.#file(home)} is not JSON: ${(error as Error).message}`, { cause: error });
    }
  }

  /** Written beside, then renamed over: whoever reads sees the whole of the old or the whole of the new. */
  save(home: Address, saved: unknown): void {
    const file = this.#file(home);
    try {
      mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
      writeDurably(`${file}.new`, JSON.stringify(saved));
      renameSync(`${file}.new`, file);
      syncFolder(this.#folder);
    } catch (error) {
      invalidate(file);
      throw error;
    }
  }

  remove(home: Address): void {
    rmSync(this.#file(home), { force: true });
  }

  #file(home: Address): string {
    return join(this.#folder, `${home}.json`);
  }
}

function addressOf(name: string): Address | undefined {
  if (!name.endsWith(".json")) return undefined;
  try {
    return parseAddress(name.slice(0, -".json".length));
  } catch {
    return undefined; // not ours
  }
}

function writeDurably(path: string, text: string): void {
  const fd = openSync(path, "w", 0o600);
  try {
    writeSync(fd, text);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** A rename is on the disk when its folder is. */
function syncFolder(folder: string): void {
  const fd = openSync(folder, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Emptied rather than left: an old fence that looks like the newest would let old messages in again. Needs no room on a full disk. */
function invalidate(file: string): void {
  try {
    truncateSync(file, 0);
  } catch {
    // there is none, or nothing can be written at all: the caller tells
  }
}
