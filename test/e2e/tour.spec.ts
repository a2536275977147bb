import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RunningApp, startApp } from "./support/app.ts";
import { missingBrowser } from "./support/browser.ts";
import { focusOf, tabTo } from "./support/keyboard.ts";
import { missingWindow } from "./support/memory-lab.ts";
import { missingLab, Person } from "./support/person.ts";
import { closeBrowser } from "./support/window.ts";

const missing = missingBrowser() ?? missingWindow() ?? missingLab();
/** The run takes most of a minute on a quiet machine, and much longer on a busy one. */
const patience = { timeout: 300_000 };

describe.skipIf(missing)(`the first five minutes${missing ? ` (skipped: ${missing})` : ""}`, () => {
  let person: Person;
  let app: RunningApp;

  beforeAll(async () => {
    person = await Person.create();
    app = await startApp(person);
  });
  afterAll(async () => {
    await closeBrowser();
    await person?.remove();
  });

  it("lead through a real lab by keyboard alone, from the first start to the report, and nothing is left of it once it is stopped", async () => {
    const { page } = app;
    await expect.poll(() => focusOf(page)).toBe("Run the tour");
    await page.keyboard.press("Enter");
    for (const [title, button] of [["A lab of six hosts", /^Next/], ["Clients change hands", /^Next/], ["Each handoff, message by message", /^Next/], ["The hosts behind it", /^Next/], ["What was measured", /^(Open the report|Done)/]] as const) {
      await page.getByRole("heading", { name: title }).waitFor();
      await expect.poll(() => page.getByRole("region", { name: "Tour" }).locator(".primary").isEnabled(), patience).toBe(true);
      await tabTo(page, button);
      await page.keyboard.press("Enter");
    }
    await page.getByRole("dialog", { name: /^Report of/ }).waitFor();
    await expect.poll(() => page.frameLocator("iframe[title=Report]").locator("body").textContent(), { timeout: 60_000 }).toContain("All seven handoffs succeed");
    await page.keyboard.press("Escape");
    // The lab stays up to be looked at, until it is stopped.
    const labs = () => readdirSync(join(person.folder, "s/anycast-lab/labs"));
    expect(labs()).toHaveLength(1);
    await page.keyboard.press("Control+k");
    await page.keyboard.type("stop lab run-quickstart");
    await page.keyboard.press("Enter");
    await expect.poll(labs, { timeout: 30_000 }).toEqual([]);
    expect(app.errors.filter((error) => !/sandboxed|Blocked script/.test(error))).toEqual([]);
    await app.quit();
    expect(app.defects).toEqual([]);
  }, 600_000);
});
