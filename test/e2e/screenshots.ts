import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { closeBrowser, goTo, openWindow } from "./support/window.ts";

/** Pictures of every screen with a simulated lab, light and dark, to look at: `node test/e2e/screenshots.ts [FOLDER]`. */
const folder = process.argv[2] ?? join(import.meta.dirname, "../../out/pictures");

interface Picture {
  readonly name: string;
  readonly lab: string;
  readonly width?: number;
  readonly height?: number;
  reach?(page: Page): Promise<unknown>;
}

const showing = (screen: string, wait = 0) => async (page: Page) => {
  await goTo(page, screen);
  await page.waitForTimeout(wait);
};
const hosts = async (page: Page, lines: string) => {
  await goTo(page, "fleet");
  await page.getByRole("button", { name: "Add hosts" }).first().click();
  await page.getByRole("dialog").getByRole("textbox").fill(lines);
  await page.getByRole("dialog").getByRole("button", { name: /^Add \d/ }).click();
};

const pictures: readonly Picture[] = [
  { name: "welcome", lab: "empty" },
  { name: "topology", lab: "ready" },
  { name: "topology-host", lab: "ready", reach: (page) => page.getByRole("button", { name: /^Host nyc/ }).click() },
  { name: "topology-link", lab: "ready", reach: async (page) => {
    await page.locator("[data-key^='link:']").first().focus();
    await page.keyboard.press("Shift+F10");
    await page.getByRole("menuitem", { name: /Change delay/ }).click();
  } },
  { name: "topology-narrow", lab: "ready", width: 700, height: 800 },
  { name: "topology-100-hosts", lab: "big" },
  { name: "topology-stopped", lab: "empty", reach: (page) => page.keyboard.press("Escape") },
  { name: "live", lab: "ready", reach: showing("live", 6000) },
  { name: "live-events", lab: "ready", reach: async (page) => {
    await goTo(page, "live");
    await page.getByRole("button", { name: /^Events/ }).click();
  } },
  { name: "fleet", lab: "ready", reach: showing("fleet/nyc", 500) },
  { name: "fleet-add", lab: "empty", reach: async (page) => {
    await page.keyboard.press("Escape");
    await goTo(page, "fleet");
    await page.getByRole("button", { name: "Add hosts" }).first().click();
    await page.getByRole("dialog").getByRole("textbox").fill("lab@ams.example.net\nroot@[2001:db8::10]:2222\nlab@nyc.example.net:99999");
  } },
  { name: "fleet-key-unknown", lab: "empty", reach: async (page) => {
    await page.keyboard.press("Escape");
    await hosts(page, "lab@ams.example.net");
    await page.getByRole("button", { name: "key not known" }).click();
  } },
  { name: "fleet-key-changed", lab: "empty", reach: async (page) => {
    await page.keyboard.press("Escape");
    await hosts(page, "lab@ams-changed.example.net");
    await page.getByRole("button", { name: "key changed" }).click();
  } },
  { name: "fleet-deploy", lab: "ready", reach: async (page) => {
    await page.getByRole("button", { name: /^Host/ }).first().waitFor();
    await goTo(page, "fleet");
    await page.getByRole("button", { name: /^Deploy/ }).click();
    await page.getByRole("button", { name: /^Deploy to/ }).click();
    await page.waitForTimeout(1300);
  } },
  { name: "runs", lab: "ready", reach: showing("runs/run-003", 600) },
  { name: "runs-compared", lab: "ready", reach: async (page) => {
    await goTo(page, "runs");
    await page.getByRole("checkbox").nth(0).check();
    await page.getByRole("checkbox").nth(2).check();
    await page.getByRole("button", { name: "Compare two" }).click();
  } },
  { name: "report", lab: "ready", reach: async (page) => {
    await goTo(page, "runs/run-003");
    await page.getByRole("button", { name: "Open the report" }).click();
  } },
  { name: "terminal", lab: "ready", reach: async (page) => {
    await goTo(page, "terminal");
    await page.getByRole("button", { name: "New terminal" }).first().click();
    await page.getByRole("menuitem").nth(2).click();
    await page.locator(".xterm-rows").getByText("Welcome").waitFor();
    await page.keyboard.type("ip -br a\n");
  } },
  { name: "tour", lab: "empty", reach: async (page) => {
    await page.getByRole("button", { name: "Run the tour" }).click();
    await page.waitForTimeout(5000);
  } },
  { name: "palette", lab: "ready", reach: (page) => page.keyboard.press("Control+k") },
  { name: "settings", lab: "ready", reach: showing("settings") },
  { name: "trouble", lab: "broken", reach: showing("fleet") },
];

mkdirSync(folder, { recursive: true });
for (const { name, lab, width, height, reach } of pictures) {
  const { page, close } = await openWindow(lab, { ...(width && { width }), ...(height && { height }) });
  await page.waitForTimeout(900);
  await reach?.(page);
  for (const theme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme: theme });
    await page.waitForTimeout(500);
    await page.screenshot({ path: join(folder, `${name}-${theme}.png`) });
  }
  await close();
}
await closeBrowser();
