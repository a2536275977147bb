import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";

const places = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
export const chromiumPath = places.find((path) => existsSync(path)) ?? null;

/** Why there is no browser to test in; null when there is. */
export function missingBrowser(): string | null {
  return chromiumPath ? null : "no Chromium here: apt-get install chromium";
}

/** A headless Chromium for tests. As root it has no sandbox, which only tests may do. */
export function launchBrowser(): Promise<Browser> {
  if (!chromiumPath) throw new Error(missingBrowser() ?? "");
  return chromium.launch({ executablePath: chromiumPath, args: [...(process.getuid?.() === 0 ? ["--no-sandbox"] : []), "--enable-precise-memory-info", "--js-flags=--expose-gc"] });
}
