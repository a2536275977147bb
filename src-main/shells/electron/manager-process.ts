import { homedir } from "node:os";
import { join } from "node:path";
import { App } from "../../app.ts";
import { serveParent } from "./serve-parent.ts";

/**
 * The manager of the Electron shell: a process of its own on the Node that everything of ours is measured on. See docs/decisions/0006-the-desktop-shell-is-thin.md.
 * A desktop application has no working directory worth the name, so its runs lie where its other data does.
 */
const data = process.env["XDG_DATA_HOME"] || join(homedir(), ".local/share");

await serveParent(new App({ runs: join(data, "anycast-lab/runs") }), process, (what) => process.stderr.write(`defect: ${what}\n`));
process.exit();
