import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runElectron, wayToOpen } from "./open.ts";

const electron = "/opt/electron";
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "open-spec-"));
  writeFileSync(join(folder, "xdg-open"), "#!/bin/sh\n");
  chmodSync(join(folder, "xdg-open"), 0o755);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe.skipIf(process.platform !== "linux")("the window without a command", () => {
  it.each(["DISPLAY", "WAYLAND_DISPLAY"])("is Electron's where that is and %s says that there is a screen", (name) => {
    expect(wayToOpen({ [name]: ":0", PATH: folder }, false, electron)).toEqual({ by: "electron", binary: electron });
  });

  it("is the default browser's without Electron", () => {
    expect(wayToOpen({ DISPLAY: ":0", PATH: `/nowhere:${folder}` }, false, null)).toEqual({ by: "browser", binary: join(folder, "xdg-open") });
  });

  it.each([
    ["there is no screen", { PATH: folder }, false, "no display"],
    ["the screen's name is empty", { DISPLAY: "", PATH: folder }, false, "no display"],
    ["nothing opens a browser", { DISPLAY: ":0", PATH: "/nowhere" }, false, "no xdg-open"],
  ])("is an address to open where %s", (_, environment, isRoot, why) => {
    expect(wayToOpen(environment, isRoot, null)).toEqual({ by: "address", why: expect.stringContaining(why) });
  });

  it("is never started as root, since no browser has a sandbox then", () => {
    expect(wayToOpen({ DISPLAY: ":0", PATH: folder }, true, electron)).toEqual({ by: "address", why: expect.stringContaining("sandbox") });
    expect(wayToOpen({ DISPLAY: ":0", PATH: folder }, true, null).by).toBe("address");
  });
});

describe.skipIf(process.platform !== "linux")("Electron", () => {
  function program(text: string): string {
    const file = join(folder, "electron");
    writeFileSync(file, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
    return file;
  }

  it("runs our main script to its end, and its exit code is ours", async () => {
    expect(await runElectron(program('[ "$1" = main.mjs ]'), "main.mjs")).toBe(0);
  });

  it.each([["says that it cannot", "exit 127"], ["crashes at its start", "kill -TRAP $$"]])("counts as not running here when it %s", async (_, text) => {
    expect(await runElectron(program(text), "main.mjs")).toBeNull();
  });

  it("counts as not running here when it is no program", async () => {
    expect(await runElectron(join(folder, "nothing"), "main.mjs")).toBeNull();
  });

  it("keeps its sandbox, whatever the environment says, and is never asked to do without", async () => {
    const told = join(folder, "told");
    const binary = program(`env >'${told}'; echo "args $*" >>'${told}'`);
    await runElectron(binary, "main.mjs", { PATH: process.env["PATH"], ELECTRON_DISABLE_SANDBOX: "1", ELECTRON_RUN_AS_NODE: "1", NODE_OPTIONS: "--inspect", KEPT: "yes" });
    const lines = readFileSync(told, "utf8");
    expect(lines).toContain("KEPT=yes");
    expect(lines).toContain("args main.mjs\n");
    expect(lines).not.toMatch(/ELECTRON_|NODE_OPTIONS|no-sandbox/);
  });
});
