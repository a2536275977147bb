import type { App, Session, WebContents } from "electron";
import { isOurs } from "./origin.ts";

/** What our own page may ask the system for: to write and, on a person's key press, read the clipboard. */
const permitted: ReadonlySet<string> = new Set(["clipboard-sanitized-write", "clipboard-read"]);

/** No window, frame or web view ever leaves our own pages, or opens another. */
export function denyNavigation(app: App): void {
  app.on("web-contents-created", (_event, contents) => guard(contents));
}

function guard(contents: WebContents): void {
  contents.on("will-navigate", (event) => {
    if (!isOurs(event.url)) event.preventDefault();
  });
  contents.on("will-frame-navigate", (event) => {
    if (!event.isMainFrame || !isOurs(event.url)) event.preventDefault();
  });
  contents.on("will-attach-webview", (event) => event.preventDefault());
  contents.setWindowOpenHandler(() => ({ action: "deny" }));
}

/** Denies every permission that is not in the short list above, and that list too to anyone but our own page. */
export function denyPermissions(session: Session): void {
  session.setPermissionRequestHandler((contents, permission, decide, details) => decide(permitted.has(permission) && details.isMainFrame && isOurs(contents.getURL())));
  session.setPermissionCheckHandler((contents, permission, requester) => permitted.has(permission) && contents !== null && isOurs(contents.getURL()) && isOurs(requester.replace(/\/$/, "")));
}
