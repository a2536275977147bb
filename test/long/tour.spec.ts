import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { launchBrowser, missingBrowser } from "../e2e/support/browser.ts";
import { missingWindow } from "../e2e/support/memory-lab.ts";
import { missingLab, type RealLab, serveRealLab } from "../e2e/support/real-lab.ts";
import { goTo } from "../e2e/support/window.ts";

const missing = missingBrowser() ?? missingWindow() ?? missingLab();
/** The whole of quickstart on a busy machine, ms. */
const patience = { timeout: 300_000 };

let browser: Browser;
let lab: RealLab;
let page: Page;
const errors: string[] = [];

beforeAll(async () => {
  if (missing) return;
  lab = await serveRealLab({});
  browser = await launchBrowser();
  page = await (await browser.newContext({ viewport: { width: 1360, height: 840 } })).newPage();
  page.on("pageerror", (error) => errors.push(String(error.stack ?? error)));
});
afterAll(async () => {
  await browser?.close();
  await lab?.close();
});

describe.skipIf(missing)(`the tour on a real lab${missing ? ` (skipped: ${missing})` : ""}`, () => {
  it("shows what it speaks of at every step, and leaves the lab up until it is stopped", async () => {
    await page.goto(lab.served.newLink());
    await page.getByRole("button", { name: "Run the tour" }).click();
    const tour = page.getByRole("region", { name: "Tour" });
    const next = () => tour.getByRole("button", { name: "Next" }).click(patience);
    for (const host of ["home", "k", "a", "b", "c1", "c2"]) await page.locator(`[data-key="host:${host}"]`).waitFor(patience);
    await next();
    await expect.poll(() => page.getByRole("list", { name: /^Members/ }).textContent(), patience).toMatch(/[1-9]/);
    await next();
    await page.getByRole("row", { name: /c1/ }).first().click(patience);
    await page.getByRole("img", { name: /start to first packet/ }).waitFor(patience);
    for (const chart of ["Goodput", "Clients per node"]) {
      await page.getByRole("button", { name: `Show ${chart} as a table` }).click();
      await expect.poll(() => page.getByRole("region", { name: `${chart} as a table` }).getByRole("row").count(), patience).toBeGreaterThan(3);
    }
    await next();
    await expect.poll(() => page.locator("[data-test^=host-]").count(), patience).toBe(6);
    await next();
    await tour.getByRole("button", { name: "Stop the lab" }).waitFor(patience);
    expect(await page.locator("[data-test=hosts-up]").textContent()).toContain("6/6");

    await goTo(page, "live");
    await page.getByRole("row", { name: /c1/ }).first().click();
    await page.getByRole("img", { name: /start to first packet/ }).waitFor();
    await goTo(page, "runs");
    await tour.getByRole("button", { name: "Stop the lab" }).click();
    await expect.poll(() => page.locator("[data-test=hosts-up]").textContent(), patience).toContain("0/0");
    await goTo(page, "live");
    await page.getByRole("row", { name: /c2/ }).first().click();
    await page.getByRole("img", { name: /start to first packet/ }).waitFor();
    await tour.getByRole("button", { name: "Open the report" }).click();
    await expect.poll(() => page.frameLocator("iframe[title=Report]").locator("body").textContent(), patience).toContain("Message ladders");
    expect(errors).toEqual([]);
    expect(lab.defects).toEqual([]);
  });
});
