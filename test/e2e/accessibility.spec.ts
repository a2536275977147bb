import { AxeBuilder } from "@axe-core/playwright";
import type { Page } from "playwright-core";
import { afterAll, describe, expect, it } from "vitest";
import { missingBrowser } from "./support/browser.ts";
import { missingWindow } from "./support/memory-lab.ts";
import { closeBrowser, goTo, openWindow } from "./support/window.ts";

const missing = missingBrowser() ?? missingWindow();
afterAll(closeBrowser);

/** Serious and critical findings, one line each. The report's frame is a document of its own. */
async function findings(page: Page): Promise<string[]> {
  const { violations } = await new AxeBuilder({ page }).exclude("iframe").analyze();
  return violations.filter((v) => v.impact === "serious" || v.impact === "critical").map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((node) => `${node.target.join(" ")} ${node.any[0]?.message ?? ""}`).join(" | ")}`);
}

interface Look {
  readonly name: string;
  readonly lab: string;
  reach(page: Page): Promise<unknown>;
}

const palette = (words: string) => async (page: Page) => {
  await page.keyboard.press("Control+k");
  await page.keyboard.type(words);
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor();
};

const looks: readonly Look[] = [
  { name: "topology", lab: "ready", reach: (page) => page.getByRole("button", { name: /^Host nyc/ }).waitFor() },
  { name: "topology with many hosts", lab: "big,hosts=30,clients=80,handoffsPerMinute=0", reach: (page) => page.getByRole("button", { name: /^Host nyc,/ }).waitFor() },
  { name: "a selected host", lab: "ready,handoffsPerMinute=0", reach: (page) => page.getByRole("button", { name: /^Host nyc/ }).click() },
  { name: "a selected client", lab: "ready,handoffsPerMinute=0", reach: (page) => page.getByRole("button", { name: /^Client bob/ }).click() },
  { name: "topology as tables", lab: "ready", reach: (page) => page.getByRole("button", { name: "Table" }).click() },
  { name: "a map menu", lab: "ready", reach: (page) => page.getByRole("button", { name: /^Host nyc/ }).click({ button: "right" }) },
  { name: "a link dialog", lab: "ready", reach: async (page) => {
    await page.locator("[data-key^='link:']").first().focus();
    await page.keyboard.press("Shift+F10");
    await page.getByRole("menuitem", { name: /Change delay/ }).click();
  } },
  { name: "welcome", lab: "empty", reach: (page) => page.getByRole("dialog").waitFor() },
  { name: "nothing running", lab: "empty", reach: async (page) => {
    await page.getByRole("dialog").waitFor();
    await page.keyboard.press("Escape");
  } },
  { name: "live", lab: "ready", reach: async (page) => {
    await goTo(page, "live");
    await page.getByRole("img", { name: /start to first packet/ }).waitFor();
  } },
  { name: "a ladder as a table", lab: "ready", reach: async (page) => {
    await goTo(page, "live");
    await page.getByRole("button", { name: "Show as a table" }).click();
  } },
  { name: "events", lab: "ready", reach: async (page) => {
    await goTo(page, "live");
    await page.getByRole("button", { name: /^Events/ }).click();
  } },
  { name: "fleet with details", lab: "ready", reach: async (page) => {
    await goTo(page, "fleet/nyc");
    await page.getByText("Linux kernel").waitFor();
  } },
  { name: "fleet in trouble", lab: "broken", reach: (page) => goTo(page, "fleet") },
  { name: "add hosts", lab: "ready", reach: palette("add hosts") },
  { name: "stop all", lab: "ready", reach: palette("stop and restore") },
  { name: "shortcuts", lab: "ready", reach: palette("keyboard shortcuts") },
  { name: "the command palette", lab: "ready", reach: (page) => page.keyboard.press("Control+k") },
  { name: "runs", lab: "ready", reach: async (page) => {
    await goTo(page, "runs/run-003");
    await page.getByText("Open the report").waitFor();
  } },
  { name: "two runs compared", lab: "ready", reach: async (page) => {
    await goTo(page, "runs");
    await page.getByRole("checkbox").nth(0).check();
    await page.getByRole("checkbox").nth(1).check();
    await page.getByRole("button", { name: "Compare two" }).click();
  } },
  { name: "a report", lab: "ready", reach: async (page) => {
    await goTo(page, "runs/run-003");
    await page.getByRole("button", { name: "Open the report" }).click();
    await page.frameLocator("iframe").getByRole("heading").waitFor();
  } },
  { name: "a scenario", lab: "ready", reach: async (page) => {
    await goTo(page, "runs");
    await page.getByRole("button", { name: /^Look at/ }).first().click();
    await page.getByText("No problems found.").waitFor();
  } },
  { name: "terminal", lab: "ready", reach: async (page) => {
    await goTo(page, "terminal");
    await page.getByRole("button", { name: "New terminal" }).first().click();
    await page.getByRole("menuitem").first().click();
    await page.locator(".xterm-rows").getByText("Welcome").waitFor();
  } },
  { name: "settings", lab: "ready", reach: (page) => goTo(page, "settings") },
  { name: "a manager in trouble", lab: "refusing", reach: (page) => page.getByRole("alert").first().waitFor() },
];

describe.skipIf(missing)(`axe${missing ? ` (skipped: ${missing})` : ""}`, () => {
  it.each(looks)("finds nothing serious in $name, light and dark", async ({ lab, reach }) => {
    const { page, errors, close } = await openWindow(lab);
    await reach(page);
    for (const theme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme: theme });
      await page.waitForTimeout(400);
      expect(await page.evaluate("document.documentElement.dataset.theme")).toBe(theme);
      expect(await findings(page), theme).toEqual([]);
    }
    expect(errors.filter((error) => !/sandboxed|Blocked script/.test(error))).toEqual([]);
    await close();
  });
});
