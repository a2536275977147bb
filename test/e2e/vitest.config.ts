import { defineConfig } from "vitest/config";

const electron = process.env["E2E_SHELL"] === "electron";
/** Whole tours, and what takes long: `npm run test:long`. */
const long = ["tour", "sleep", "planted"].map((name) => `${name}.spec.ts`);
/** Continuous integration has time for one of them. */
const sample = process.env["LONG_SAMPLE"] ? ["tour.spec.ts"] : null;
/** What is the same on every shell, or of one shell alone. */
const served = ["accessibility", "package", "real-lab"].map((name) => `${name}.spec.ts`);
const electronic = ["electron", "real-electron", "planted"].map((name) => `${name}.spec.ts`);

/** The window in a real browser, each file in a Chromium of its own; E2E_SHELL says on which shell, E2E_LONG=1 that it may take long. `npm test` runs both shells. */
export default defineConfig({
  test: {
    name: electron ? "electron" : "serve",
    root: import.meta.dirname,
    include: process.env["E2E_LONG"] ? (sample ?? [...long, "accessibility.spec.ts"]) : ["*.spec.ts"],
    exclude: [...(process.env["E2E_LONG"] ? [] : long), ...(electron ? served : electronic)],
    globalSetup: ["support/build-shells.ts"],
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
