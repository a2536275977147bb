import { afterAll, describe, expect, it } from "vitest";
import { missingBrowser } from "./support/browser.ts";
import { missingWindow } from "./support/memory-lab.ts";
import { closeBrowser, goTo, openWindow } from "./support/window.ts";

const missing = missingBrowser() ?? missingWindow();
afterAll(closeBrowser);

describe.skipIf(missing)(`text of hosts${missing ? ` (skipped: ${missing})` : ""}`, () => {
  it("runs nothing, breaks out of nothing and hides nothing on any screen", async () => {
    const { page, errors, defects, close } = await openWindow("hostile,speed=20,handoffsPerMinute=120,eventsPerSecond=60");
    let dialogs = 0;
    page.on("dialog", (dialog) => (dialogs++, void dialog.dismiss()));
    const clean = async (where: string) => {
      await page.waitForTimeout(400);
      expect(await page.evaluate("window.__pwned"), where).toBeUndefined();
      expect(await page.evaluate("document.querySelectorAll('img, iframe[src], script:not([src]), svg [onload], [onerror]').length"), where).toBe(0);
      expect(await page.title(), where).toBe("Anycast Lab");
      const text = (await page.evaluate("document.body.innerText")) as string;
      const deceptive = ["\u202a", "\u202b", "\u202d", "\u202e", "\u2066", "\u2067", "\u2068", "\u0000", "\u001b"];
      expect(deceptive.filter((char) => text.includes(char)), where).toEqual([]);
    };
    await clean("topology");
    await page.getByRole("button", { name: "Table" }).click();
    await clean("topology as tables");
    for (const [screen, button] of [["live", null], ["live", /^Events/], ["fleet", null], ["fleet/nyc", "Check again"], ["runs", null], ["runs/run-003", null], ["settings", null]] as const) {
      await goTo(page, screen);
      if (button) await page.getByRole("button", { name: button }).click();
      await clean(screen);
    }
    for (const words of ["show the log of", "add hosts", "stop and restore"]) {
      await page.keyboard.press("Control+k");
      await page.keyboard.type(words);
      await clean(`palette ${words}`);
      await page.keyboard.press("Enter");
      await page.getByRole("dialog").waitFor();
      await clean(words);
      await page.keyboard.press("Escape");
    }
    expect(dialogs).toBe(0);
    expect(errors).toEqual([]);
    expect(defects).toEqual([]);
    await close();
  });

  it("cannot leave a ladder's SVG file, a terminal or a report", async () => {
    const { page, context, errors, close } = await openWindow("hostile,handoffsPerMinute=60");
    await goTo(page, "live");
    await page.getByRole("img", { name: /start to first packet/ }).waitFor();
    // Two debuggers quarrel over where the stand-in's Chromium puts its downloads, so the file is taken where the page makes it.
    await page.evaluate("void (window.__made = [], URL.createObjectURL = ((make) => (blob) => (window.__made.push(blob), make.call(URL, blob)))(URL.createObjectURL))");
    await page.getByRole("button", { name: "SVG" }).click();
    const svg = (await page.evaluate("window.__made[0].text()")) as string;
    expect(svg).toContain("&lt;img src");
    expect(svg).not.toMatch(/<script|<img|<foreignObject|\son\w+=|href=|@import/i);
    const drawn = await context.newPage();
    await drawn.setContent(svg.replace(/^<\?xml.*\n/, ""));
    expect(await drawn.evaluate("[document.querySelectorAll('svg path').length > 5, typeof window.__pwned]")).toEqual([true, "undefined"]);
    await drawn.close();

    await goTo(page, "terminal");
    await page.getByRole("button", { name: "New terminal" }).first().click();
    await page.getByRole("menuitem").first().click();
    await page.locator(".xterm-rows").getByText("Linux").waitFor();
    expect(await page.title()).toBe("Anycast Lab");
    expect(await page.evaluate("[typeof window.__pwned, document.querySelectorAll('.xterm-rows img').length]")).toEqual(["undefined", 0]);

    await goTo(page, "runs/run-003");
    await page.getByRole("button", { name: "Open the report" }).click();
    await page.frameLocator("iframe").getByRole("heading").waitFor();
    await page.waitForTimeout(300);
    expect(await page.evaluate("typeof window.__pwned")).toBe("undefined");
    expect(await page.frames()[1]?.evaluate("typeof window.__pwned").catch(() => "undefined")).toBe("undefined");
    expect(errors.filter((error) => !/sandboxed|Blocked script/.test(error))).toEqual([]);
    await close();
  });
});
