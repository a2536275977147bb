import { EventEmitter } from "node:events";
import { readFileSync } from "node:fs";
import type { BrowserContext, CDPSession, Page } from "playwright-core";
import { startChromium } from "./chromium.ts";
import { codec, mainWorld, preloadWorld } from "./in-page.ts";
import { Schemes } from "./schemes.ts";
import { strict, StandInEvent } from "./strict.ts";

/**
 * Stands in for the module `electron` in tests on machines without its binary: real windows of the system's Chromium, with the preload script in
 * an isolated world. It knows what our shell uses and refuses the rest. What it cannot show is listed in docs/electron.md.
 */
const world = "electron-preload";
const { encode, decode } = codec();
const schemes = new Schemes();
const windows = new Map<number, BrowserWindow>();
let chromium: { context: BrowserContext; close(): Promise<void> } | null = null;
let state: "starting" | "ready" | "quitting" = "starting";
let nextId = 1;

interface WindowOptions {
  readonly webPreferences: { readonly preload: string; readonly sandbox?: boolean; readonly contextIsolation?: boolean; readonly nodeIntegration?: boolean };
}

class App extends EventEmitter {
  readonly isPackaged = false;
  readonly #ready: Promise<void>;

  constructor() {
    super();
    this.#ready = Promise.resolve().then(async () => {
      chromium = await startChromium();
      await schemes.serve(chromium.context, (url, frame) => [...windows.values()].every((window) => window.allows(url, frame.parentFrame() === null, frame.page())));
      state = "ready";
      this.emit("ready");
    });
  }
  whenReady = () => this.#ready;
  requestSingleInstanceLock = () => true;
  enableSandbox(): void {
    if (state !== "starting") throw new Error("app.enableSandbox() can only be called before app is ready");
  }
  quit(): void {
    const event = new StandInEvent();
    this.emit("before-quit", event);
    if (event.defaultPrevented || state === "quitting") return;
    state = "quitting";
    void (chromium?.close() ?? Promise.resolve()).finally(() => process.exit(0));
  }
}

class WebContents extends EventEmitter {
  readonly id = nextId++;
  private readonly window: BrowserWindow;
  openHandler: ((details: { url: string }) => { action: "allow" | "deny" }) | null = null;

  constructor(window: BrowserWindow) {
    super();
    this.window = window;
  }
  getURL = () => schemes.fromChromium(this.window.page?.url() ?? "");
  isDestroyed = () => this.window.isDestroyed();
  setWindowOpenHandler(handler: NonNullable<WebContents["openHandler"]>): void {
    this.openHandler = handler;
  }
  send(channel: string, ...args: unknown[]): void {
    this.window.deliver(JSON.stringify({ channel, args: args.map(encode) }));
  }
  reload(): void {
    void this.window.page?.reload();
  }
}

export class BrowserWindow extends EventEmitter {
  readonly webContents: WebContents;
  page: Page | null = null;
  readonly #options: WindowOptions;
  readonly #started: Promise<Page>;
  #cdp: CDPSession | null = null;
  #context: number | null = null;
  #destroyed = false;
  #byUs = false;

  constructor(options: WindowOptions) {
    super();
    const { sandbox, contextIsolation, nodeIntegration } = options.webPreferences;
    if (state === "starting") throw new Error("Cannot create BrowserWindow before app is ready");
    if (sandbox !== true || contextIsolation !== true || nodeIntegration !== false) throw new Error("the stand-in makes only sandboxed, isolated windows without Node");
    this.#options = options;
    this.webContents = strict("webContents", new WebContents(this));
    windows.set(this.webContents.id, this);
    app.emit("web-contents-created", {}, this.webContents);
    this.#started = this.#start();
  }
  static getAllWindows = () => [...windows.values()];
  isDestroyed = () => this.#destroyed;
  show(): void {}
  focus(): void {}

  async loadURL(url: string): Promise<void> {
    const page = await this.#started;
    this.#byUs = true;
    await page.goto(schemes.toChromium(url));
  }

