import { type ChildProcess, fork } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "parent-spec-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A backend that sends events without end, and takes a while to close; then it leaves a file. */
const backend = (closed: string) => `
import { writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { serveParent } from ${JSON.stringify(join(import.meta.dirname, "serve-parent.ts"))};
const windows = new Set();
setInterval(() => windows.forEach((window) => window.emit("events.lost", { count: 1 })), 1);
await serveParent({ handlers: {}, connect: (window) => windows.add(window), close: async () => { await sleep(300); writeFileSync(${JSON.stringify(closed)}, ""); } }, process, () => undefined);
process.exit(0);
`;

function start(name: string): { child: ChildProcess; closed: string; ended: Promise<number | null> } {
  const closed = join(folder, `${name}.closed`);
  const script = join(folder, `${name}.ts`);
  writeFileSync(script, backend(closed));
  const child = fork(script, [], { execArgv: [], serialization: "advanced", stdio: ["ignore", "ignore", "inherit", "ipc"] });
  return { child, closed, ended: new Promise((resolve) => child.once("exit", resolve)) };
}

describe("a manager below the Electron shell", () => {
  it.each([
    ["is gone, in the middle of frames to it", (child: ChildProcess) => child.disconnect()],
    ["asks for the end", (child: ChildProcess) => child.send({ end: true })],
  ])("ends cleanly when the shell %s", async (name, end) => {
    const { child, closed, ended } = start(name.replaceAll(/\W/g, ""));
    const frame = new Promise((resolve) => child.once("message", resolve));
    child.send({ open: 1 });
    expect(await frame).toEqual({ window: 1, frame: { event: "events.lost", payload: { count: 1 } } });
    end(child);
    expect(await ended).toBe(0);
    expect(existsSync(closed)).toBe(true);
  });
});
