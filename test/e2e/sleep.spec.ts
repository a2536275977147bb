import { execFileSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { processTree } from "../support/lab.ts";
import { type RunningApp, startApp } from "./support/app.ts";
import { missingBrowser } from "./support/browser.ts";
import { missingWindow } from "./support/memory-lab.ts";
import { missingLab, Person } from "./support/person.ts";
import { closeBrowser, goTo, shell } from "./support/window.ts";

const missing = missingBrowser() ?? missingWindow() ?? missingLab();
const patience = { timeout: 90_000 };
/** Longer than two heartbeats of the socket. */
const asleepMs = 40_000;

/** Processes that are stopped and go on, as a machine that sleeps stops them. */
describe.skipIf(missing)(`after sleep${missing ? ` (skipped: ${missing})` : ""}`, () => {
  let person: Person;
  let app: RunningApp;
  let page: Page;
  let words = 0;

  beforeAll(async () => {
    person = await Person.create();
    app = await startApp(person);
    page = app.page;
  });
  afterAll(async () => {
    await closeBrowser();
    await person?.remove();
  });

  async function terminalAnswers(): Promise<void> {
    const word = ++words;
    await page.locator(".xterm").first().click();
    await page.keyboard.type(`echo word-${word}-$((40+2))\n`);
    await page.locator(".xterm-rows").getByText(`word-${word}-42`).first().waitFor(patience);
  }

  /** Stops them all for a while. Those that may be waited for, this process among them, go on. */
  async function putToSleep(pids: readonly number[]): Promise<void> {
    for (const pid of pids) process.kill(pid, "SIGSTOP");
    await sleep(asleepMs);
    for (const pid of pids.toReversed()) process.kill(pid, "SIGCONT");
  }

  it("a lab is up to begin with, and a terminal open", async () => {
    await page.getByRole("dialog").getByRole("button", { name: "Look around" }).click();
    await page.getByRole("button", { name: /^Start/ }).first().click();
    await expect.poll(() => page.locator("[data-test=agents-up]").textContent(), patience).toContain("6");
    await goTo(page, "terminal");
    await page.getByRole("button", { name: "New terminal" }).first().click();
    await page.getByRole("menuitem", { name: /^n1\b/ }).click();
    await page.locator(".xterm-rows").getByText("lab@n1").first().waitFor(patience);
    await terminalAnswers();
  });

  it.skipIf(shell === "electron")("of the browser: the window connects again by itself, with the terminal as it was", async () => {
    const [browser] = childrenOf(process.pid, "chromium");
    await putToSleep(processTree(browser ?? 0).map(({ pid }) => pid));
    await page.getByText("Connected", { exact: true }).waitFor(patience);
    await page.locator(".xterm-rows").getByText("word-1-42").first().waitFor(patience);
    await terminalAnswers();
  });

  it("of the manager: agents and terminals are still there", async () => {
    const manager = shell === "electron" ? childrenOf(app.process.pid ?? 0, "manager-process.ts") : [app.process.pid ?? 0];
    await putToSleep(manager);
    await expect.poll(() => page.locator("[data-test=agents-up]").textContent(), patience).toContain("6");
    await page.getByText("Connected", { exact: true }).waitFor(patience);
    await terminalAnswers();
    await app.quit();
  });
});

/** Ids of a process's children whose command line holds a word. */
function childrenOf(parent: number, word: string): number[] {
  const lines = execFileSync("ps", ["-o", "pid=,args=", "--ppid", String(parent)], { encoding: "utf8" }).split("\n");
  return lines.filter((line) => line.includes(word)).map((line) => Number.parseInt(line, 10));
}
