import { execFileSync, fork } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stageManager } from "../../src-main/shells/electron/stage.ts";
import { missingWindow } from "./support/memory-lab.ts";

const root = join(import.meta.dirname, "../..");
const missing = missingWindow();
/** How Electron's binary marks where its fuses are: a sentence, a version, their number, one character each (@electron/fuses). */
const fuseMark = "dL7pKGdnNz796PbbjQWNKmHXBZaB9tsX";
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "package-spec-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A folder that looks like Electron's to the packager, with all fuses as Electron ships them. */
function dummyElectron(): string {
  const dummy = join(folder, "electron");
  mkdirSync(join(dummy, "resources"), { recursive: true });
  writeFileSync(join(dummy, "electron"), `#!/bin/sh\n${fuseMark}\u0001\u0009101011110`, { mode: 0o755 });
  for (const file of ["chrome_crashpad_handler", "chrome-sandbox", "LICENSE", "LICENSES.chromium.html"]) writeFileSync(join(dummy, file), "");
  return dummy;
}

describe.skipIf(missing)(`the desktop package${missing ? ` (skipped: ${missing})` : ""}`, () => {
  it("is made from a valid configuration, with its fuses set and a manager that starts", async () => {
    stageManager();
    const out = join(folder, "out");
    execFileSync(process.execPath, [join(root, "node_modules/electron-builder/cli.js"), "--linux", "dir", `-c.electronDist=${dummyElectron()}`, `-c.directories.output=${out}`], { cwd: root, stdio: "pipe" });
    const unpacked = join(out, "linux-unpacked");
    const binary = readFileSync(join(unpacked, "anycast-lab"), "latin1");
    const fuses = binary.slice(binary.indexOf(fuseMark) + fuseMark.length + 2);
    expect(fuses.slice(0, 6), "no runAsNode, NODE_OPTIONS or inspector; encrypted cookies, checked archive only").toBe("010011");
    const archive = readFileSync(join(unpacked, "resources/app.asar"), "latin1");
    for (const part of ["main.mjs", "preload.cjs", "index.html"]) expect(archive).toContain(part);

    const manager = join(unpacked, "resources/manager");
    const hello = await new Promise<unknown>((resolve, reject) => {
      const child = fork(join(manager, "src-main/shells/electron/manager-process.ts"), [], { cwd: folder, execPath: join(manager, `node_modules/node-${process.platform}-${process.arch}/bin/node`), execArgv: [], serialization: "advanced", stdio: "pipe", env: { PATH: process.env.PATH, HOME: folder } });
      let answer: unknown = null;
      child.on("message", (message: { frame: { id?: number } }) => {
        if (message.frame.id !== 1) return;
        answer = message.frame;
        child.send({ end: true });
      });
      child.once("error", reject);
      child.once("exit", () => resolve(answer));
      child.send({ open: 1 });
      child.send({ window: 1, frame: { id: 1, call: "app.hello", args: { protocol: 1 } } });
    });
    expect(hello).toMatchObject({ ok: true, value: { shell: "electron" } });
  });
});
