import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { App } from "../../../src-main/app.ts";
import { type Served, serve } from "../../../src-main/shells/serve/serve.ts";
import { labDownAll } from "../../../src-main/testbeds/local/labs.ts";
import { builtWindow } from "./memory-lab.ts";

/** Why local labs cannot be tried here; null when they can. */
export function missingLab(): string | null {
  if (process.platform !== "linux") return "local labs need Linux";
  return process.getuid?.() === 0 ? null : "these tests make labs as root";
}

export interface RealLab {
  readonly served: Served;
  readonly app: App;
  readonly defects: readonly string[];
  /** Ends the manager and starts another; labs stay up meanwhile. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

/** The serve shell with the real manager, on folders of the test's own; `scenarios` by name are the person's. */
export async function serveRealLab(scenarios: Readonly<Record<string, string>>): Promise<RealLab> {
  const folder = mkdtempSync(join(tmpdir(), "win-"));
  const before = { XDG_STATE_HOME: process.env["XDG_STATE_HOME"], XDG_CONFIG_HOME: process.env["XDG_CONFIG_HOME"] };
  Object.assign(process.env, { XDG_STATE_HOME: join(folder, "s"), XDG_CONFIG_HOME: join(folder, "c") });
  const own = join(folder, "c/anycast-lab/scenarios");
  mkdirSync(own, { recursive: true });
  for (const [name, text] of Object.entries(scenarios)) writeFileSync(join(own, `${name}.yaml`), text);
  const defects: string[] = [];
  const start = async () => {
    const app = new App({ runs: join(folder, "runs") });
    return { app, served: await serve({ backend: app, window: builtWindow, onDefect: (what) => defects.push(what) }) };
  };
  const stop = async () => {
    await now.served.close();
    await now.app.close();
  };
  let now = await start();
  return {
    get served() {
      return now.served;
    },
    get app() {
      return now.app;
    },
    defects,
    restart: async () => {
      await stop();
      now = await start();
    },
    close: async () => {
      await stop();
      await labDownAll();
      for (const [name, value] of Object.entries(before)) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
