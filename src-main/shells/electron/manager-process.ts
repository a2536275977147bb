import { App } from "../../app.ts";
import { serveParent } from "./serve-parent.ts";

/** The manager of the Electron shell: a process of its own on the Node that everything of ours is measured on. See docs/decisions/0007-electron-manager-process.md. */
await serveParent(new App(), process, (what) => process.stderr.write(`defect: ${what}\n`));
process.exit();
