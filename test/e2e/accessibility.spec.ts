import { AxeBuilder } from "@axe-core/playwright";
import type { Page } from "playwright-core";
import { afterAll, describe, expect, it } from "vitest";
import { missingBrowser } from "./support/browser.ts";
import { missingWindow } from "./support/memory-lab.ts";
import { closeBrowser, goTo, openWindow } from "./support/window.ts";

const missing = missingBrowser() ?? missingWindow();
afterAll(closeBrowser);

/** Serious and critical findings, one line each. In the second theme only colours differ, so only they are judged anew. The report's frame is a document of its own. */
async function findings(page: Page, coloursOnly: boolean): Promise<string[]> {
  const axe = new AxeBuilder({ page }).exclude("iframe");
  const { violations } = await (coloursOnly ? axe.withRules(["color-contrast", "link-in-text-block"]) : axe).analyze();
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

const reachEmpty = (screen: string) => async (page: Page) => {
  await page.getByRole("dialog").waitFor();
  await page.keyboard.press("Escape");
  await goTo(page, screen);
};
const reachTab = (tab: string | RegExp) => async (page: Page) => {
  await goTo(page, "runs/run-001");
  await page.getByRole("tab", { name: tab }).click();
  await page.getByRole("tabpanel", { name: tab }).waitFor();
};
const reachDeploy = async (page: Page) => {
  await page.getByRole("button", { name: /^Host nyc/ }).waitFor();
  await goTo(page, "fleet");
  await page.getByRole("button", { name: /^Deploy all/ }).click();
  await page.getByRole("button", { name: /^Deploy to/ }).waitFor();
};
const reachKey = (line: string, button: string) => async (page: Page) => {
  await reachEmpty("fleet")(page);
  await page.getByRole("button", { name: "Add hosts" }).first().click();
  await page.getByRole("dialog").getByRole("textbox").fill(line);
  await page.getByRole("dialog").getByRole("button", { name: /^Add \d/ }).click();
  await page.getByRole("button", { name: button }).click();
  await page.locator("[data-test=offered]").waitFor();
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
  { name: "the clients and how each is served", lab: "ready,handoffsPerMinute=0", reach: async (page) => {
    await goTo(page, "live");
    await page.getByRole("button", { name: /^Clients/ }).click();
    await page.getByRole("row", { name: /alice/ }).click();
    await page.getByRole("button", { name: "Hand over" }).waitFor();
  } },
  { name: "charts as tables", lab: "ready", reach: async (page) => {
    await goTo(page, "live");
    for (const chart of ["Handoff time", "Goodput", "Clients per node"]) await page.getByRole("button", { name: `Show ${chart} as a table` }).click();
  } },
  { name: "a live screen on which nothing happens", lab: "empty", reach: reachEmpty("live") },
  { name: "a fleet without hosts", lab: "empty", reach: reachEmpty("fleet") },
  { name: "runs without a run", lab: "empty", reach: reachEmpty("runs") },
  { name: "the tour", lab: "empty,speed=12", reach: async (page) => {
    await page.getByRole("button", { name: "Run the tour" }).click();
    await page.getByRole("region", { name: "Tour" }).getByRole("button", { name: "Next" }).click();
    await page.getByRole("heading", { name: "Clients change hands" }).waitFor();
  } },
  { name: "the menu of a client", lab: "ready,handoffsPerMinute=0", reach: (page) => page.getByRole("button", { name: /^Client bob/ }).click({ button: "right" }) },
  { name: "the menu of a link", lab: "ready", reach: async (page) => {
    await page.locator("[data-key^='link:']").first().focus();
    await page.keyboard.press("Shift+F10");
    await page.getByRole("menuitem", { name: /Change delay/ }).waitFor();
  } },
  { name: "the menu of labs", lab: "ready", reach: async (page) => {
    await page.getByRole("button", { name: /^Lab: / }).click();
    await page.getByRole("menuitem", { name: "Stop this lab" }).waitFor();
  } },
  { name: "a host's log", lab: "ready", reach: palette("log of nyc") },
  { name: "what an agent knows", lab: "ready", reach: async (page) => {
    await page.getByRole("button", { name: /^Host nyc/ }).click({ button: "right" });
    await page.getByRole("menuitem", { name: "What its agent knows" }).click();
    await page.getByRole("dialog").waitFor();
  } },
  { name: "a deploy planned", lab: "ready", reach: reachDeploy },
  { name: "a deploy with a bar per host", lab: "ready", reach: async (page) => {
    await reachDeploy(page);
    await page.getByRole("button", { name: /^Deploy to/ }).click();
    await page.getByRole("progressbar").nth(3).waitFor();
  } },
  { name: "a deploy undone", lab: "ready", reach: async (page) => {
    await goTo(page, "fleet");
    await page.getByRole("button", { name: /^Undo/ }).click();
    await page.getByRole("dialog").waitFor();
  } },
  { name: "a host key that is not known", lab: "empty", reach: reachKey("lab@one.example", "key not known") },
  { name: "a host key that has changed", lab: "empty", reach: reachKey("lab@one-changed.example", "key changed") },
  { name: "hosts from the SSH configuration", lab: "ready", reach: async (page) => {
    await palette("add hosts")(page);
    await page.getByRole("tab", { name: /SSH configuration/ }).click();
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
  { name: "the thresholds of a run", lab: "ready", reach: reachTab(/Thresholds/) },
  { name: "the goodput of a run", lab: "ready", reach: reachTab("Goodput") },
  { name: "about a run", lab: "ready", reach: reachTab("About") },
  { name: "a run that goes on", lab: "ready,speed=0.5", reach: async (page) => {
    await goTo(page, "runs");
    await page.getByRole("button", { name: "Run Quickstart" }).click();
    await page.getByRole("progressbar", { name: "Progress of the run" }).waitFor();
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
  { name: "a search in a terminal", lab: "ready", reach: async (page) => {
    await goTo(page, "terminal");
    await page.getByRole("button", { name: "New terminal" }).first().click();
    await page.getByRole("menuitem").first().click();
    await page.locator(".xterm-rows").getByText("Welcome").waitFor();
    await page.getByRole("button", { name: "Search", exact: true }).click();
    await page.getByRole("searchbox", { name: "Search in the terminal" }).fill("lab");
  } },
  { name: "no terminal", lab: "ready", reach: (page) => goTo(page, "terminal") },
  { name: "settings", lab: "ready", reach: (page) => goTo(page, "settings") },
  { name: "a manager in trouble", lab: "refusing", reach: (page) => page.getByRole("alert").first().waitFor() },
];

/** `npm test` looks at each screen once; every menu, dialog and state is looked at by `npm run test:long`. */
const screens = new Set(["welcome", "topology", "a selected client", "the tour", "fleet with details", "a host key that is not known", "live", "runs", "a report", "terminal", "settings", "the command palette", "a manager in trouble"]);
const chosen = process.env["E2E_LONG"] ? looks : looks.filter(({ name }) => screens.has(name));

describe.skipIf(missing)(`axe${missing ? ` (skipped: ${missing})` : ""}`, () => {
  it.each(chosen)("finds nothing serious in $name, light and dark", async ({ lab, reach }) => {
    const { page, errors, close } = await openWindow(lab);
    await reach(page);
    for (const theme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme: theme });
      await page.waitForTimeout(300);
      expect(await page.evaluate("document.documentElement.dataset.theme")).toBe(theme);
      expect(await findings(page, theme === "dark"), theme).toEqual([]);
    }
    expect(errors.filter((error) => !/sandboxed|Blocked script/.test(error))).toEqual([]);
    await close();
  });
});
