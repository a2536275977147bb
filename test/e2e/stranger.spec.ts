import { afterAll, describe, expect, it } from "vitest";
import { missingBrowser } from "./support/browser.ts";
import { missingWindow } from "./support/memory-lab.ts";
import { closeBrowser, goTo, openWindow } from "./support/window.ts";

const missing = missingBrowser() ?? missingWindow();
afterAll(closeBrowser);

describe.skipIf(missing)(`a stranger's path${missing ? ` (skipped: ${missing})` : ""}`, () => {
  it("leads from the first start through own hosts and a run to ladder, terminal and report", async () => {
    const { page, errors, defects, close } = await openWindow("empty,speed=12");
    await page.getByRole("dialog", { name: "Welcome to Anycast Lab" }).getByRole("button", { name: "Add my hosts" }).click();

    const add = page.getByRole("dialog", { name: "Add hosts" });
    await add.getByRole("textbox").fill("lab@one.example\nlab@two.example:99999\nlab@three.example");
    await add.getByText("port 99999 is not between 1 and 65535").waitFor();
    expect(await add.getByRole("button", { name: /^Add/ }).isDisabled()).toBe(true);
    await add.getByRole("textbox").fill("lab@one.example\nlab@two.example:2222 # the second\nlab@[2001:db8::3] as three");
    await add.getByRole("button", { name: "Add 3 hosts" }).click();

    await page.getByRole("button", { name: "key not known" }).nth(2).waitFor();
    await page.getByRole("button", { name: "key not known" }).first().click();
    for (const target of ["lab@one.example", "lab@two.example:2222", "lab@[2001:db8::3]"]) {
      const dialog = page.getByRole("dialog", { name: "Is this the right host?" });
      await dialog.getByText(target).waitFor();
      expect(await dialog.locator("[data-test=offered]").textContent()).toMatch(/^SHA256:[\w+/]{43}$/);
      await dialog.getByRole("button", { name: "Accept and connect" }).click();
    }
    await page.getByText("connected").nth(2).waitFor();

    await page.getByRole("button", { name: "Preflight all" }).click();
    await page.locator("[data-test=host-three]").getByText(/ready|warning/).waitFor();
    await page.locator("[data-test=host-two]").getByRole("button", { name: "two" }).click();
    await page.getByText("Capabilities").waitFor();

    await page.getByRole("button", { name: "Deploy all…" }).click();
    const plan = page.getByRole("dialog", { name: "Deploy the agent" });
    await plan.getByText("CAP_NET_ADMIN").first().waitFor();
    await plan.getByRole("button", { name: "Deploy to 3 hosts" }).click();
    const task = page.getByRole("dialog", { name: "Deploy to 3 hosts" });
    await task.locator("[data-test=task-state]").getByText("done").waitFor();
    expect(await task.getByRole("progressbar").count()).toBeGreaterThanOrEqual(3);
    await task.getByRole("button", { name: "Close" }).last().click();
    await expect.poll(() => page.locator("[data-test=agents-up]").textContent()).toContain("3");

    await goTo(page, "runs");
    await page.getByRole("combobox", { name: "Run on" }).selectOption({ label: "My hosts" });
    await page.getByRole("button", { name: "Run Quickstart" }).click();
    await page.getByRole("region", { name: /^Run run-/ }).getByText("passed").first().waitFor();
    await page.getByRole("tab", { name: "Handoffs" }).click();
    await page.getByRole("tabpanel").getByRole("row").nth(1).click();
    await page.getByRole("img", { name: /start to first packet/ }).waitFor();

    await page.getByRole("button", { name: "Open the report" }).click();
    await page.frameLocator("iframe[title=Report]").getByText("Simulated: nothing was measured.").waitFor();
    expect(await page.evaluate("window.__pwned")).toBeUndefined();
    await page.keyboard.press("Escape");

    await goTo(page, "terminal");
    await page.getByRole("button", { name: "New terminal" }).first().click();
    await page.getByRole("menuitem", { name: /one|home/ }).first().click();
    await page.locator(".xterm-rows").getByText("Welcome to the simulated lab").waitFor();
    await page.keyboard.type("hostname\n");
    await page.locator(".xterm-rows").getByText(/home|own-one/).first().waitFor();

    // The report's frame has a script, and its sandbox must refuse it; the browser tells so as an error.
    expect(errors.filter((error) => !/sandboxed|Blocked script/.test(error))).toEqual([]);
    expect(defects).toEqual([]);
    await close();
  });

  it("undoes a deploy, tells why one host failed, and leaves the others alone", async () => {
    const { page, errors, close } = await openWindow("empty,speed=12");
    await page.keyboard.press("Escape");
    await goTo(page, "fleet");
    await page.getByRole("button", { name: "Add hosts" }).first().click();
    await page.getByRole("dialog").getByRole("textbox").fill("a@fine\na@full\na@unreachable\na@changed");
    await page.getByRole("dialog").getByRole("button", { name: "Add 4 hosts" }).click();
    await page.locator("[data-test=host-changed]").getByText("key changed").waitFor();
    await page.locator("[data-test=host-unreachable]").getByText("failed").waitFor();

    const unknown = (host: string) => page.locator(`[data-test=host-${host}]`).getByRole("button", { name: "key not known" });
    await unknown("full").waitFor();
    await unknown("fine").click();
    for (const target of ["a@fine", "a@full"]) {
      const dialog = page.getByRole("dialog", { name: "Is this the right host?" });
      await dialog.getByText(target).waitFor();
      await dialog.getByRole("button", { name: "Accept and connect" }).click();
    }
    for (const host of ["fine", "full"]) await page.locator(`[data-test=host-${host}]`).getByText("connected").waitFor();
    await page.getByRole("button", { name: "Deploy all…" }).click();
    await page.getByRole("dialog").getByText("left out").first().waitFor();
    await page.getByRole("button", { name: "Deploy to 2 hosts" }).click();
    await page.getByRole("dialog").getByText("no space left on /var/tmp: 3 MB free").waitFor();
    await page.getByRole("dialog").getByText("failed", { exact: true }).first().waitFor();
    await page.keyboard.press("Escape");
    await page.locator("[data-test=host-fine]").getByText("up", { exact: true }).waitFor();

    await page.getByRole("button", { name: /^Undo/ }).click();
    await page.getByRole("dialog").getByRole("button", { name: /^Remove from/ }).click();
    await page.getByRole("dialog").getByText("done", { exact: true }).first().waitFor();
    await page.keyboard.press("Escape");
    await page.locator("[data-test=host-fine]").getByText("none").waitFor();
    expect(errors).toEqual([]);
    await close();
  });

  it("refuses a changed host key until the host's name is typed, showing both fingerprints", async () => {
    const { page, close } = await openWindow("empty,speed=12");
    await page.keyboard.press("Escape");
    await goTo(page, "fleet");
    await page.getByRole("button", { name: "Add hosts" }).first().click();
    await page.getByRole("dialog").getByRole("textbox").fill("a@changed");
    await page.getByRole("dialog").getByRole("button", { name: "Add 1 host" }).click();
    await page.getByRole("button", { name: "key changed" }).click();
    const dialog = page.getByRole("alertdialog");
    const offered = await dialog.locator("[data-test=offered]").textContent();
    const known = await dialog.locator("[data-test=known]").textContent();
    expect(offered).not.toBe(known);
    expect(await dialog.getByRole("button", { name: "Accept and connect" }).count()).toBe(0);
    const replace = dialog.getByRole("button", { name: "Replace the key" });
    expect(await replace.isDisabled()).toBe(true);
    await dialog.getByRole("textbox").fill("chang");
    expect(await replace.isDisabled()).toBe(true);
    await dialog.getByRole("textbox").fill("changed");
    await replace.click();
    await page.locator("[data-test=host-changed]").getByText("connected").waitFor();
    await close();
  });
});
