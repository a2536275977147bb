import { join } from "node:path";
import { runElectronShell } from "../../../src-main/shells/electron/shell.ts";

/** The Electron shell with a simulated lab for its manager, built as the product's main script is. What should not have happened goes to standard error. */
await runElectronShell({
  manager: { node: process.execPath, script: process.env.STAND_IN_MANAGER ?? "" },
  window: join(import.meta.dirname, "../renderer"),
  preload: join(import.meta.dirname, "preload.cjs"),
  onDefect: (what) => process.stderr.write(`defect: ${what}\n`),
});
