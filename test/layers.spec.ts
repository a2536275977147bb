import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { describe, expect, it } from "vitest";

/** Who may import whom (docs/architecture.md). The first rule whose `from` fits a file decides; `may` are the only project paths it may import. */
interface Rule {
  readonly from: RegExp;
  readonly may: readonly RegExp[];
  readonly why: string;
}

const pure = [/^src-shared\/(bytes|net)\//, /^src-shared\/protocol\/wire\//];
const rules: readonly Rule[] = [
  { from: /^src-shared\/(bytes|net)\//, may: [/^src-shared\/(bytes|net)\//], why: "bytes and net stand alone" },
  { from: /^src-shared\/pcapng\//, may: [/^src-shared\/pcapng\//], why: "a file format: bytes only, written by the agent and read by the manager" },
  { from: /^src-shared\/drawing\//, may: [/^src-shared\/drawing\//], why: "where things of a drawing lie, for the window and the report alike: numbers only" },
  { from: /^src-shared\/protocol\/wire\//, may: pure, why: "codecs know bytes and addresses only" },
  { from: /^src-shared\/(protocol\/core|predict|stats|sim)\//, may: [...pure, /^src-shared\/(protocol\/core|predict|stats|sim)\//], why: "the core runs on real hosts and on the virtual network alike: no I/O, no api" },
  { from: /^src-shared\/api\//, may: [/^src-shared\/(api|protocol|net)\//], why: "the contract knows only types of the protocol" },
  { from: /^src-agent\/linux\//, may: [/^src-agent\/linux\//, /^src-shared\//], why: "system calls know nothing of the agent" },
  {
    from: /^src-agent\/(engine|agentError|answers|peerErrors|roles|drops|membership|groupRuntime|clientActivity|datagramClients|ports|forgivingPlane)\.ts$|^src-agent\/(members|homeAgent)\//,
    may: [/^src-shared\//, /^src-agent\/(agentError|answers|messageTeller|incoming|peerErrors|roles|drops|membership|groupRuntime|clientActivity|datagramClients|ports|forgivingPlane)\.ts$/, /^src-agent\/((members|homeAgent)\/|metrics\/agentMetrics\.ts$)/],
    why: "the loop talks to ports; only main.ts composes linux/ and the data planes",
  },
  { from: /^src-agent\//, may: [/^src-agent\//, /^src-shared\//], why: "the agent knows neither manager nor services" },
  { from: /^src-adapter\//, may: [/^src-adapter\//, /^src-agent\/linux\//, /^src-shared\//], why: "services know only system calls and the shared contract" },
  { from: /^src-main\//, may: [/^src-main\//, /^src-shared\//], why: "manager and agent meet only through src-shared/api" },
  { from: /^src-renderer\//, may: [/^src-renderer\//, /^src-shared\/(api|drawing|net|predict|stats|protocol\/wire)\//], why: "the window sees the api, statistics and wire descriptions" },
];

/** npm packages and built-in modules with one place where they may be used. */
const confined: readonly { readonly module: RegExp; readonly only: RegExp; readonly why: string }[] = [
  { module: /^ssh2$/, only: /^src-main\/ssh\//, why: "src-main/ssh is the only user of ssh2" },
  { module: /^koffi$/, only: /^src-agent\/|^src-adapter\//, why: "system calls belong to the agent" },
  { module: /^(electron|ws|(node:)?https?)$/, only: /^src-main\/shells\/|^src-adapter\/|^src-agent\/metrics\//, why: "the manager core knows no shell" },
  { module: /^(node:|@?[a-z])/, only: /^(?!src-shared\/(bytes|net|predict|stats|sim)\/)/, why: "pure folders use no library and no I/O" },
];

const root = resolve(import.meta.dirname, "..");
const sources = ["src-shared", "src-agent", "src-adapter", "src-main", "src-renderer"].flatMap((top) => {
  try {
    return readdirSync(join(root, top), { recursive: true, encoding: "utf8" })
      .filter((file) => /\.(ts|vue)$/.test(file) && !/\.spec\.ts$|\.d\.ts$/.test(file))
      .map((file) => join(top, file));
  } catch {
    return [];
  }
});

function importsOf(file: string): string[] {
  const text = readFileSync(join(root, file), "utf8");
  const found = [...text.matchAll(/(?:^|\n)\s*(?:import|export)\b[^;"']*?from\s*["']([^"']+)["']|import\(\s*["']([^"']+)["']\s*\)|(?:^|\n)\s*import\s*["']([^"']+)["']/g)];
  return found.map((match) => (match[1] ?? match[2] ?? match[3]) as string);
}

/** What is wrong with one import, or null. */
export function complaint(file: string, specifier: string): string | null {
  if (!specifier.startsWith(".")) {
    const rule = confined.find((c) => c.module.test(specifier) && !c.only.test(file));
    return rule ? `${file} imports ${specifier}: ${rule.why}` : null;
  }
  const target = relative(root, resolve(root, dirname(file), specifier));
  const rule = rules.find((r) => r.from.test(file));
  if (!rule) return `${file} is in no layer: add it to test/layers.spec.ts and docs/architecture.md`;
  return rule.may.some((m) => m.test(target)) ? null : `${file} imports ${target}: ${rule.why}`;
}

describe("layers", () => {
  it("finds the sources", () => {
    expect(sources.length).toBeGreaterThan(20);
  });

  it("lets every file import only what its layer may", () => {
    const complaints = sources.flatMap((file) => importsOf(file).map((specifier) => complaint(file, specifier)).filter((c) => c !== null));
    expect(complaints).toEqual([]);
  });

  it("complains about imports that break a rule", () => {
    expect(complaint("src-shared/protocol/core/group/group.ts", "../../../api/events.ts")).toMatch(/no I\/O, no api/);
    expect(complaint("src-agent/engine.ts", "./linux/libc.ts")).toMatch(/only main.ts composes/);
    expect(complaint("src-main/services/fleet.ts", "../../src-agent/main.ts")).toMatch(/only through src-shared\/api/);
    expect(complaint("src-main/services/fleet.ts", "ssh2")).toMatch(/only user of ssh2/);
    expect(complaint("src-shared/net/address.ts", "node:fs")).toMatch(/no I\/O/);
  });
});
