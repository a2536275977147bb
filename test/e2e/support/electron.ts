import { type ChildProcess, spawn } from "node:child_process";
import { createServer } from "node:net";
import { join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { buildElectronShell } from "../../../src-main/shells/electron/build.ts";

const standIn = join(import.meta.dirname, "../electron-stand-in");
const built = join(import.meta.dirname, "../../../out/electron-e2e");
let building: Promise<void> | null = null;

export interface ElectronApp {
  readonly browser: Browser;
  readonly page: Page;
  /** Lines that the shell or the manager wrote about what should not have happened. */
  readonly defects: string[];
  readonly process: ChildProcess;
  /** Closes the window, which ends the application; resolves with its exit code. */
  close(): Promise<number | null>;
}

/** Starts the built Electron shell under the stand-in, with a simulated lab, and finds its window. */
export async function startElectron(lab: string): Promise<ElectronApp> {
  building ??= buildElectronShell(join(standIn, "main.ts"), built);
  await building;
  const port = await freePort();
  const child = spawn(process.execPath, ["--import", join(standIn, "register.ts"), join(built, "main.mjs")], {
    stdio: ["ignore", "inherit", "pipe"],
    env: { ...process.env, STAND_IN_PORT: String(port), STAND_IN_LAB: lab, STAND_IN_MANAGER: join(standIn, "manager.ts") },
  });
  const defects: string[] = [];
  child.stderr.setEncoding("utf8").on("data", (text: string) => defects.push(...text.split("\n").filter((line) => line.trim() !== "" && !line.includes("ExperimentalWarning") && !line.includes("--trace-warnings"))));
  const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
  const browser = await untilItWorks(() => chromium.connectOverCDP(`http://127.0.0.1:${port}`));
  const page = await untilItWorks(async () => {
    const found = browser.contexts()[0]?.pages().find((each) => each.url().startsWith("http://lab.app.localhost/"));
    if (!found) throw new Error(`no window yet; ${defects.join("; ")}`);
    return found;
  });
  return {
    browser,
    page,
    defects,
    process: child,
    close: async () => {
      await page.close().catch(() => undefined);
      const timer = setTimeout(() => child.kill("SIGKILL"), 15_000);
      const code = await ended;
      clearTimeout(timer);
      return code;
    },
  };
}

async function untilItWorks<T>(attempt: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await attempt();
    } catch (error) {
      if (tries > 300) throw error;
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
