import { defineConfig } from "vitest/config";

/** The window in a real browser; one file at a time, since each starts a Chromium. */
export default defineConfig({
  test: { name: "e2e", root: import.meta.dirname, include: ["**/*.spec.ts"], fileParallelism: false, testTimeout: 120_000, hookTimeout: 60_000 },
});
