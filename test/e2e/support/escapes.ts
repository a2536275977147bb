import type { Page } from "playwright-core";

/** What a page in a window of the Electron shell can do that it must not: nothing, each finding one line. Tries all of it for real. */
export async function escapesOf({ page }: { readonly page: Page }): Promise<string[]> {
  const found: string[] = [];
  const is = async (what: string, script: string, wanted: unknown) => {
    const value = await page.evaluate(script).catch((error: unknown) => `threw ${String(error)}`);
    if (JSON.stringify(value) !== JSON.stringify(wanted)) found.push(`${what}: ${JSON.stringify(value)}`);
  };
  await is("the page has more than the bridge", "[Object.keys(window.anycastLab), Object.isFrozen(window.anycastLab), typeof require, typeof process, typeof standInSend, isSecureContext]", [["send", "receive"], true, "undefined", "undefined", "undefined", true]);
  await is("a call by an inherited name", "new Promise((done) => { window.anycastLab.receive((frame) => frame.id === 900001 && done(frame.error.code)); window.anycastLab.send({ id: 900001, call: '__proto__', args: {} }) })", "unknown-call");
  await is("an image from elsewhere", "new Promise((done) => { addEventListener('securitypolicyviolation', (event) => done(event.effectiveDirective), { once: true }); const image = new Image(); image.onload = image.onerror = () => setTimeout(() => done('not by policy'), 200); image.src = 'https://example.com/x.png' })", "img-src");
  await is("an inline script", "new Promise((done) => { addEventListener('securitypolicyviolation', (event) => done(event.effectiveDirective), { once: true }); const script = document.createElement('script'); script.textContent = 'window.__pwned = 1'; document.head.append(script); setTimeout(() => done(String(window.__pwned)), 3000) })", "script-src-elem");
  // In a task of its own: what a debugger evaluates is excepted from the policy.
  await is("text that becomes script", "new Promise((done) => setTimeout(() => { try { done(new Function('return 1')()) } catch (error) { done(error.name) } }))", "EvalError");
  await is("a request elsewhere", "fetch('https://example.com/').then(() => 'answered', (error) => error.name)", "TypeError");
  await is("a file outside of the window", "fetch('/../../package.json').then((response) => response.status)", 404);
  const before = page.url();
  for (const url of ["https://example.com/", "file:///etc/passwd", "http://other.app.localhost/", "http://lab.evil.app.localhost/"]) {
    await page.evaluate(`location.href = ${JSON.stringify(url)}`).catch(() => undefined);
    await page.waitForTimeout(400);
    if (page.url() !== before) {
      found.push(`it went to ${url}`);
      await page.goto(before).catch(() => undefined);
    }
  }
  await is("a frame from elsewhere", "new Promise((done) => { const frame = document.createElement('iframe'); addEventListener('securitypolicyviolation', (event) => done(event.effectiveDirective), { once: true }); frame.src = 'https://example.com/'; document.body.append(frame); setTimeout(() => (frame.remove(), done('loaded')), 3000) })", "frame-src");
  return found;
}
