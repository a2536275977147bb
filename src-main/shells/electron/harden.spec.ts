import { EventEmitter } from "node:events";
import type { App, Session } from "electron";
import { describe, expect, it } from "vitest";
import { denyNavigation, denyPermissions } from "./harden.ts";
import { startPage } from "./origin.ts";

type Decide = (allowed: boolean) => void;

function contentsAfter(): EventEmitter & { open?: (details: { url: string }) => { action: string } } {
  const app = new EventEmitter();
  denyNavigation(app as unknown as App);
  const contents = Object.assign(new EventEmitter(), { setWindowOpenHandler(handler: never) { Object.assign(contents, { open: handler }); } });
  app.emit("web-contents-created", {}, contents);
  return contents;
}

const prevented = (name: string, more: object) => {
  let count = 0;
  contentsAfter().emit(name, { preventDefault: () => count++, ...more });
  return count === 1;
};

describe("windows of the Electron shell", () => {
  it.each(["https://evil.example/", "file:///etc/passwd", "app://lab.evil/index.html", "app://other/", "javascript:1", "data:text/html,x"])("never go to %s", (url) => {
    expect(prevented("will-navigate", { url })).toBe(true);
    expect(prevented("will-frame-navigate", { url, isMainFrame: true })).toBe(true);
  });

  it("may load our own page anew, but no frame within it goes anywhere, and no web view is attached", () => {
    expect(prevented("will-navigate", { url: startPage })).toBe(false);
    expect(prevented("will-frame-navigate", { url: startPage, isMainFrame: false })).toBe(true);
    expect(prevented("will-attach-webview", {})).toBe(true);
  });

  it("open no other window", () => {
    expect(contentsAfter().open?.({ url: startPage })).toEqual({ action: "deny" });
  });
});

describe("permissions", () => {
  function ask(permission: string, url: string, isMainFrame = true): [boolean, boolean] {
    const handlers: { request?: (contents: object, permission: string, decide: Decide, details: object) => void; check?: (contents: object | null, permission: string, requester: string) => boolean } = {};
    denyPermissions({ setPermissionRequestHandler: (handler: never) => (handlers.request = handler), setPermissionCheckHandler: (handler: never) => (handlers.check = handler) } as unknown as Session);
    let asked: boolean | null = null;
    const contents = { getURL: () => url };
    handlers.request?.(contents, permission, (allowed) => (asked = allowed), { isMainFrame });
    return [asked ?? true, handlers.check?.(contents, permission, new URL(url).origin === "null" ? url.split("/").slice(0, 3).join("/") : url) ?? true];
  }

  it("are denied but for the clipboard, and that to our own page alone", () => {
    for (const permission of ["media", "geolocation", "notifications", "midi", "pointerLock", "fullscreen", "openExternal", "usb", "serial", "hid", "display-capture", "unknown"]) expect(ask(permission, startPage), permission).toEqual([false, false]);
    expect(ask("clipboard-sanitized-write", startPage)).toEqual([true, true]);
    expect(ask("clipboard-sanitized-write", "https://evil.example/")).toEqual([false, false]);
    expect(ask("clipboard-read", startPage, false)[0]).toBe(false);
  });
});
