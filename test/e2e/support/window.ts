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

let browser: Promise<Browser> | null = null;
const leftOver = new Set<() => Promise<unknown>>();

/** Called when the test file is done, also after a failure, unless the function that it answers was called before. */
export function cleanUp(work: () => Promise<unknown>): () => void {
  leftOver.add(work);
  return () => void leftOver.delete(work);
}

/** The browser that the windows of a test file share. */
export function sharedBrowser(): Promise<Browser> {
  return (browser ??= launchBrowser());
}

/** A window on a simulated lab, in the shell under test. */
export async function openWindow(labOptions: string, options: WindowOptions = {}): Promise<OpenWindow> {
  return shell === "electron" ? openElectronWindow(labOptions) : openServedWindow(labOptions, options);
}

/** A window through the serve shell, in a browser that this test file shares. */
export async function openServedWindow(labOptions: string, options: WindowOptions = {}): Promise<ServedWindow> {
  const lab = await serveMemoryLab(labOptions);
  const done = cleanUp(() => lab.close());
  const context = await (await sharedBrowser()).newContext({ viewport: { width: options.width ?? 1360, height: options.height ?? 840 }, colorScheme: options.theme ?? "light", reducedMotion: "no-preference", permissions: ["clipboard-read", "clipboard-write"], acceptDownloads: true });
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
      done();
      await context.close();
      await lab.close();
    },
  };
}

async function openElectronWindow(labOptions: string): Promise<OpenWindow> {
  const electron = await startElectron(labOptions);
  const done = cleanUp(() => electron.kill());
  const errors = errorsOf(electron.page);
  await electron.page.getByText("Stop all").first().waitFor();
  return {
    page: electron.page,
    context: electron.page.context(),
    defects: electron.defects,
    errors,
    close: async () => {
      done();
      const code = await electron.close();
      await electron.browser.close().catch(() => undefined);
      if (code !== 0) throw new Error(`the Electron shell ended with ${code}: ${electron.defects.join("; ")}`);
    },
  };
}

/** Gathers what a page reports as errors from now on. */
export function errorsOf(page: Page, errors: string[] = []): string[] {
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  page.on("pageerror", (error) => errors.push(String(error.stack ?? error)));
  return errors;
}

/** Ends the shared browser, and what failed tests have left; call once when a test file is done. */
export async function closeBrowser(): Promise<void> {
  const left = [...leftOver];
  leftOver.clear();
  await Promise.allSettled(left.map((work) => work()));
  await (await browser)?.close();
  browser = null;
}

/** Goes to a screen by its address. */
export async function goTo(page: Page, screen: string): Promise<void> {
  await page.evaluate(`location.hash = ${JSON.stringify(`/${screen}`)}`);
}
