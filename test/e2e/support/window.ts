import type { Browser, BrowserContext, Page } from "playwright-core";
import { launchBrowser } from "./browser.ts";
import { type MemoryLab, serveMemoryLab } from "./memory-lab.ts";

export interface OpenWindow {
  readonly page: Page;
  readonly context: BrowserContext;
  readonly lab: MemoryLab;
  /** What the page reported as an error: console errors, exceptions, refused loads. */
  readonly errors: string[];
  close(): Promise<void>;
}

export interface WindowOptions {
  readonly theme?: "light" | "dark";
  readonly width?: number;
  readonly height?: number;
}

let browser: Browser | null = null;

/** A window on a simulated lab, through the serve shell, in a browser that this test file shares. */
export async function openWindow(labOptions: string, options: WindowOptions = {}): Promise<OpenWindow> {
  browser ??= await launchBrowser();
  const lab = await serveMemoryLab(labOptions);
  const context = await browser.newContext({ viewport: { width: options.width ?? 1360, height: options.height ?? 840 }, colorScheme: options.theme ?? "light", reducedMotion: "no-preference", permissions: ["clipboard-read", "clipboard-write"], acceptDownloads: true });
  const page = await context.newPage();
  const errors: string[] = [];
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  page.on("pageerror", (error) => errors.push(String(error.stack ?? error)));
  await page.goto(lab.newLink());
  await page.waitForURL((url) => url.pathname === "/");
  await page.getByText("Stop all").first().waitFor();
  return {
    page,
    context,
    lab,
    errors,
    close: async () => {
      await context.close();
      await lab.close();
    },
  };
}

/** Ends the shared browser; call once when a test file is done. */
export async function closeBrowser(): Promise<void> {
  await browser?.close();
  browser = null;
}

/** Goes to a screen by its address. */
export async function goTo(page: Page, screen: string): Promise<void> {
  await page.evaluate(`location.hash = ${JSON.stringify(`/${screen}`)}`);
}
