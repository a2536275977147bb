import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { _electron } from "playwright-core";
import { describe, expect, it } from "vitest";
import { productShell } from "./support/build-shells.ts";
import { escapesOf } from "./support/escapes.ts";
import { missingWindow } from "./support/memory-lab.ts";

/** Why Electron itself cannot be tried here; null when it can. */
function missingElectron(): string | null {
  if (!binary) return "no Electron binary: node node_modules/electron/install.js fetches it";
  if (process.getuid?.() === 0) return "as root Electron has no sandbox";
  return process.platform !== "linux" || process.env["DISPLAY"] || process.env["WAYLAND_DISPLAY"] ? null : "no display: xvfb-run npm test";
}

const folder = join(import.meta.dirname, "../../node_modules/electron");
const binary = existsSync(join(folder, "path.txt")) ? join(folder, "dist", readFileSync(join(folder, "path.txt"), "utf8").trim()) : null;
const missing = missingWindow() ?? missingElectron();

describe.skipIf(missing)(`Electron itself${missing ? ` (skipped: ${missing})` : ""}`, () => {
  it("shows the window with its sandbox, and the page has no way out", async () => {
    const app = await _electron.launch({ executablePath: binary ?? "", args: [join(productShell, "main.mjs")], chromiumSandbox: true });
    const page = await app.firstWindow();
    await page.getByText("Stop all").first().waitFor();
    expect(page.url()).toBe("app://lab/index.html");
    expect(await escapesOf({ page })).toEqual([]);
    await app.close();
  });
});
