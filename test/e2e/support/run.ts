import type { Page } from "playwright-core";
import { expect } from "vitest";
import { goTo } from "./window.ts";

/** Runs a scenario by the Runs screen on the lab or fleet of that label, opens the ladder of its first handoff, and then its report. `title` and `name` are the scenario's. */
export async function runToReport(page: Page, scenario: { readonly on: string; readonly title: string; readonly name: string }, patience: { readonly timeout: number }): Promise<void> {
  await goTo(page, "runs");
  await page.getByRole("combobox", { name: "Run on" }).selectOption({ label: scenario.on });
  await page.getByRole("button", { name: `Run ${scenario.title}` }).click();
  await page.getByRole("region", { name: new RegExp(`^Run .*-${scenario.name}$`) }).getByText("passed").first().waitFor(patience);
  await page.getByRole("tab", { name: "Handoffs" }).click();
  await page.getByRole("tabpanel").getByRole("row").nth(1).click();
  await page.getByRole("img", { name: /start to first packet/ }).waitFor();
  for (const message of ["HoTI", "HoT", "CoTI", "CoT", "BU", "BA"]) await page.getByRole("tabpanel").getByText(message, { exact: true }).first().waitFor();
  await page.getByRole("button", { name: "Open the report" }).click();
  await expect.poll(() => page.frameLocator("iframe[title=Report]").locator("body").textContent(), patience).toContain("✓ passed");
  await page.keyboard.press("Escape");
}
