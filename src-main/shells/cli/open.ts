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
  const way = wayToOpen(process.env, process.getuid?.() === 0);
  if (way.by === "electron") return runElectron(way.binary);
  if (way.by === "browser") {
    return serveCommand({}, (link) => {
      const browser = spawn(way.binary, [link], { stdio: "ignore", detached: true });
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

function runElectron(binary: string): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn(binary, [electronMain], { stdio: "inherit" });
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => child.kill(signal));
    child.on("error", (error) => {
      note(`Electron did not start: ${error.message}`);
      resolve(exitCodes.environment);
    });
    child.on("exit", (code) => resolve(code ?? exitCodes.failed));
  });
}
