import { app, BrowserWindow, ipcMain, protocol, session } from "electron";
import { readWindow } from "../window/files.ts";
import { denyNavigation, denyPermissions } from "./harden.ts";
import { ManagerLink, type ManagerProgram } from "./manager-link.ts";
import { startPage } from "./origin.ts";
import { declareScheme, serveScheme } from "./protocol.ts";
import { WindowFrames } from "./window-frames.ts";

export interface ElectronShellOptions {
  readonly manager: ManagerProgram;
  /** The folder of the built window. */
  readonly window: string;
  /** The built preload script, CommonJS: a sandboxed one cannot be a module. */
  readonly preload: string;
  readonly onDefect: (what: string) => void;
}

/** Runs the application: one instance, every window sandboxed. A window that closes or crashes stops nothing; quitting waits until the manager has ended what runs. */
export async function runElectronShell(options: ElectronShellOptions): Promise<void> {
  if (!app.requestSingleInstanceLock()) return app.quit();
  app.enableSandbox();
  declareScheme(protocol);
  denyNavigation(app);
  app.on("window-all-closed", () => process.platform !== "darwin" && app.quit());
  await app.whenReady();
  denyPermissions(session.defaultSession);
  serveScheme(protocol, readWindow(options.window));
  const manager: ManagerLink = new ManagerLink(
    options.manager,
    (window, frame) => frames.deliver(window, frame),
    (why) => {
      options.onDefect(why);
      for (const window of BrowserWindow.getAllWindows()) window.webContents.reload();
    },
  );
  const frames = new WindowFrames(ipcMain, manager, options.onDefect);
  const open = () => openWindow(options, frames);
  app.on("activate", () => BrowserWindow.getAllWindows().length === 0 && open());
  app.on("second-instance", () => BrowserWindow.getAllWindows()[0]?.focus() ?? open());
  endManagerBeforeQuit(manager);
  open();
}

function openWindow({ preload, onDefect }: ElectronShellOptions, frames: WindowFrames): void {
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
  frames.add(window.webContents);
  window.once("ready-to-show", () => window.show());
  window.webContents.on("render-process-gone", (_event, details) => {
    onDefect(`the window's process ended: ${details.reason}`);
    if (details.reason !== "clean-exit" && !window.isDestroyed()) window.webContents.reload();
  });
  void window.loadURL(startPage);
}

/** Quitting waits once; a second request, or the one we make then, goes through. */
function endManagerBeforeQuit(manager: ManagerLink): void {
  let ended = false;
  app.on("before-quit", (event) => {
    if (ended) return;
    event.preventDefault();
    ended = true;
    void manager.end().finally(() => app.quit());
  });
}
