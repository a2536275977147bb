import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RunningApp, startApp } from "./support/app.ts";
import { missingBrowser } from "./support/browser.ts";
import { missingWindow } from "./support/memory-lab.ts";
import { missingLab, Person } from "./support/person.ts";
import { closeBrowser, goTo, shell } from "./support/window.ts";
import { echoScenario } from "../support/echoScenario.ts";

const missing = missingBrowser() ?? missingWindow() ?? missingLab();
const patience = { timeout: 90_000 };

const unhurried = echoScenario({ name: "unhurried", title: "An unhurried one", homeAgent: "h", members: ["n1", "n2", "n3"], client: "c1", steps: ["handOver: { client: c1, to: n2, mode: full }", "wait: 12 s"], handoffs: 1 });

/** The real manager and real agents; what ends is ended as it would be: windows closed, processes killed. */
describe.skipIf(missing)(`when something ends in the middle of a run${missing ? ` (skipped: ${missing})` : ""}`, () => {
  let person: Person;
  let app: RunningApp;
  let page: Page;

  async function start(): Promise<void> {
    app = await startApp(person);
    page = app.page;
  }
  const agentsUp = (count: number) => expect.poll(() => page.locator("[data-test=agents-up]").textContent(), patience).toContain(String(count));
  const newestRun = (): string => readdirSync(app.runs).sort().at(-1) as string;
  /** Begins the scenario on the lab that is up, and waits until a handoff has happened. */
  async function beginRun(): Promise<string> {
    await goTo(page, "runs");
    await page.getByRole("combobox", { name: "Run on" }).selectOption({ label: "quickstart" });
    await page.getByRole("button", { name: "Run An unhurried one" }).click();
    await page.getByRole("region", { name: /^Run .*-unhurried$/ }).getByText("wait").first().waitFor(patience);
    return newestRun();
  }
  async function runIs(run: string, state: RegExp): Promise<void> {
    await goTo(page, `runs/${run}`);
    await page.getByRole("region", { name: `Run ${run}` }).getByText(state).first().waitFor(patience);
  }

  beforeAll(async () => {
    person = await Person.create();
    person.keepScenario("unhurried", unhurried);
    await start();
  });
  afterAll(async () => {
    await closeBrowser();
    await person?.remove();
  });

  it("a lab is up to begin with", async () => {
    await page.getByRole("dialog").getByRole("button", { name: "Look around" }).click();
    await page.getByRole("button", { name: /^Start/ }).first().click();
    await agentsUp(6);
  });

  it.skipIf(shell === "electron")("a window: the run goes on, and the next window sees it pass", async () => {
    const run = await beginRun();
    await app.reopen();
    page = app.page;
    await runIs(run, /^passed$/);
  });

  it("the application, by its person: the run ends cleanly with what it has, the lab stays up and is found again", async () => {
    const run = await beginRun();
    await app.quit();
    expect(app.defects).toEqual([]);
    await start();
    await agentsUp(6);
    await runIs(run, /^stopped$/);
    await page.getByRole("button", { name: "Open the report" }).click();
    await page.frameLocator("iframe[title=Report]").getByRole("heading").first().waitFor(patience);
    await page.keyboard.press("Escape");
  });

  it("the manager, by SIGKILL: the next one finds the lab, says what became of the run, and runs the same again", async () => {
    const run = await beginRun();
    if (shell === "electron") process.kill(managerOf(app.process.pid ?? 0), "SIGKILL");
    else {
      await app.kill();
      await start();
    }
    await agentsUp(6);
    await runIs(run, /the manager ended before the run did/);
    await runIs(await beginRun(), /^passed$/);
  });

  it.skipIf(shell === "serve")("the Electron shell, by SIGKILL: its manager ends the run cleanly", async () => {
    const run = await beginRun();
    await app.kill();
    await start();
    await agentsUp(6);
    await runIs(run, /^stopped$/);
  });

  it("nothing any more: the lab is taken down", async () => {
    await page.getByRole("button", { name: "Lab: quickstart" }).click();
    await page.getByRole("menuitem", { name: /^Stop/ }).click();
    await goTo(page, "topology");
    await page.getByText("This lab is not running").waitFor(patience);
    await app.quit();
  });
});

/** The manager's process below the Electron shell's. */
function managerOf(pid: number): number {
  const lines = execFileSync("ps", ["-o", "pid=,args=", "--ppid", String(pid)], { encoding: "utf8" }).split("\n");
  return Number.parseInt(lines.find((line) => line.includes("manager-process.ts")) ?? "", 10);
}
