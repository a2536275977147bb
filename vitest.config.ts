import { defineConfig } from "vitest/config";

/** Specs on real packets that take a minute or more each: they run with the long ones. */
const slow = ["dataplaneHost", "cli", "labLife", "app-fleet"].map((name) => `test/net/${name}.spec.ts`);
/** What continuous integration has time for. */
const sample = Boolean(process.env["LONG_SAMPLE"]);

/**
 * Three projects, by what they need: `unit` runs anywhere; `net` wants Linux, namespaces and real packets, so its files run one at a time;
 * `long` is what `npm run test:long` adds. Timings are never asserted.
 */
export default defineConfig({
  test: {
    testTimeout: 20_000,
    // What is awaited comes at once on an idle machine, later on a busy one, and much later in an emulated one.
    expect: { poll: { timeout: process.env["EMULATED"] ? 20_000 : 2000 } },
    projects: [
      { test: { name: "unit", include: ["src-*/**/*.spec.ts", "test/*.spec.ts", "test/scenario/**/*.spec.ts"] } },
      { test: { name: "net", include: ["test/net/**/*.spec.ts"], exclude: slow, fileParallelism: false, testTimeout: 120_000, hookTimeout: 120_000 } },
      { test: { name: "long", include: ["test/long/**/*.spec.ts", ...(sample ? [] : slow)], fileParallelism: false, testTimeout: 1_200_000, hookTimeout: 120_000 } },
    ],
  },
});
