import { execFile, execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RunningApp, startApp } from "./support/app.ts";
import { missingBrowser } from "./support/browser.ts";
import { missingWindow } from "./support/memory-lab.ts";
import { type OwnHosts, ownHosts } from "./support/own-hosts.ts";
import { missingLab, Person } from "./support/person.ts";
import { runToReport } from "./support/run.ts";
import { closeBrowser, goTo } from "./support/window.ts";
import { echoScenario } from "../support/echoScenario.ts";

const missing = missingBrowser() ?? missingWindow() ?? missingLab();
const patience = { timeout: 90_000 };

const labText = `
name: own
home: { prefix: "2001:db8:f::/64", host: home }
sites: { west: , east: }
paths: [{ between: [west, east], delay: 4 ms }]
hosts:
  home: { site: west, roles: [homeAgent] }
  k: { site: west, roles: [member] }
  a: { site: east, roles: [member] }
  c: { site: west, roles: [client] }
`;
const scenario = echoScenario({ name: "moved", title: "One handoff", homeAgent: "home", members: ["k", "a"], client: "c", steps: ["handOver: { client: c, to: a, mode: full }", "wait: 300 ms"], handoffs: 1 });

/** Real sshd, the person's own OpenSSH files, real agents: only the distance between the hosts is made up. */
describe.skipIf(missing)(`a stranger's own hosts${missing ? ` (skipped: ${missing})` : ""}`, () => {
  let person: Person;
  let hosts: OwnHosts;
  let app: RunningApp;
  let page: Page;

  beforeAll(async () => {
    person = await Person.create();
    person.keepScenario("moved", scenario);
    hosts = await ownHosts(person, labText);
    app = await startApp(person);
    page = app.page;
  });
  afterAll(async () => {
    await closeBrowser();
    await hosts?.close();
    await person?.remove();
  });

  it("are pasted, and their keys accepted one by one: those that ssh-keyscan sees", async () => {
    await page.getByRole("dialog", { name: "Welcome to Anycast Lab" }).getByRole("button", { name: "Add my hosts" }).click();
    const add = page.getByRole("dialog", { name: "Add hosts" });
    await add.getByRole("textbox").fill(hosts.lines.join("\n"));
    await add.getByRole("button", { name: "Add 4 hosts" }).click();
    await page.getByRole("button", { name: "key not known" }).nth(3).waitFor(patience);
    await page.getByRole("button", { name: "key not known" }).first().click();
    for (const line of hosts.lines) {
      const [target = ""] = line.split(" ");
      const dialog = page.getByRole("dialog", { name: "Is this the right host?" });
      await dialog.getByText(target).waitFor();
      expect(await dialog.locator("[data-test=offered]").textContent()).toBe(await scannedFingerprint(target));
      await dialog.getByRole("button", { name: "Accept and connect" }).click();
    }
    await expect.poll(() => page.locator("[data-test=hosts-up]").textContent(), patience).toContain("4/4");
    const known = readFileSync(join(person.home, ".ssh/known_hosts"), "utf8").trim().split("\n");
    expect(known).toHaveLength(4);
    for (const line of hosts.lines) execFileSync("ssh-keygen", ["-F", knownName(line.split(" ")[0] as string), "-f", join(person.home, ".ssh/known_hosts")]);
  });

  it("pass the preflight and get their agents, after a look at what will change", async () => {
    await page.getByRole("button", { name: "Preflight all" }).click();
    for (const name of ["home", "k", "a", "c"]) await page.locator(`[data-test=host-${name}]`).getByText(/ready|warning/).waitFor(patience);
    await page.getByRole("button", { name: "Deploy all…" }).click();
    const plan = page.getByRole("dialog", { name: "Deploy the agent" });
    await plan.getByText("/anycast-lab").first().waitFor(patience);
    await plan.getByRole("button", { name: "Deploy to 4 hosts" }).click();
    const task = page.getByRole("dialog", { name: "Deploy to 4 hosts" });
    await task.getByText("done", { exact: true }).first().waitFor(patience);
    expect(await task.getByRole("progressbar").count()).toBeGreaterThanOrEqual(4);
    await page.keyboard.press("Escape");
    await expect.poll(() => page.locator("[data-test=agents-up]").textContent(), patience).toContain("4");
  });

  it("run a scenario that leads to a ladder of real messages and to a report", async () => {
    await runToReport(page, { on: "My hosts", title: "One handoff", name: "moved" }, patience);
  });

  it("give a terminal, that goes on after the window was loaded anew", async () => {
    await goTo(page, "terminal");
    await page.getByRole("button", { name: "New terminal" }).first().click();
    await page.getByRole("menuitem", { name: /^k\b/ }).click();
    await page.locator(".xterm-rows").getByText("lab@k").first().waitFor(patience);
    await page.keyboard.type("echo host-$(hostname)-end\n");
    await page.locator(".xterm-rows").getByText("host-k-end").first().waitFor();
    await page.reload();
    await goTo(page, "terminal");
    await page.locator(".xterm-rows").getByText("host-k-end").first().waitFor();
  });

  it("cannot reach out of the terminal: not for the title, the clipboard, or another page", async () => {
    // The stand-in's Chromium lets nobody at the clipboard at all.
    const clipboard = () => page.evaluate("navigator.clipboard.readText()").catch(() => "mine");
    await page.evaluate("navigator.clipboard.writeText('mine')").catch(() => undefined);
    await page.locator(".xterm").first().click();
    const [address, windows] = [page.url(), page.context().pages().length];
    await page.keyboard.type(String.raw`printf '\033]0;pwned\007\033]2;pwned\007\033]52;c;cHduZWQ=\007\033]8;;https://evil.example/\007click-%s\033]8;;\007 \033[21t\033P+q544e\033\\\033]11;?\007end-%s\n' me $((40+2))` + "\n");
    await page.locator(".xterm-rows").getByText("end-42").first().waitFor();
    const box = await page.locator(".xterm-rows").getByText("click-me").last().boundingBox();
    await page.mouse.move((box?.x ?? 0) + 8, (box?.y ?? 0) + 6);
    await page.waitForTimeout(100);
    await page.mouse.click((box?.x ?? 0) + 10, (box?.y ?? 0) + 6);
    await page.waitForTimeout(300);
    expect([await page.title(), page.url(), page.context().pages().length]).toEqual(["Anycast Lab", address, windows]);
    expect(await clipboard()).toBe("mine");
  });

  it("are left as they were when the deploy is undone", async () => {
    await goTo(page, "fleet");
    await page.getByRole("button", { name: /^Undo/ }).click();
    await page.getByRole("dialog").getByRole("button", { name: /^Remove from/ }).click();
    await page.getByRole("dialog").getByText("done", { exact: true }).first().waitFor(patience);
    await page.keyboard.press("Escape");
    await expect.poll(() => page.locator("[data-test=agents-up]").textContent(), patience).toMatch(/\b0\b/);
    // The report's frame has a script, and its sandbox must refuse it; the browser tells so as an error.
    expect(app.errors.filter((error) => !/sandboxed|Blocked script/.test(error))).toEqual([]);
    await app.quit();
    expect(app.defects).toEqual([]);
  });
});

/** What OpenSSH's own tools say about the key behind a target. */
async function scannedFingerprint(target: string): Promise<string> {
  const [, address = "", port = ""] = /@\[?([^\]]+?)\]?:(\d+)$/.exec(target) ?? [];
  const { stdout } = await promisify(execFile)("ssh-keyscan", ["-t", "ed25519", "-p", port, address]);
  return execFileSync("ssh-keygen", ["-lf", "-"], { encoding: "utf8", input: stdout }).split(" ")[1] as string;
}

const knownName = (target: string): string => target.replace(/^.*@\[?([^\]]+?)\]?:(\d+)$/, "[$1]:$2");
