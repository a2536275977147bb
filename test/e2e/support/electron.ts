import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { productShell, simulatedShell } from "./build-shells.ts";
import type { Person } from "./person.ts";

const standIn = join(import.meta.dirname, "../electron-stand-in");

export interface ElectronApp {
  readonly browser: Browser;
  readonly page: Page;
  /** Lines that the shell or the manager wrote about what should not have happened. */
  readonly defects: string[];
  readonly process: ChildProcess;
  /** Closes the window, which ends the application; resolves with its exit code. */
  close(): Promise<number | null>;
  /** Ends it at once, as a crash does. */
  kill(): Promise<void>;
}

/** Starts the built Electron shell under the stand-in, with a simulated lab, and finds its window. */
export function startElectron(lab: string): Promise<ElectronApp> {
  return startElectronIn(simulatedShell, lab);
}

/** The same with the scripts of another folder. */
export function startElectronIn(folder: string, lab: string): Promise<ElectronApp> {
  return start(["--import", join(standIn, "register.ts"), join(folder, "main.mjs")], { ...process.env, STAND_IN_LAB: lab, STAND_IN_MANAGER: join(standIn, "manager.ts") }, []);
}

/** Starts the product's own main script under the stand-in, with its own manager, for a person. */
export function startProduct(person: Person): Promise<ElectronApp> {
  return start(["--import", join(standIn, "register.ts"), join(productShell, "main.mjs")], person.environment, person.wrap);
}

async function start(args: readonly string[], environment: NodeJS.ProcessEnv, wrap: readonly string[]): Promise<ElectronApp> {
  const port = await freePort();
  const profile = mkdtempSync(join(tmpdir(), "electron-stand-in-"));
  const [program, ...rest] = [...wrap, process.execPath, ...args] as [string, ...string[]];
  // The channel tells the stand-in when this process ends, however it does.
  const child = spawn(program, rest, { stdio: ["ignore", "inherit", "pipe", "ipc"], env: { ...environment, STAND_IN_PORT: String(port), STAND_IN_PROFILE: profile } });
  const defects: string[] = [];
  child.stderr?.setEncoding("utf8").on("data", (text: string) => defects.push(...text.split("\n").filter((line) => line.trim() !== "" && !line.includes("ExperimentalWarning") && !line.includes("--trace-warnings"))));
  const exit = new Promise<number | null>((resolve) => child.once("exit", resolve));
  // Its Chromium ends with it, but a moment later.
  const ended = exit.then(async (code) => {
    await rm(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
    return code;
  });
  const kill = async () => {
    child.kill("SIGKILL");
    await ended;
  };
  try {
    const browser = await untilItWorks(child, defects, () => chromium.connectOverCDP(`http://127.0.0.1:${port}`));
    const page = await untilItWorks(child, defects, async () => {
      const found = browser.contexts()[0]?.pages().find((each) => each.url().startsWith("http://lab.app.localhost/"));
      if (!found) throw new Error("no window yet");
      return found;
    });
    const close = async () => {
      await page.close().catch(() => undefined);
      const timer = setTimeout(() => child.kill("SIGKILL"), 30_000);
      const code = await ended;
      clearTimeout(timer);
      return code;
    };
    return { browser, page, defects, process: child, close, kill };
  } catch (error) {
    await kill();
    throw error;
  }
}

async function untilItWorks<T>(child: ChildProcess, defects: readonly string[], attempt: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await attempt();
    } catch (error) {
      if (tries > 300 || child.exitCode !== null || child.signalCode !== null) throw new Error(`the Electron shell shows no window: ${defects.join("; ")}`, { cause: error });
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => (address && typeof address === "object" ? resolve(address.port) : reject(new Error("no port"))));
    });
  });
}
