import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { startApp } from "./support/app.ts";
import { missingBrowser } from "./support/browser.ts";
import { missingWindow } from "./support/memory-lab.ts";
import { ownHosts } from "./support/own-hosts.ts";
import { missingLab, Person } from "./support/person.ts";
import { closeBrowser, goTo } from "./support/window.ts";

/**
 * Takes the pictures of docs/guide.md: `npm run guide [FOLDER]`. The application is the real one, its lab and its hosts too; what is measured in the pictures
 * was measured on the machine that took them.
 */
const folder = process.argv[2] ?? join(import.meta.dirname, "../../docs/images");
const patience = { timeout: 240_000 };

const hostsText = `
name: own
home: { prefix: "2001:db8:f::/64", host: home }
sites: { ams: , nyc: }
paths: [{ between: [ams, nyc], delay: 40 ms }]
hosts:
  ams-1: { site: ams, roles: [member] }
  ams-2: { site: ams, roles: [member] }
  nyc-1: { site: nyc, roles: [member] }
  home: { site: nyc, roles: [homeAgent] }
`;

const missing = missingBrowser() ?? missingWindow() ?? missingLab();
if (missing) throw new Error(missing);
mkdirSync(folder, { recursive: true });
const person = await Person.create();
const hosts = await ownHosts(person, hostsText);
try {
  const { page, quit } = await startApp(person);
  await page.setViewportSize({ width: 1440, height: 860 });
  await firstMinutes(page);
  await addedHosts(page);
  await quit();
} finally {
  await closeBrowser();
  await hosts.close();
  await person.remove();
}

/** Lets what moves come to rest, and takes a picture. */
async function picture(page: Page, name: string, settleMs = 500): Promise<void> {
  await page.waitForTimeout(settleMs);
  await page.screenshot({ path: join(folder, `${name}.png`), scale: "css" });
  process.stderr.write(`${name}\n`);
}

/** From the first start to the report of the tour's run. */
async function firstMinutes(page: Page): Promise<void> {
  const tour = page.getByRole("region", { name: "Tour" });
  const next = async (heading: string) => {
    await tour.getByRole("button", { name: "Next" }).click(patience);
    await page.getByRole("heading", { name: heading }).waitFor();
  };
  await picture(page, "welcome");
  await page.getByRole("button", { name: "Run the tour" }).click();
  await page.getByRole("button", { name: /^Client c1/ }).waitFor(patience);
  await next("Clients change hands");
  // The first handoff.
  await tour.getByRole("button", { name: "Next", disabled: false }).waitFor(patience);
  await picture(page, "tour");
  await tour.getByRole("button", { name: "End the tour" }).click();
  await page.getByRole("button", { name: /^Client c1/ }).click();
  await picture(page, "topology");
  await page.emulateMedia({ colorScheme: "dark" });
  await picture(page, "topology-dark");
  await page.emulateMedia({ colorScheme: "light" });
  await goTo(page, "live");
  await page.getByRole("img", { name: /start to first packet/ }).waitFor(patience);
  await picture(page, "live", 6000);
  await goTo(page, "runs");
  await page.getByText("passed").or(page.getByText("failed", { exact: true })).first().waitFor(patience);
  await page.locator("tbody .link").first().click();
  await page.getByRole("tab", { name: "Handoffs" }).click();
  await page.getByRole("tabpanel").getByRole("row").nth(1).click();
  await page.getByRole("img", { name: /start to first packet/ }).waitFor();
  await picture(page, "run");
  await page.getByRole("button", { name: "Open the report" }).click();
  await page.frameLocator("iframe[title=Report]").getByRole("heading").first().waitFor();
  await picture(page, "report", 1000);
  await page.keyboard.press("Escape");
}

/** Own hosts: added, their keys compared, checked, with agents, and a terminal. */
async function addedHosts(page: Page): Promise<void> {
  await goTo(page, "fleet");
  await page.keyboard.press("Control+k");
  await page.keyboard.type("add hosts");
  await page.keyboard.press("Enter");
  const add = page.getByRole("dialog", { name: "Add hosts" });
  await add.getByRole("textbox").fill(hosts.lines.join("\n"));
  await picture(page, "add-hosts");
  await add.getByRole("button", { name: /^Add \d/ }).click();
  await page.getByRole("button", { name: "key not known" }).nth(hosts.lines.length - 1).waitFor(patience);
  await page.getByRole("button", { name: "key not known" }).first().click();
  const dialog = page.getByRole("dialog", { name: "Is this the right host?" });
  await dialog.locator("[data-test=offered]").waitFor();
  await picture(page, "host-key");
  for (const line of hosts.lines) {
    await dialog.getByText(line.split(" ")[0] as string).waitFor();
    await dialog.getByRole("button", { name: "Accept and connect" }).click();
  }
  await page.getByText("connected").nth(hosts.lines.length - 1).waitFor(patience);
  await page.getByRole("button", { name: "Preflight all" }).click();
  for (const name of ["home", "ams-1", "ams-2", "nyc-1"]) await page.locator(`[data-test=host-${name}]`).getByText(/ready|warning/).waitFor(patience);
  await page.getByRole("button", { name: "Deploy all…" }).click();
  await page.getByRole("dialog").getByText("/anycast-lab").first().waitFor(patience);
  await picture(page, "deploy");
  await page.getByRole("button", { name: /^Deploy to/ }).click();
  await page.getByRole("dialog").getByText("done", { exact: true }).first().waitFor(patience);
  await page.keyboard.press("Escape");
  await page.locator("[data-test=host-ams-1]").getByRole("button", { name: "ams-1" }).click();
  await page.getByText("Host key").first().waitFor();
  await picture(page, "fleet", 1500);
  await goTo(page, "terminal");
  await page.getByRole("button", { name: "New terminal" }).first().click();
  await page.getByRole("menuitem", { name: /^nyc-1\b/ }).click();
  await page.locator(".xterm-rows").getByText("lab@nyc-1").first().waitFor(patience);
  await page.keyboard.type("ping -c 3 ams-1\n");
  await page.locator(".xterm-rows").getByText("rtt min").waitFor(patience);
  await picture(page, "terminal");
  // Inside a terminal Ctrl-K is the shell's.
  await page.keyboard.press("Control+Shift+K");
  await page.getByRole("dialog").waitFor();
  await page.keyboard.type("term");
  await picture(page, "palette");
  await page.keyboard.press("Escape");
  await goTo(page, "fleet");
  await page.getByRole("button", { name: /^Undo/ }).click();
  await page.getByRole("dialog").getByRole("button", { name: /^Remove from/ }).click();
  await page.getByRole("dialog").getByText("done", { exact: true }).first().waitFor(patience);
}
