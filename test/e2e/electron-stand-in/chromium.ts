import { type BrowserContext, chromium } from "playwright-core";
import { chromiumPath } from "../support/browser.ts";

/** A real Chromium in place of Electron's own. Its debugging port is open for the tests, which drive the windows from another process; its profile is theirs to remove. */
export async function startChromium(): Promise<{ context: BrowserContext; close(): Promise<void> }> {
  if (!chromiumPath) throw new Error("no Chromium here");
  const profile = process.env.STAND_IN_PROFILE;
  if (!profile) throw new Error("STAND_IN_PROFILE names no folder");
  const port = process.env.STAND_IN_PORT;
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: chromiumPath,
    viewport: null,
    args: [...(process.getuid?.() === 0 ? ["--no-sandbox"] : []), ...(port ? [`--remote-debugging-port=${port}`] : []), "--window-size=1360,860"],
  });
  return { context, close: () => context.close() };
}
