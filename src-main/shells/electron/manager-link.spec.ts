import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ManagerLink } from "./manager-link.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "link-spec-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A manager's script; it finds the file that counts its starts in STARTS. */
function script(name: string, text: string): string {
  const file = join(folder, `${name}.mjs`);
  writeFileSync(file, `import { appendFileSync } from "node:fs";\nappendFileSync(process.env.STARTS, "x");\n${text}\n`);
  return file;
}

function link(name: string, text: string) {
  const counted = join(folder, `${name}.starts`);
  const frames: unknown[] = [];
  const restarts: string[] = [];
  const made = new ManagerLink({ node: process.execPath, script: script(name, text), environment: { STARTS: counted } }, (window, frame) => void frames.push([window, frame]), (why) => void restarts.push(why));
  return { made, frames, restarts, starts: () => readFileSync(counted, "utf8").length };
}

const echo = `process.on("message", (message) => "end" in message ? process.exit() : message.frame && process.send(message));`;

describe("the manager's process", () => {
  it("gets frames and answers them, and ends when asked to", async () => {
    const { made, frames, restarts } = link("echo", echo);
    made.frame(3, { bytes: new Uint8Array([1, 2]), more: undefined });
    await expect.poll(() => frames).toEqual([[3, { bytes: new Uint8Array([1, 2]), more: undefined }]]);
    await made.end();
    expect(restarts).toEqual([]);
  });

  it("is started again each time it dies, later and later, and says why", async () => {
    const { made, restarts, starts } = link("dies", `process.exit(7);`);
    const begun = performance.now();
    await expect.poll(starts, { timeout: 10_000 }).toBe(4);
    // 100, 400 and 1600 ms between them at least.
    expect(performance.now() - begun).toBeGreaterThan(2000);
    expect(restarts[0]).toBe("the manager ended by itself (code 7)");
    await made.end();
    const count = starts();
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(starts()).toBe(count);
  });
});
