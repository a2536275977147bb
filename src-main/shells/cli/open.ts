import { spawn } from "node:child_process";
import { accessSync, constants, existsSync, readFileSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";
import { exitCodes } from "../../problem.ts";
import { note } from "./output.ts";
import { serveCommand } from "./serve.ts";

const root = resolve(import.meta.dirname, "../../..");
/** The built Electron shell. */
const electronMain = join(root, "out/electron/main.mjs");

/** No command: the app. In Electron where it can run, else in the default browser, else by printing the address. Nothing is ever started without its sandbox. */
export async function openCommand(): Promise<number> {
  const isRoot = process.getuid?.() === 0;
  let way = wayToOpen(process.env, isRoot);
  if (way.by === "electron") {
    const code = await runElectron(way.binary, electronMain);
    if (code !== null) return code;
    note("Electron does not run here; see above. The window opens in the browser.");
    way = wayToOpen(process.env, isRoot, null);
  }
  if (way.by === "browser") {
    const { binary } = way;
    return serveCommand({}, (link) => {
      const browser = spawn(binary, [link], { stdio: "ignore", detached: true });
      browser.on("error", (error) => note(`the browser did not start (${error.message}); open the link above yourself`));
      browser.unref();
    });
  }
  note((way as Extract<WayToOpen, { by: "address" }>).why);
  return serveCommand({});
}

export type WayToOpen = { readonly by: "electron" | "browser"; readonly binary: string } | { readonly by: "address"; readonly why: string };

/** How the window is opened here. `isRoot`: browsers and Electron have no sandbox as root, so neither is started. */
export function wayToOpen(environment: NodeJS.ProcessEnv, isRoot: boolean, electron: string | null = findElectron()): WayToOpen {
  const display = process.platform !== "linux" || Boolean(environment["DISPLAY"] || environment["WAYLAND_DISPLAY"]);
  if (!display) return { by: "address", why: "There is no display here: open the address in a browser of this machine (or through ssh -L)." };
  if (isRoot) return { by: "address", why: "As root no browser is started, because it would have no sandbox: open the address yourself, as another user." };
  if (electron) return { by: "electron", binary: electron };
  const opener = { darwin: "open", win32: "explorer" }[process.platform as string] ?? "xdg-open";
  const found = findOnPath(opener, environment["PATH"] ?? "");
  return found ? { by: "browser", binary: found } : { by: "address", why: `There is no ${opener} to open a browser with: open the address yourself.` };
}

/** Electron's program, where npm has fetched it and our shell for it is built; else null. */
function findElectron(): string | null {
  const folder = join(root, "node_modules/electron");
  try {
    const binary = join(folder, "dist", readFileSync(join(folder, "path.txt"), "utf8").trim());
    return existsSync(binary) && existsSync(electronMain) ? binary : null;
  } catch {
    return null;
  }
}

function findOnPath(program: string, path: string): string | null {
  const found = path.split(delimiter).map((folder) => join(folder, program));
  return found.find((file) => isProgram(file)) ?? null;
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** What would take Electron's sandbox away, or make another program of it. */
const unwanted = ["ELECTRON_DISABLE_SANDBOX", "ELECTRON_RUN_AS_NODE", "NODE_OPTIONS"];
/** What fails sooner than this never showed its window. */
const startsWithinMs = 10_000;

/** Runs our shell for Electron to its end, with its sandbox. Answers its exit code, or null when it does not run here: a library or the sandbox's helper is missing. */
export function runElectron(binary: string, main: string, environment: NodeJS.ProcessEnv = process.env): Promise<number | null> {
  const env = Object.fromEntries(Object.entries(environment).filter(([name]) => !unwanted.includes(name)));
  return new Promise((resolve) => {
    const startedAt = performance.now();
    const child = spawn(binary, [main], { stdio: "inherit", env });
    let told = false;
    const pass = (signal: NodeJS.Signals) => {
      told = true;
      child.kill(signal);
    };
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, pass);
    const ended = (code: number | null) => {
      for (const signal of ["SIGINT", "SIGTERM"] as const) process.off(signal, pass);
      resolve(code);
    };
    child.on("error", (error) => {
      note(`Electron did not start: ${error.message}`);
      ended(null);
    });
    child.on("exit", (code) => {
      const neverRan = code !== 0 && !told && performance.now() - startedAt < startsWithinMs;
      ended(neverRan ? null : (code ?? exitCodes.failed));
    });
  });
}
