import { afterAll, describe, expect, it } from "vitest";
import { serve } from "../../src-main/shells/serve/serve.ts";
import { missingBrowser } from "./support/browser.ts";
import { builtWindow, missingWindow } from "./support/memory-lab.ts";
import { closeBrowser, goTo, openServedWindow, openWindow, shell } from "./support/window.ts";

const missing = missingBrowser() ?? missingWindow();
afterAll(closeBrowser);

describe.skipIf(missing)(`the window${missing ? ` (skipped: ${missing})` : ""}`, () => {
  it("is as it was after a reload, in the middle of a run and with a terminal open", async () => {
    const { page, errors, close } = await openWindow("ready,speed=1");
    await goTo(page, "terminal");
    await page.getByRole("button", { name: "New terminal" }).first().click();
    await page.getByRole("menuitem").first().click();
    await page.locator(".xterm-rows").getByText("Welcome").waitFor();
    await page.keyboard.type("ip -br a\n");
    await page.locator(".xterm-rows").getByText("2001:db8:1::10/64").waitFor();
    await goTo(page, "runs");
    await page.getByRole("button", { name: "Run Quickstart" }).click();
    await page.getByRole("region", { name: /^Run run-/ }).getByText("running").waitFor();
    await page.reload();
    await page.getByRole("region", { name: /^Run run-/ }).getByText("running").waitFor();
    await page.getByRole("button", { name: "Stop", exact: true }).click();
    await page.getByRole("region", { name: /^Run run-/ }).getByText("stopped").first().waitFor();
    await goTo(page, "terminal");
    await page.locator(".xterm-rows").getByText("2001:db8:1::10/64").waitFor();
    expect(errors).toEqual([]);
    await close();
  });

  it.skipIf(shell === "electron")("says that the connection broke, comes back by itself, and asks for the state anew", async () => {
    const { page, lab, close } = await openServedWindow("ready,handoffsPerMinute=0");
    await page.getByRole("button", { name: /^Host nyc/ }).waitFor();
    lab.disconnectAll();
    await page.getByText("The connection to the manager broke").waitFor();
    await page.getByText("Connected", { exact: true }).waitFor();
    await page.keyboard.press("Control+k");
    await page.keyboard.type("capture packet headers");
    await page.keyboard.press("Enter");
    await page.locator("[data-test=recording]").waitFor();
    expect(await page.getByRole("status").getByText("broke").count()).toBe(0);
    await close();
  });

  it.skipIf(shell === "electron")("is told when its pass is no longer valid, instead of trying for ever", async () => {
    const { page, lab, close } = await openServedWindow("ready");
    const { port } = lab;
    await lab.close();
    await page.getByText("The connection to the manager broke").waitFor();
    const anew = await serve({ backend: lab.backend, window: builtWindow, port });
    await page.getByText("This window is not let in").waitFor();
    expect(await page.getByRole("alert").textContent()).toContain("Open the link that it printed");
    await page.goto(anew.newLink());
    await page.getByText("Connected").waitFor();
    await anew.close();
    await close();
  });

  it("keeps a flooding terminal responsive, and offers a new shell when one is lost", async () => {
    const { page, errors, close } = await openWindow("ready");
    await goTo(page, "terminal");
    await page.getByRole("button", { name: "New terminal" }).first().click();
    await page.getByRole("menuitem").first().click();
    await page.locator(".xterm-rows").getByText("Welcome").waitFor();
    await page.keyboard.type("flood\n");
    await page.waitForTimeout(1500);
    await page.keyboard.press("Control+c");
    await page.locator(".xterm-rows").getByText("^C").waitFor();
    await page.keyboard.type("stty size\n");
    await expect.poll(() => page.locator(".xterm-rows").textContent()).toMatch(/24 (?!80\b)\d{2,3}/);
    await page.keyboard.type("drop\n");
    await page.getByText("keepalive not answered").waitFor();
    await page.getByRole("button", { name: "Connect again" }).click();
    await page.locator(".xterm-rows").getByText("Welcome").waitFor();
    expect(errors).toEqual([]);
    await close();
  });

  it("tells of calls that fail what was wrong and what to do", async () => {
    const { page, close } = await openWindow("refusing");
    await page.getByRole("alert").getByText("no space left on device").first().waitFor();
    await page.getByText("Free some space and try again.").first().waitFor();
    await page.getByRole("button", { name: "Try again" }).click();
    expect(await page.getByText("disk-full").count()).toBe(1);
    await close();
  });
});
