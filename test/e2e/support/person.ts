import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { labDownAll } from "../../../src-main/testbeds/local/labs.ts";

/** Why local labs and persons cannot be tried here; null when they can. */
export function missingLab(): string | null {
  if (process.platform !== "linux") return "local labs need Linux";
  return process.getuid?.() === 0 ? null : "these tests make labs as root";
}

/**
 * Somebody who starts the application for the first time: a home folder of their own, also for OpenSSH (which asks passwd, not HOME), and no file of ours yet.
 * What a person of an earlier run that died has left is removed first.
 */
export class Person {
  readonly folder = mkdtempSync(join(tmpdir(), prefix));
  readonly home = join(this.folder, "h");
  /** For every program that the person starts. */
  readonly environment: NodeJS.ProcessEnv;
  /** Programs are started through this: it ends them with the test, and puts the person into passwd. */
  readonly wrap: readonly string[];

  constructor() {
    writeFileSync(join(this.folder, "owner"), String(process.pid));
    mkdirSync(join(this.home, ".ssh"), { recursive: true, mode: 0o700 });
    const passwd = join(this.folder, "passwd");
    writeFileSync(passwd, readFileSync("/etc/passwd", "utf8").replace(/^root:.*$/m, `root:x:0:0:root:${this.home}:/bin/bash`));
    const { XDG_CONFIG_HOME: _config, XDG_DATA_HOME: _data, SSH_AUTH_SOCK: _agent, ...rest } = process.env;
    const cache = process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache");
    this.environment = { ...rest, HOME: this.home, XDG_STATE_HOME: this.#state, XDG_CACHE_HOME: cache };
    this.wrap = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private", "sh", "-c", 'mount --bind "$0" /etc/passwd && exec "$@"', passwd];
  }

  static async create(): Promise<Person> {
    for (const name of readdirSync(tmpdir()).filter((each) => each.startsWith(prefix))) await removeIfLeft(join(tmpdir(), name));
    return new Person();
  }

  /** Puts a scenario of the person's where the application looks for it. */
  keepScenario(name: string, text: string): void {
    const folder = join(this.home, ".config/anycast-lab/scenarios");
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `${name}.yaml`), text);
  }

  /** Takes the person's labs down and removes the person. Their programs must have ended. */
  async remove(): Promise<void> {
    await withStateOf(this.folder, labDownAll);
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  get #state(): string {
    return stateOf(this.folder);
  }
}

/** Short: paths of Unix sockets lie below. */
const prefix = "al-p-";
const stateOf = (folder: string): string => join(folder, "s");

async function removeIfLeft(folder: string): Promise<void> {
  try {
    process.kill(Number(readFileSync(join(folder, "owner"), "utf8")), 0);
  } catch {
    await withStateOf(folder, labDownAll);
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function withStateOf<T>(folder: string, work: () => Promise<T>): Promise<T> {
  const before = process.env["XDG_STATE_HOME"];
  process.env["XDG_STATE_HOME"] = stateOf(folder);
  try {
    return await work();
  } finally {
    if (before === undefined) delete process.env["XDG_STATE_HOME"];
    else process.env["XDG_STATE_HOME"] = before;
  }
}
