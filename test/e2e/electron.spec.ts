import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { missingBrowser } from "./support/browser.ts";
import { startElectron } from "./support/electron.ts";
import { missingWindow } from "./support/memory-lab.ts";

const missing = missingBrowser() ?? missingWindow();

describe.skipIf(missing)(`the Electron shell under its stand-in${missing ? ` (skipped: ${missing})` : ""}`, () => {
  it("gives the page frames and nothing else, and the page no way out", async () => {
    const app = await startElectron("ready");
    const { page } = app;
    await page.getByText("Stop all").first().waitFor();
    expect(await page.evaluate("[Object.keys(window.anycastLab), Object.isFrozen(window.anycastLab), typeof require, typeof process, typeof standInSend, isSecureContext]")).toEqual([["send", "receive"], true, "undefined", "undefined", "undefined", true]);
    expect(await page.evaluate("new Promise((done) => { window.anycastLab.receive((frame) => frame.id === 900001 && done(frame.error.code)); window.anycastLab.send({ id: 900001, call: '__proto__', args: {} }) })")).toBe("unknown-call");
    expect(await page.evaluate("new Promise((done) => { const image = new Image(); image.onload = () => done('loaded'); image.onerror = () => done('refused'); image.src = 'https://example.com/x.png' })")).toBe("refused");
    expect(await page.evaluate("new Promise((done) => { addEventListener('securitypolicyviolation', (event) => done(event.effectiveDirective), { once: true }); const script = document.createElement('script'); script.textContent = 'window.__pwned = 1'; document.head.append(script) })")).toMatch(/^script-src/);
    const before = page.url();
    for (const url of ["https://example.com/", "file:///etc/passwd", "http://other.app.localhost/"]) {
      await page.evaluate(`location.href = ${JSON.stringify(url)}`);
      await page.waitForTimeout(200);
      expect(page.url(), url).toBe(before);
    }
    await page.evaluate("void window.open('https://example.com/')");
    await expect.poll(() => page.context().pages().length).toBe(1);
    await page.getByText("Stop all").first().waitFor();
    expect(app.defects).toEqual([]);
    expect(await app.close()).toBe(0);
  });

  it("starts its manager again when that dies, and ends it when the window closes", async () => {
    const app = await startElectron("ready");
    const { page } = app;
    await page.getByText("Stop all").first().waitFor();
    const manager = () => managersOf(app.process.pid ?? 0);
    const [first] = manager();
    process.kill(first ?? 0, "SIGKILL");
    await expect.poll(() => app.defects.some((line) => line.includes("the manager ended by itself (SIGKILL)"))).toBe(true);
    await page.getByRole("button", { name: /^Host nyc/ }).waitFor();
    const [second] = manager();
    expect(second).not.toBe(first);
    expect(await app.close()).toBe(0);
    expect(() => process.kill(second ?? 0, 0)).toThrow("ESRCH");
  });

  it("leaves no manager behind when it is killed itself", async () => {
    const app = await startElectron("ready");
    await app.page.getByText("Stop all").first().waitFor();
    const [manager] = managersOf(app.process.pid ?? 0);
    app.process.kill("SIGKILL");
    await expect.poll(() => isAlive(manager ?? 0), { timeout: 10_000 }).toBe(false);
    await app.browser.close().catch(() => undefined);
  });
});

/** The process ids of the managers that a shell has started. */
function managersOf(shell: number): number[] {
  const lines = execFileSync("ps", ["-o", "pid=,args=", "--ppid", String(shell)], { encoding: "utf8" }).split("\n");
  return lines.filter((line) => line.includes("electron-stand-in/manager.ts")).map((line) => Number.parseInt(line, 10));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
