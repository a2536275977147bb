import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { missingBrowser } from "./support/browser.ts";
import { simulatedShell } from "./support/build-shells.ts";
import { startElectronIn } from "./support/electron.ts";
import { escapesOf } from "./support/escapes.ts";
import { missingWindow } from "./support/memory-lab.ts";

const missing = missingBrowser() ?? missingWindow();
const folder = join(simulatedShell, "../planted");
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Defects that a change of the shell could bring, put into the built scripts: each must be seen by what electron.spec.ts looks at, or the shell must not start. */
const planted: readonly { readonly what: string; readonly file: "main.mjs" | "preload.cjs"; readonly from: string | RegExp; readonly to: string; readonly seen: RegExp }[] = [
  { what: "no sandbox", file: "main.mjs", from: "sandbox: true", to: "sandbox: false", seen: /only sandboxed, isolated windows/ },
  { what: "no context isolation", file: "main.mjs", from: "contextIsolation: true", to: "contextIsolation: false", seen: /only sandboxed, isolated windows/ },
  { what: "Node in the page", file: "main.mjs", from: "nodeIntegration: false", to: "nodeIntegration: true", seen: /only sandboxed, isolated windows/ },
  { what: "a bridge that hands out ipcRenderer's send", file: "preload.cjs", from: "receive: (", to: "raw: (...words) => electron.ipcRenderer.send(...words), receive: (", seen: /more than the bridge/ },
  { what: "navigation that nobody denies", file: "main.mjs", from: /contents\.on\("will-navigate"[\s\S]*?(?=contents\.on\("will-attach)/, to: "", seen: /it went to (https|file)/ },
  { what: "an origin compared by its beginning", file: "main.mjs", from: "url.startsWith(`app://lab/`)", to: 'url.startsWith("app://lab")', seen: /it went to http:\/\/lab\.evil/ },
  { what: "no policy for scripts", file: "main.mjs", from: "script-src 'self'", to: "script-src 'self' 'unsafe-inline' 'unsafe-eval'", seen: /an inline script|becomes script/ },
  { what: "no policy for frames", file: "main.mjs", from: "frame-src 'self'", to: "frame-src *", seen: /a frame from elsewhere/ },
  { what: "no policy for images", file: "main.mjs", from: "img-src 'self' data: blob:", to: "img-src *", seen: /an image from elsewhere/ },
];

describe.skipIf(missing)(`defects planted in the Electron shell${missing ? ` (skipped: ${missing})` : ""}`, () => {
  it.each(planted)("$what", async ({ file, from, to, seen }) => {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    for (const name of ["main.mjs", "preload.cjs"]) cpSync(join(simulatedShell, name), join(folder, name));
    const before = readFileSync(join(folder, file), "utf8");
    const after = before.replace(from, () => to);
    expect(after, "the place to plant it in has moved").not.toBe(before);
    writeFileSync(join(folder, file), after);
    const found = await startElectronIn(folder, "ready").then(
      async (app) => {
        try {
          await app.page.getByText("Stop all").first().waitFor();
          return await escapesOf(app);
        } finally {
          await app.kill();
          await app.browser.close().catch(() => undefined);
        }
      },
      (error: Error) => [error.message],
    );
    expect(found.join("\n")).toMatch(seen);
  });
});
