import { execFileSync } from "node:child_process";
import { afterAll, describe, expect, it } from "vitest";
import { missingBrowser } from "./support/browser.ts";
import { type ElectronApp, startElectron } from "./support/electron.ts";
import { escapesOf } from "./support/escapes.ts";
import { missingWindow } from "./support/memory-lab.ts";
import { cleanUp, closeBrowser } from "./support/window.ts";

const missing = missingBrowser() ?? missingWindow();
afterAll(closeBrowser);

async function start(lab: string): Promise<ElectronApp> {
  const app = await startElectron(lab);
  cleanUp(() => app.kill());
  await app.page.getByText("Stop all").first().waitFor();
  return app;
}

describe.skipIf(missing)(`the Electron shell under its stand-in${missing ? ` (skipped: ${missing})` : ""}`, () => {
  it("gives the page frames and nothing else, and the page no way out", async () => {
    const app = await start("ready");
    const { page } = app;
    expect(await escapesOf(app)).toEqual([]);
    await page.getByText("Stop all").first().waitFor();
    expect(app.defects).toEqual([]);
    expect(await app.close()).toBe(0);
  });

  it("starts its manager again when that dies, and ends it when the window closes", async () => {
    const app = await start("ready");
    const { page } = app;
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
    const app = await start("ready");
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
