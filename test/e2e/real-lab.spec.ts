import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { launchBrowser, missingBrowser } from "./support/browser.ts";
import { missingWindow } from "./support/memory-lab.ts";
import { missingLab, type RealLab, serveRealLab } from "./support/real-lab.ts";
import { runToReport } from "./support/run.ts";
import { goTo } from "./support/window.ts";
import { echoScenario } from "../support/echoScenario.ts";

const missing = missingBrowser() ?? missingWindow() ?? missingLab();
/** A local lab starts within this time on a busy machine, ms. */
const patience = { timeout: 90_000 };

/** Two handoffs of an echo client on the shipped lab. */
const short = echoScenario({
  name: "short",
  title: "Two handoffs",
  homeAgent: "h",
  members: ["n1", "n2", "n3"],
  client: "c1",
  steps: ["handOver: { client: c1, to: n2, mode: full }", "wait: 500 ms", "prepare: { client: c1 }", "handOver: { client: c1, to: n3, mode: prepared }", "wait: 500 ms"],
  handoffs: 2,
});

let browser: Browser;
let lab: RealLab;
let page: Page;
const errors: string[] = [];

async function openWindow(): Promise<void> {
  const context = await browser.newContext({ viewport: { width: 1360, height: 840 } });
  page = await context.newPage();
  page.on("pageerror", (error) => errors.push(String(error.stack ?? error)));
  await page.goto(lab.served.newLink());
  await page.waitForURL((url) => url.pathname === "/");
  await page.getByText("Stop all").first().waitFor();
}

beforeAll(async () => {
  if (missing) return;
  lab = await serveRealLab({ short });
  browser = await launchBrowser();
  await openWindow();
});
afterAll(async () => {
  await browser?.close();
  await lab?.close();
});

describe.skipIf(missing)(`the window on a real lab${missing ? ` (skipped: ${missing})` : ""}`, () => {
  it("brings the shipped lab up and shows its hosts with their agents", async () => {
    await page.getByRole("dialog", { name: "Welcome to Anycast Lab" }).getByRole("button", { name: "Look around" }).click();
    await goTo(page, "topology");
    await page.getByText("This lab is not running").waitFor();
    await page.getByRole("button", { name: /^Start/ }).first().click();
    await expect.poll(() => page.locator("[data-test=agents-up]").textContent(), patience).toContain("6");
    expect(await page.locator("[data-test=hosts-up]").textContent()).toContain("6/6");
    for (const host of ["h", "n1", "n2", "n3", "c1", "c2"]) await page.locator(`[data-key="host:${host}"]`).waitFor();
  });

  it("opens a shell on a host, and finds it again after the window was reloaded", async () => {
    await goTo(page, "terminal");
    await page.getByRole("button", { name: "New terminal" }).first().click();
    await page.getByRole("menuitem", { name: "n1" }).click();
    await page.locator(".xterm-rows").getByText("lab@n1").first().waitFor(patience);
    await page.keyboard.type("echo host-$(hostname)-end\n");
    await page.locator(".xterm-rows").getByText("host-n1-end").first().waitFor();
    await page.reload();
    await goTo(page, "terminal");
    await page.locator(".xterm-rows").getByText("host-n1-end").first().waitFor();
    await page.locator(".xterm").first().click();
    await page.keyboard.type("echo again-$((40+2))\n");
    await expect.poll(() => page.locator(".xterm-rows").first().textContent()).toContain("again-42");
  });

  it("runs a scenario on the lab that is up, with a ladder of real messages and a report", async () => {
    await runToReport(page, { on: "quickstart", title: "Two handoffs", name: "short" }, patience);
  });

  it("finds the lab up again with another manager, and takes it down", async () => {
    await page.context().close();
    await lab.restart();
    await openWindow();
    await expect.poll(() => page.locator("[data-test=agents-up]").textContent(), patience).toContain("6");
    const up = await lab.app.handlers["lab.list"]({}, { id: "t", shell: "memory", emit: () => undefined, gone: new AbortController().signal });
    expect(up).toContainEqual(expect.objectContaining({ id: "lab-quickstart", phase: "up", hosts: 6 }));
    await page.getByRole("button", { name: /quickstart/ }).first().click();
    await page.getByRole("menuitem", { name: /^Stop/ }).click();
    await page.getByText("This lab is not running").waitFor(patience);
    expect(errors).toEqual([]);
    expect(lab.defects).toEqual([]);
  });
});
