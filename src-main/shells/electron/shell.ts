import { app, BrowserWindow, ipcMain, protocol, session } from "electron";
import { join } from "node:path";
import type { AppBackend } from "../../../src-shared/api/app.ts";
import { readWindow } from "../window/files.ts";
import { denyNavigation, denyPermissions } from "./harden.ts";
import { ManagerEnd } from "./manager-end.ts";
import { startPage } from "./origin.ts";
import { declareScheme, serveScheme } from "./protocol.ts";

export interface ElectronShellOptions {
  /** Makes the manager, once, when Electron is ready. */
  readonly backend: () => Promise<AppBackend>;
  /** The folder of the built window. */
  readonly window: string;
  /** The built preload script, CommonJS: a sandboxed one cannot be a module. */
  readonly preload: string;
  readonly onDefect: (what: string) => void;
}

/** Runs the application: one instance, every window sandboxed, the manager closed before the end. Closing windows stops nothing; quitting does. */
export async function runElectronShell(options: ElectronShellOptions): Promise<void> {
  if (!app.requestSingleInstanceLock()) return app.quit();
  app.enableSandbox();
  declareScheme(protocol);
  denyNavigation(app);
  app.on("window-all-closed", () => process.platform !== "darwin" && app.quit());
  await app.whenReady();
  denyPermissions(session.defaultSession);
  serveScheme(protocol, readWindow(options.window));
  const backend = await options.backend();
  const manager = new ManagerEnd(ipcMain, backend, options.onDefect);
  const open = () => openWindow(options.preload, manager, options.onDefect);
  app.on("activate", () => BrowserWindow.getAllWindows().length === 0 && open());
  app.on("second-instance", () => BrowserWindow.getAllWindows()[0]?.focus() ?? open());
  closeBeforeQuit(backend);
  open();
}

function openWindow(preload: string, manager: ManagerEnd, onDefect: (what: string) => void): void {
  const window = new BrowserWindow({
    width: 1360,
    height: 860,
    minWidth: 640,
    minHeight: 480,
    show: false,
    title: "Anycast Lab",
    backgroundColor: "#10151b",
    autoHideMenuBar: true,
    webPreferences: { preload, sandbox: true, contextIsolation: true, nodeIntegration: false, webviewTag: false, spellcheck: false },
  });
  manager.add(window.webContents);
  window.once("ready-to-show", () => window.show());
  window.webContents.on("render-process-gone", (_event, details) => {
    onDefect(`the window's process ended: ${details.reason}`);
    if (details.reason !== "clean-exit" && !window.isDestroyed()) window.webContents.reload();
  });
  void window.loadURL(startPage);
}

/** Quitting waits for the manager to end what runs, once; a second request does not wait again. */
function closeBeforeQuit(backend: AppBackend): void {
  let closed = false;
  app.on("before-quit", (event) => {
    if (closed) return;
    event.preventDefault();
    closed = true;
    void backend.close().finally(() => app.quit());
  });
}

/** Where the built parts lie beside the built main script. */
export function builtParts(mainFolder: string): { readonly window: string; readonly preload: string } {
  return { window: join(mainFolder, "../renderer"), preload: join(mainFolder, "preload.cjs") };
}
