// `npm run build`: all that is bundled, anew: the agent for the hosts, the window, the Electron shell with the manager beside it for a package.
import { spawnSync } from "node:child_process";
import { ensureNpm, pinnedNode, root } from "./ensure.mjs";

ensureNpm();
for (const words of [["scripts/build-agent.mjs"], ["scripts/build-window.mjs", "--force"], ["src-main/shells/electron/build.ts"], ["src-main/shells/electron/stage.ts"]]) {
  const result = spawnSync(pinnedNode, words, { cwd: root, stdio: "inherit" });
  if (result.status !== 0) process.exit(result.status ?? 1);
}
