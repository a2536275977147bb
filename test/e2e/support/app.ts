import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { startProduct } from "./electron.ts";
import type { Person } from "./person.ts";
import { cleanUp, errorsOf, sharedBrowser, shell } from "./window.ts";

/** The whole application with its real manager, in processes of its own, for one person. */
export interface RunningApp {
  page: Page;
  /** What pages reported as errors. */
  readonly errors: string[];
  /** What the shell or the manager wrote about what should not have happened. */
  readonly defects: readonly string[];
  /** The process that a person started. */
  readonly process: ChildProcess;
  /** Where its runs lie. */
  readonly runs: string;
  /** Another window on the same application; the serve shell alone has that. */
  reopen(): Promise<void>;
  /** As a person ends it: Ctrl-C, or closing the window. Rejects when it ends with an error. */
  quit(): Promise<void>;
  /** Ends it at once, as a crash or the kernel would. */
  kill(): Promise<void>;
}

/** Starts what `npm start` starts, in the shell under test. */
export async function startApp(person: Person): Promise<RunningApp> {
  const app = await (shell === "electron" ? electronApp(person) : servedApp(person));
  cleanUp(() => app.kill());
  return app;
}

async function electronApp(person: Person): Promise<RunningApp> {
  const electron = await startProduct(person);
  const errors = errorsOf(electron.page);
  await electron.page.getByText("Stop all").first().waitFor();
  const done = async () => void (await electron.browser.close().catch(() => undefined));
  return {
    page: electron.page,
    errors,
    defects: electron.defects,
    process: electron.process,
    runs: join(person.home, ".local/share/anycast-lab/runs"),
    reopen: () => Promise.reject(new Error("closing the window ends the Electron application")),
    quit: async () => {
      const code = await electron.close();
      await done();
      if (code !== 0) throw new Error(`the Electron shell ended with ${code}: ${electron.defects.join("; ")}`);
    },
    kill: async () => {
      await electron.kill();
      await done();
    },
  };
}

const commandLine = join(import.meta.dirname, "../../../src-main/shells/cli/main.ts");

async function servedApp(person: Person): Promise<RunningApp> {
  const work = join(person.folder, "work");
  mkdirSync(work, { recursive: true });
  const [program = "", ...rest] = [...person.wrap, process.execPath, commandLine, "serve", "--json"];
  const child = spawn(program, rest, { cwd: work, stdio: ["ignore", "pipe", "pipe"], env: person.environment });
  const defects: string[] = [];
  child.stderr.setEncoding("utf8").on("data", (text: string) => defects.push(...text.split("\n").filter((line) => line.trim() !== "" && line !== "ending …")));
  const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
  const { link } = await firstJson<{ link: string }>(child, defects);
  const browser = await sharedBrowser();
  const context = await browser.newContext({ viewport: { width: 1360, height: 840 }, colorScheme: "light", permissions: ["clipboard-read", "clipboard-write"] });
  const errors: string[] = [];
  const open = async (address: string): Promise<Page> => {
    const page = await context.newPage();
    errorsOf(page, errors);
    await page.goto(address);
    await page.waitForURL((url) => url.pathname === "/");
    await page.getByText("Stop all").first().waitFor();
    return page;
  };
  const app: RunningApp = {
    page: await open(link),
    errors,
    defects,
    process: child,
    runs: join(work, "runs"),
    reopen: async () => {
      await app.page.close();
      app.page = await open(new URL("/", link).href);
    },
    quit: async () => {
      child.kill("SIGINT");
      const code = await ended;
      await context.close();
      if (code !== 0) throw new Error(`serve ended with ${code}: ${defects.join("; ")}`);
    },
    kill: async () => {
      child.kill("SIGKILL");
      await ended;
      await context.close();
    },
  };
  return app;
}

/** What a command prints as JSON, as soon as it is whole. */
function firstJson<T>(child: ChildProcess, defects: readonly string[]): Promise<T> {
  return new Promise((resolve, reject) => {
    let text = "";
    child.once("exit", (code) => reject(new Error(`it ended with ${code}: ${text}${defects.join("; ")}`)));
    child.stdout?.setEncoding("utf8").on("data", (part: string) => {
      text += part;
      try {
        resolve(JSON.parse(text) as T);
      } catch {
        // more is to come
      }
    });
  });
}
