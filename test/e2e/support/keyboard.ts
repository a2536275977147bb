import type { Page } from "playwright-core";

/** What has the keyboard's focus, as a screen reader would name it. */
export const focusOf = (page: Page): Promise<string> => page.evaluate("document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent?.trim() ?? ''");

/** Presses a key until what has focus answers to `name`; fails when it never does. */
export async function tabTo(page: Page, name: RegExp, key = "Tab"): Promise<void> {
  for (let i = 0; i < 80; i++) {
    if (name.test(await focusOf(page))) return;
    await page.keyboard.press(key);
  }
  throw new Error(`${key} never reaches ${name}; it is on "${await focusOf(page)}"`);
}
