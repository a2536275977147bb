// `npm test`: sets up, then types, lint, the test projects, and the window's tests on both shells. `--long` runs the long ones instead; `--sample`
// with it only their quickest part. Other arguments go to vitest.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { ensureAgent, ensureDebian, ensureNpm, ensureUnpacked, ensureWindow, pinnedNode, root, tryQemu } from "./ensure.mjs";

const args = process.argv.slice(2);
const long = args.includes("--long");
const sample = args.includes("--sample");
const rest = args.filter((a) => a !== "--long" && a !== "--sample");

function step(name, program, programArgs, environment = {}) {
  const startedAt = Date.now();
  const result = spawnSync(program, programArgs, { cwd: root, stdio: "inherit", env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin`, ...environment } });
  process.stderr.write(`${name}: ${result.status === 0 ? "ok" : "FAILED"} (${((Date.now() - startedAt) / 1000).toFixed(1)} s)\n`);
  if (result.status !== 0) process.exit(result.status ?? 1);
}

ensureNpm();
ensureDebian({ forTests: true });
ensureUnpacked();
if (long) tryQemu();
ensureAgent();
ensureWindow();
const vitest = join(root, "node_modules/vitest/vitest.mjs");

/** The window in Chromium, on one shell. */
function windowTests(shell, environment = {}) {
  step(`window tests, ${shell} shell`, pinnedNode, [vitest, "run", "--config", "test/e2e/vitest.config.ts", ...(rest.length > 0 ? ["--passWithNoTests"] : []), ...rest], { E2E_SHELL: shell, ...environment });
}

if (long) {
  step("long tests", pinnedNode, [vitest, "run", "--project", "long", ...rest], sample ? { LONG_SAMPLE: "1" } : {});
  for (const shell of sample ? ["electron"] : ["serve", "electron"]) windowTests(shell, { E2E_LONG: "1", ...(sample ? { LONG_SAMPLE: "1" } : {}) });
} else {
  step("types", pinnedNode, [join(root, "node_modules/typescript/bin/tsc"), "-p", "tsconfig.json"]);
  step("lint", pinnedNode, [join(root, "node_modules/oxlint/bin/oxlint"), "--deny-warnings"]);
  step("unit tests", pinnedNode, [vitest, "run", "--project", "unit", ...rest]);
  step("network tests", pinnedNode, [vitest, "run", "--project", "net", ...rest]);
  for (const shell of ["serve", "electron"]) windowTests(shell);
}
