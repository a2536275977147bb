// `npm start -- …`: sets up what is missing, then runs the command line on the pinned Node.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { ensureAgent, ensureDebian, ensureDesktop, ensureNpm, ensureUnpacked, ensureWindow, pinnedNode, root } from "./ensure.mjs";

const [command] = process.argv.slice(2);

try {
  ensureNpm();
  if (process.platform === "linux") {
    ensureDebian();
    ensureUnpacked();
    ensureAgent();
  }
  if (command === undefined || command === "serve") ensureWindow();
  if (command === undefined) ensureDesktop();
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  process.exit(3);
}

const child = spawn(pinnedNode, [join(root, "src-main/shells/cli/main.ts"), ...process.argv.slice(2)], { stdio: "inherit", env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` } });
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
child.on("exit", (code, signal) => process.exit(code ?? (signal ? 130 : 1)));
