// `npm run guide [FOLDER]`: sets up, then takes the pictures of docs/guide.md from the running application.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { ensureAgent, ensureDebian, ensureNpm, ensureUnpacked, ensureWindow, pinnedNode, root } from "./ensure.mjs";

ensureNpm();
ensureDebian({ forTests: true });
ensureUnpacked();
ensureAgent();
ensureWindow();
const result = spawnSync(pinnedNode, [join(root, "test/e2e/guide.ts"), ...process.argv.slice(2)], { cwd: root, stdio: "inherit" });
process.exit(result.status ?? 1);
