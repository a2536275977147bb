import { createInterface } from "node:readline";
import { resolve } from "node:path";
import { App } from "../../app.ts";
import { exitCodes, Problem } from "../../problem.ts";
import { serve, type Served } from "../serve/serve.ts";
import { note, print, printJson, type CommonOptions } from "./output.ts";

export interface ServeOptions extends CommonOptions {
  readonly port?: string;
}

const builtWindow = resolve(import.meta.dirname, "../../../out/renderer");

/** `serve`: the window for browsers of this machine, until Ctrl-C. A run that goes on then is ended cleanly; labs stay up. */
export async function serveCommand(options: ServeOptions, opened: (link: string) => void = () => {}): Promise<number> {
  const port = Number(options.port ?? 0);
  if (!Number.isInteger(port) || port < 0 || port > 65535) throw new Problem({ code: "usage", what: `--port ${options.port}: expected 0 to 65535`, remedy: "Leave it out for a free one.", exitCode: exitCodes.usage });
  const app = new App();
  const served = await serve({ backend: app, window: builtWindow, port, onDefect: (what) => note(`defect: ${what}`) }).catch(async (error: unknown) => {
    await app.close();
    throw cannotServe(error, port);
  });
  const link = served.newLink();
  if (options.json) printJson({ ok: true, port: served.port, link });
  else print(`Anycast Lab is at\n\n  ${link}\n\nThe link lets one browser in, once, within ten minutes.${process.stdin.isTTY ? " Enter prints another, Ctrl-C ends." : ""}`);
  opened(link);
  await untilEnd(served);
  note("ending …");
  await served.close();
  await app.close();
  return exitCodes.ok;
}

/** Resolves at the first Ctrl-C or request to end; Enter prints another link meanwhile. A second Ctrl-C ends at once. */
function untilEnd(served: Served): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      input?.close();
      process.once("SIGINT", () => process.exit(exitCodes.interrupted));
      resolve();
    };
    const input = process.stdin.isTTY ? createInterface({ input: process.stdin }).on("line", () => print(`  ${served.newLink()}`)) : null;
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, end);
  });
}

function cannotServe(error: unknown, port: number): unknown {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === "EADDRINUSE" || code === "EACCES") return new Problem({ code: "serve.port", what: code === "EACCES" ? `port ${port} may not be opened by this user` : `port ${port} is taken`, remedy: "Choose another one with --port, or leave it out.", exitCode: exitCodes.environment, cause: error });
  if (/window is not built|ENOENT/.test(message)) return new Problem({ code: "serve.notBuilt", what: `the window is not built (${builtWindow})`, remedy: "Start with npm start, which builds it: npm start -- serve", exitCode: exitCodes.environment, cause: error });
  return error;
}
