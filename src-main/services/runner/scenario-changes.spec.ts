import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { changeScenario } from "./scenario-changes.ts";
import { parseScenario } from "./scenario-file.ts";

const path = resolve(import.meta.dirname, "../../../assets/scenarios/quickstart.yaml");
const text = readFileSync(path, "utf8");

describe("changes to a scenario for one run", () => {
  it("scale every size and nothing else", () => {
    const before = parseScenario(path, text).scenario;
    const after = parseScenario(path, changeScenario(text, { bytes: 0.1 })).scenario;
    expect(after.group.services[0]).toMatchObject({ files: [{ path: "/film.bin", bytes: 24_000_000 }, { path: "/clip.bin", bytes: 20_000_000 }] });
    expect(after.workloads.find((w) => w.name === "backup")).toMatchObject({ bytes: 6_000_000 });
    const withoutSizes = (value: unknown) => JSON.stringify(value).replaceAll(/"bytes":\d+/g, "");
    expect(withoutSizes(after)).toBe(withoutSizes(before));
  });

  it("slow echoes down", () => {
    expect(parseScenario(path, changeScenario(text, { period: "50 ms" })).scenario.workloads.find((w) => w.name === "chat")).toMatchObject({ period: 50 });
  });

  it("put it on another lab, and keep what the file says of itself", () => {
    const changed = changeScenario(text, { lab: "vm-quickstart" });
    expect(parseScenario(path, changed).scenario.lab).toBe("vm-quickstart");
    expect(changed).toContain("# The main job in a minute");
  });

  it("leave a file alone that nobody changes, or that has mistakes", () => {
    expect(changeScenario(text, {})).toBe(text);
    expect(changeScenario("a: [", { lab: "x" })).toBe("a: [");
  });
});
