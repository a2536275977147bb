import { app } from "electron";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { runElectronShell } from "./shell.ts";

/** The product's main script, built into out/electron/main.mjs. Packaged, the manager lies beside the archive, on disk: a plain Node runs it. */
const here = import.meta.dirname;
const root = app.isPackaged ? join(process.resourcesPath, "manager") : resolve(here, "../..");
const pinned = join(root, `node_modules/node-${process.platform}-${process.arch}/bin/node`);

await runElectronShell({
  manager: { node: existsSync(pinned) ? pinned : "node", script: join(root, "src-main/shells/electron/manager-process.ts") },
  window: join(here, "../renderer"),
  preload: join(here, "preload.cjs"),
  onDefect: (what) => process.stderr.write(`defect: ${what}\n`),
});
