import type { Browser, BrowserContext, Page } from "playwright-core";
import { launchBrowser } from "./browser.ts";
import { startElectron } from "./electron.ts";
import { type MemoryLab, serveMemoryLab } from "./memory-lab.ts";

/** Which shell the windows of the tests are in: E2E_SHELL=electron runs the same tests on the Electron shell, under its stand-in. */
export const shell = process.env.E2E_SHELL === "electron" ? "electron" : "serve";

export interface OpenWindow {
  readonly page: Page;
  readonly context: BrowserContext;
  /** What should not have happened, told by the shell. */
  readonly defects: readonly string[];
  /** What the page reported as an error: console errors, exceptions, refused loads. */
  readonly errors: string[];
  close(): Promise<void>;
}

/** A window of the serve shell, with the server behind it. */
export interface ServedWindow extends OpenWindow {
  readonly lab: MemoryLab;
}

export interface WindowOptions {
  readonly theme?: "light" | "dark";
  readonly width?: number;
  readonly height?: number;
}

let browser: Browser | null = null;

/** A window on a simulated lab, in the shell under test. */
export async function openWindow(labOptions: string, options: WindowOptions = {}): Promise<OpenWindow> {
  return shell === "electron" ? openElectronWindow(labOptions) : openServedWindow(labOptions, options);
}

/** A window through the serve shell, in a browser that this test file shares. */
export async function openServedWindow(labOptions: string, options: WindowOptions = {}): Promise<ServedWindow> {
  browser ??= await launchBrowser();
  const lab = await serveMemoryLab(labOptions);
  const context = await browser.newContext({ viewport: { width: options.width ?? 1360, height: options.height ?? 840 }, colorScheme: options.theme ?? "light", reducedMotion: "no-preference", permissions: ["clipboard-read", "clipboard-write"], acceptDownloads: true });
  const page = await context.newPage();
  const errors = errorsOf(page);
  await page.goto(lab.newLink());
  await page.waitForURL((url) => url.pathname === "/");
  await page.getByText("Stop all").first().waitFor();
  return {
    page,
    context,
    lab,
    defects: lab.defects,
    errors,
    close: async () => {
      await context.close();
      await lab.close();
    },
  };
}

async function openElectronWindow(labOptions: string): Promise<OpenWindow> {
  const electron = await startElectron(labOptions);
  const errors = errorsOf(electron.page);
  await electron.page.getByText("Stop all").first().waitFor();
  return {
    page: electron.page,
    context: electron.page.context(),
    defects: electron.defects,
    errors,
    close: async () => {
      const code = await electron.close();
      await electron.browser.close().catch(() => undefined);
      if (code !== 0) throw new Error(`the Electron shell ended with ${code}: ${electron.defects.join("; ")}`);
    },
  };
}

function errorsOf(page: Page): string[] {
  const errors: string[] = [];
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  page.on("pageerror", (error) => errors.push(String(error.stack ?? error)));
  return errors;
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