  /** Whether a navigation may go on: ours may; one that the page began is asked of our shell first. */
  allows(url: string, isMainFrame: boolean, page: Page): boolean {
    if (page !== this.page) return true;
    if (isMainFrame && this.#byUs) {
      this.#byUs = false;
      return true;
    }
    const event = Object.assign(new StandInEvent(), { url, isMainFrame });
    this.webContents.emit("will-frame-navigate", event);
    if (isMainFrame) this.webContents.emit("will-navigate", event);
    return !event.defaultPrevented;
  }

  /** A message for the preload script, as JSON text. */
  deliver(message: string): void {
    if (this.#context === null || !this.#cdp) return;
    const literal = message.replaceAll("\u2028", "\\u2028").replaceAll("\u2029", "\\u2029");
    void this.#cdp.send("Runtime.evaluate", { expression: `standInReceive(${literal})`, contextId: this.#context }).catch(() => undefined);
  }

  async #start(): Promise<Page> {
    if (!chromium) throw new Error("no Chromium");
    const page = windows.size === 1 ? (chromium.context.pages()[0] ?? (await chromium.context.newPage())) : await chromium.context.newPage();
    this.page = page;
    this.#cdp = await chromium.context.newCDPSession(page);
    page.on("close", () => this.#closed());
    page.on("crash", () => this.webContents.emit("render-process-gone", {}, { reason: "crashed" }));
    page.on("popup", (popup) => void (this.webContents.openHandler?.({ url: popup.url() }).action === "deny" && popup.close()));
    page.on("domcontentloaded", () => page.url() !== "about:blank" && this.emit("ready-to-show"));
    page.on("framenavigated", (frame) => frame === page.mainFrame() && frame.url() !== "about:blank" && this.webContents.emit("did-navigate", {}, this.webContents.getURL()));
    await this.#preload(this.#cdp);
    return page;
  }

  async #preload(cdp: CDPSession): Promise<void> {
    const channel = `bridge${Math.random().toString(36).slice(2)}`;
    const preload = JSON.stringify(readFileSync(this.#options.webPreferences.preload, "utf8"));
    const { frameTree } = await cdp.send("Page.getFrameTree");
    cdp.on("Runtime.executionContextCreated", ({ context }) => {
      const frame = (context.auxData as { frameId?: string } | undefined)?.frameId;
      if (context.name === world && frame === frameTree.frame.id) this.#context = context.id;
    });
    cdp.on("Runtime.bindingCalled", ({ name, payload }) => name === "standInSend" && this.#fromPage(payload));
    await cdp.send("Runtime.enable");
    await cdp.send("Page.enable");
    await cdp.send("Runtime.addBinding", { name: "standInSend", executionContextName: world });
    await cdp.send("Page.addScriptToEvaluateOnNewDocument", { source: `if (window === top) (${String(mainWorld)})("${channel}")` });
    await cdp.send("Page.addScriptToEvaluateOnNewDocument", { source: `if (window === top) (${String(preloadWorld)})(${String(codec)}, "${channel}", ${preload})`, worldName: world });
  }

  #fromPage(text: string): void {
    const { channel, url, args } = JSON.parse(text) as { channel: string; url: string; args: unknown[] };
    const senderFrame = { url: schemes.fromChromium(url), parent: null };
    ipcMain.emit(channel, { sender: this.webContents, senderFrame }, ...args.map(decode));
  }

  #closed(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    windows.delete(this.webContents.id);
    this.webContents.emit("destroyed");
    this.emit("closed");
    if (windows.size === 0 && state !== "quitting") app.emit("window-all-closed");
  }
}

export const app = strict("app", new App());
export const ipcMain = strict("ipcMain", new EventEmitter());
export const protocol = strict("protocol", {
  registerSchemesAsPrivileged(list: readonly { scheme: string }[]): void {
    if (state !== "starting") throw new Error("protocol.registerSchemesAsPrivileged should be called before app is ready");
    for (const { scheme } of list) schemes.declare(scheme);
  },
  handle: (scheme: string, handler: (request: Request) => Response | Promise<Response>) => schemes.handle(scheme, handler),
});
/** Chromium's own permissions stay closed; what the shell would decide is tested apart, in harden.spec.ts. */
export const session = strict("session", { defaultSession: strict("session", { setPermissionRequestHandler(): void {}, setPermissionCheckHandler(): void {} }) });
