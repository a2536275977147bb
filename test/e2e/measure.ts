import { cpus } from "node:os";
import type { Page } from "playwright-core";
import { launchBrowser } from "./support/browser.ts";
import { serveMemoryLab } from "./support/memory-lab.ts";

/**
 * Figures of the window in a real browser: `node test/e2e/measure.ts [seconds]` prints them as JSON. Nothing is judged here.
 *  - coldStart: from asking for the link to the map being drawn and answering, ms, median of 5 fresh browser profiles
 *  - firehose: 2 000 agent events a second for `seconds` (default 600) on the screen that shows them
 *  - bigMap: 100 hosts and 500 clients, while it is dragged and zoomed
 */
const seconds = Number(process.argv[2] ?? 600);

const observe = `
  window.__long = [];
  new PerformanceObserver((list) => { for (const entry of list.getEntries()) window.__long.push(entry.duration); }).observe({ type: "longtask", buffered: true });
  window.__late = [];
  (() => {
    let asked = performance.now();
    const channel = new MessageChannel();
    channel.port1.onmessage = () => { window.__late.push(performance.now() - asked); setTimeout(ask, 20); };
    const ask = () => { asked = performance.now(); channel.port2.postMessage(0); };
    ask();
  })();
`;

const quantile = (values: readonly number[], q: number) => {
  const sorted = [...values].sort((a, b) => a - b);
  return Math.round((sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0) * 10) / 10;
};

async function tasks(page: Page) {
  const [long, late] = (await page.evaluate("[window.__long, window.__late]")) as [number[], number[]];
  return { longTasks: long.length, longTasksOver100ms: long.filter((ms) => ms > 100).length, longestTaskMs: Math.round(Math.max(0, ...long)), turnDelayMs: { p50: quantile(late, 0.5), p99: quantile(late, 0.99), max: quantile(late, 1) } };
}

async function heapMegabytes(page: Page): Promise<number> {
  await page.evaluate("window.gc?.()");
  const bytes = (await page.evaluate("performance.memory.usedJSHeapSize")) as number;
  return Math.round(bytes / 1e5) / 10;
}

async function coldStart(): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < 5; i++) {
    const lab = await serveMemoryLab("ready");
    const browser = await launchBrowser();
    const page = await browser.newPage();
    const startedAt = performance.now();
    await page.goto(lab.newLink());
    await page.getByRole("button", { name: /^Host nyc/ }).waitFor();
    times.push(Math.round(performance.now() - startedAt));
    await browser.close();
    await lab.close();
  }
  return times;
}

async function firehose() {
  const lab = await serveMemoryLab("firehose");
  const browser = await launchBrowser();
  const page = await browser.newPage({ viewport: { width: 1360, height: 840 } });
  await page.addInitScript(observe);
  await page.goto(lab.newLink());
  await page.waitForURL((url) => url.pathname === "/");
  await page.evaluate("location.hash = '/live'");
  await page.getByRole("button", { name: /^Events/ }).click();
  await page.waitForTimeout(5000);
  await page.evaluate("window.__long = []; window.__late = []");
  const before = Number(await page.locator("[data-test=event-count]").textContent());
  const startedAt = performance.now();
  const heap: number[] = [await heapMegabytes(page)];
  for (let part = 0; part < 6; part++) {
    await page.waitForTimeout((seconds * 1000) / 6);
    heap.push(await heapMegabytes(page));
  }
  const shown = Number(await page.locator("[data-test=event-count]").textContent()) - before;
  const result = { seconds: Math.round((performance.now() - startedAt) / 1000), eventsPerSecond: Math.round(shown / ((performance.now() - startedAt) / 1000)), leftOut: (await page.locator("[data-test=lost]").count()) ? await page.locator("[data-test=lost]").textContent() : 0, heapMegabytes: heap, ...(await tasks(page)) };
  await browser.close();
  await lab.close();
  return result;
}

async function bigMap() {
  const lab = await serveMemoryLab("big");
  const browser = await launchBrowser();
  const page = await browser.newPage({ viewport: { width: 1360, height: 840 } });
  await page.addInitScript(observe);
  await page.goto(lab.newLink());
  await page.getByRole("button", { name: /^Host nyc,/ }).waitFor();
  await page.waitForTimeout(2000);
  await page.evaluate("window.__long = []; window.__late = []; window.__frames = []; (() => { let last = performance.now(); const frame = (now) => { window.__frames.push(now - last); last = now; requestAnimationFrame(frame); }; requestAnimationFrame(frame); })()");
  await page.mouse.move(640, 760);
  await page.mouse.down();
  for (let i = 0; i < 120; i++) await page.mouse.move(640 + 200 * Math.sin(i / 10), 700 + 60 * Math.cos(i / 10));
  await page.mouse.up();
  for (let i = 0; i < 60; i++) await page.mouse.wheel(0, i < 30 ? -60 : 60);
  await page.waitForTimeout(3000);
  const frames = (await page.evaluate("window.__frames")) as number[];
  const result = { elements: await page.evaluate("document.querySelectorAll('*').length"), frameMs: { p50: quantile(frames, 0.5), p95: quantile(frames, 0.95), p99: quantile(frames, 0.99) }, heapMegabytes: await heapMegabytes(page), ...(await tasks(page)) };
  await browser.close();
  await lab.close();
  return result;
}

const starts = await coldStart();
const report = { machine: { cores: cpus().length, model: cpus()[0]?.model }, coldStartMs: { median: quantile(starts, 0.5), all: starts }, bigMap: await bigMap(), firehose: await firehose() };
process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
