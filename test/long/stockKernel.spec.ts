import { describe, expect, it } from "vitest";
import { cannotRunStockKernel, runUnderStockKernel } from "../support/stockKernel.ts";

const unable = cannotRunStockKernel();
if (unable) console.warn(`specs under a stock Debian kernel: skipped, ${unable}`);

/**
 * Specs that skip what this machine's kernel cannot do: run where it can. `least`: how many tests that is. `retries`: where agents give up on each other after
 * seconds that an emulated machine on a busy processor may need.
 */
const all: readonly { readonly spec: string; readonly only: string; readonly least: number; readonly retries?: number }[] = [
  { spec: "test/net/kernelPlane.spec.ts", only: "", least: 18 },
  { spec: "test/net/handoff.spec.ts", only: "kernel", least: 4, retries: 2 },
  { spec: "test/net/dataplane.spec.ts", only: "data plane kernel", least: 34 },
  { spec: "test/net/dataplaneHost.spec.ts", only: "data plane kernel|the kernel.s own", least: 29 },
];

interface Report {
  readonly testResults: readonly { readonly message: string; readonly assertionResults: readonly { readonly fullName: string; readonly status: string; readonly failureMessages?: readonly string[] }[] }[];
}

describe.skipIf(unable)("a stock Debian kernel, which does Mobile IPv6 itself", () => {
  it.each(all)("passes $spec $only", async ({ spec, only, least, retries = 0 }) => {
    const vitest = `'${process.execPath}' node_modules/vitest/vitest.mjs run --project net --project long --retry=${retries} --reporter=json --outputFile=/run/report.json ${spec} -t '${only}'`;
    const { code, output } = await runUnderStockKernel(`${vitest} >/dev/null; echo; echo "report $(cat /run/report.json)"`, { environment: { EMULATED: "1", NODE_COMPILE_CACHE: "/run/compiled" }, limitMs: 2_300_000 });
    const line = output.split("\n").find((text) => text.startsWith("report "));
    expect(line && code, output.slice(-4000)).toBe(0);
    const { testResults } = JSON.parse((line as string).slice("report ".length)) as Report;
    const results = testResults.flatMap(({ assertionResults }) => assertionResults).filter(({ status }) => status !== "skipped" && status !== "pending");
    expect(testResults.map(({ message }) => message).join("")).toBe("");
    expect(results.filter(({ status }) => status !== "passed").map(({ fullName, failureMessages }) => `${fullName}: ${failureMessages?.join("\n")}`)).toEqual([]);
    expect(results.length).toBeGreaterThanOrEqual(least);
  });
});
