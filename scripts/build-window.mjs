// Builds the window (src-renderer) into out/renderer with Vite, on the pinned Node. Does nothing while that is as new as its sources, unless --force.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, statSync, utimesSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const built = join(root, "out/renderer/index.html");
const sources = ["src-renderer", "src-shared/api", "src-shared/drawing", "src-shared/net", "src-shared/predict", "src-shared/stats", "src-shared/protocol/wire", "vite.config.ts", "tsconfig.renderer.json", "package-lock.json", "scripts/build-window.mjs"];

/** Newest change among the sources of the window, ms since 1970. */
function newest(path) {
  const stat = statSync(join(root, path));
  if (!stat.isDirectory()) return path.endsWith(".spec.ts") ? 0 : stat.mtimeMs;
  return Math.max(stat.mtimeMs, ...readdirSync(join(root, path)).map((name) => newest(join(path, name))));
}

/** Whether out/renderer is as new as its sources. */
export function windowIsBuilt() {
  return existsSync(built) && statSync(built).mtimeMs >= Math.max(...sources.map(newest));
}

/** Throws when Vite fails; its words are on standard error then. */
export function buildWindow() {
  const startedAt = new Date();
  const result = spawnSync(process.execPath, [join(root, "node_modules/vite/bin/vite.js"), "build", "--logLevel", "warn"], { cwd: root, stdio: ["ignore", 2, 2] });
  if (result.status !== 0) throw new Error("the window could not be built; see above");
  // What changes while it is being built makes it stale.
  utimesSync(built, startedAt, startedAt);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    if (process.argv.includes("--force") || !windowIsBuilt()) buildWindow();
  } catch (error) {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}
