import { afterAll, describe, expect, it } from "vitest";
import { missingBrowser } from "./support/browser.ts";
import { focusOf, tabTo } from "./support/keyboard.ts";
import { missingWindow } from "./support/memory-lab.ts";
import { closeBrowser, openWindow } from "./support/window.ts";

const missing = missingBrowser() ?? missingWindow();
afterAll(closeBrowser);

describe.skipIf(missing)(`by keyboard alone${missing ? ` (skipped: ${missing})` : ""}`, () => {
  it("the whole tour can be taken", async () => {
    const { page, errors, close } = await openWindow("empty,speed=12");
    await expect.poll(() => focusOf(page)).toBe("Run the tour");
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: /^Host nyc/ }).waitFor();
    for (const [title, button] of [["A lab of six hosts", /^Next/], ["Clients change hands", /^Next/], ["Each handoff, message by message", /^Next/], ["The hosts behind it", /^Next/], ["What was measured", /^(Open the report|Done)/]] as const) {
      await page.getByRole("heading", { name: title }).waitFor();
      await expect.poll(() => page.getByRole("region", { name: "Tour" }).locator(".primary").isEnabled(), { timeout: 60_000 }).toBe(true);
      await tabTo(page, button);
      await page.keyboard.press("Enter");
    }
    await page.getByRole("dialog", { name: /^Report of/ }).waitFor();
    await page.keyboard.press("Escape");
    expect(await page.getByRole("region", { name: "Tour" }).count()).toBe(0);
    expect(errors.filter((error) => !/sandboxed|Blocked script/.test(error))).toEqual([]);
    await close();
  });

  it("the map can be walked, its menus opened, a link changed and all of it restored", async () => {
    const { page, errors, close } = await openWindow("ready,handoffsPerMinute=0");
    await tabTo(page, /^Host home/);
    const seen = new Set<string>();
    for (const key of ["ArrowRight", "ArrowDown", "ArrowDown", "ArrowLeft", "ArrowLeft", "ArrowUp", "ArrowRight", "ArrowUp"]) {
      await page.keyboard.press(key);
      seen.add(await focusOf(page));
    }
    expect(seen.size).toBeGreaterThan(3);
    const ways = ["ArrowDown", "ArrowLeft", "ArrowUp", "ArrowRight"];
    for (let i = 0; i < 20; i++) {
      if ((await focusOf(page)).startsWith("Link")) break;
      await page.keyboard.press(ways[i % 4] as string);
    }
    expect(await focusOf(page)).toMatch(/^Link/);
    await page.keyboard.press("Shift+F10");
    await page.getByRole("menuitem", { name: "Change delay and loss…" }).waitFor();
    await page.keyboard.press("Enter");
    await page.getByRole("dialog", { name: "Change a link" }).waitFor();
    await page.keyboard.press("Control+a");
    await page.keyboard.type("120");
    await page.keyboard.press("Enter");
    await page.locator("[data-test=faults]").getByText("1 fault").waitFor();

    await page.keyboard.press("Control+k");
    await page.keyboard.type("stop and restore");
    await page.keyboard.press("Enter");
    await page.getByRole("dialog", { name: "Stop and restore all" }).waitFor();
    await tabTo(page, /^Stop and restore all$/);
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").getByText("done", { exact: true }).waitFor();
    await page.keyboard.press("Escape");
    await page.locator("[data-test=faults]").waitFor({ state: "detached" });
    expect(errors).toEqual([]);
    await close();
  });

  it("the palette reaches every screen, and a terminal opens from it", async () => {
    const { page, errors, close } = await openWindow("ready");
    for (const screen of ["Fleet", "Live", "Runs", "Terminal", "Settings", "Topology"]) {
      await page.keyboard.press("Control+k");
      await page.keyboard.type(`go to ${screen}`);
      await page.keyboard.press("Enter");
      await page.getByRole("heading", { level: 1, name: screen }).waitFor();
    }
    await page.keyboard.press("Control+k");
    await page.keyboard.type("terminal on tyo");
    await page.keyboard.press("Enter");
    await page.locator(".xterm-rows").getByText("lab@tyo").waitFor();
    await page.keyboard.press("Alt+1");
    expect(await page.getByRole("heading", { level: 1 }).textContent()).toBe("Terminal");
    expect(errors).toEqual([]);
    await close();
  });
});
