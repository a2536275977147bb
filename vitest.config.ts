import { defineConfig } from "vitest/config";

/** Specs on real packets that take a minute or more each: they run with the long ones. */
const slow = ["dataplaneHost", "cli", "labLife", "app-fleet", "hostile"].map((name) => `test/net/${name}.spec.ts`);
/** In an emulated machine (test/long/stockKernel.spec.ts) everything takes ten times as long. */
const patience = process.env["EMULATED"] ? 10 : 1;
const expect = { poll: { timeout: 1000 * patience } };
/** What continuous integration has time for: a whole run, a whole tour, hosts in a virtual machine. */
const sample = Boolean(process.env["LONG_SAMPLE"]);
const sampled = ["quickstart", "tour", "vm"].map((name) => `test/long/${name}.spec.ts`);

/**
 * Three projects, by what they need: `unit` runs anywhere; `net` wants Linux, namespaces and real packets, so its files run one at a time;
 * `long` is what `npm run test:long` adds. Timings are never asserted.
 */
export default defineConfig({
  test: {
    testTimeout: 20_000,
    projects: [
      { test: { name: "unit", include: ["src-*/**/*.spec.ts", "test/*.spec.ts", "test/scenario/**/*.spec.ts"] } },
      { test: { name: "net", include: ["test/net/**/*.spec.ts"], exclude: slow, fileParallelism: false, expect, testTimeout: 120_000 * patience, hookTimeout: 120_000 * patience } },
      { test: { name: "long", include: sample ? sampled : ["test/long/**/*.spec.ts", ...slow], fileParallelism: false, expect, testTimeout: 2_400_000, hookTimeout: 120_000 * patience } },
    ],
  },
});
