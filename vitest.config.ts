import { defineConfig } from "vitest/config";

/**
 * Three projects, by what they need: `unit` runs anywhere; `net` wants Linux, namespaces and real packets, so its files run one at a time;
 * `long` is what `npm run test:long` adds. Timings are never asserted.
 */
export default defineConfig({
  test: {
    testTimeout: 20_000,
    projects: [
      { test: { name: "unit", include: ["src-*/**/*.spec.ts", "test/*.spec.ts", "test/scenario/**/*.spec.ts"] } },
      { test: { name: "net", include: ["test/net/**/*.spec.ts"], fileParallelism: false, testTimeout: 120_000, hookTimeout: 120_000 } },
      { test: { name: "long", include: ["test/long/**/*.spec.ts"], fileParallelism: false, testTimeout: 1_200_000, hookTimeout: 120_000 } },
    ],
  },
});
