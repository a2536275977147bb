import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { parseBpfObject } from "../../linux/bpfObject.ts";
import { counterNames, noticeNames } from "../counters.ts";

const path = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const committed = readFileSync(path("./mobility.bpf.o"));
const source = readFileSync(path("./mobility.bpf.c"), "utf8");
const clang = spawnSync("clang", ["--version"], { encoding: "utf8" });
/** The committed object comes from Debian 12's clang; another one may choose other instructions. */
const sameClang = /clang version 14\./.test(clang.stdout ?? "");
if (!sameClang) console.warn(`the tc programs are not rebuilt and compared: clang 14 is not installed (${clang.status === 0 ? clang.stdout.split("\n")[0] : "no clang"})`);

/** The names of an enum in the source, in order. */
function enumNames(name: string): string[] {
  const body = new RegExp(`enum ${name} \\{([^}]*)\\}`).exec(source)?.[1] ?? "";
  return body.split(",").map((entry) => entry.replace(/=.*/, "").trim()).filter(Boolean);
}

describe("the compiled tc programs", () => {
  it("name the maps that they use", () => {
    const programs = parseBpfObject(committed);
    expect(programs.map((program) => program.name).toSorted()).toEqual(["incoming", "outgoing", "returned"]);
    const maps = new Set(programs.flatMap((program) => program.mapReferences.map((reference) => reference.symbol)));
    expect([...maps].toSorted()).toEqual(["bindings", "clients", "counters", "homes", "limits", "locals", "members", "narrow", "settings", "tunnels"]);
  });

  it("are read only from what they are", () => {
    expect(() => parseBpfObject(Buffer.from("no object"))).toThrow("not a little-endian 64-bit ELF object");
    const other = Buffer.from(committed);
    other.writeUInt16LE(62, 18);
    expect(() => parseBpfObject(other)).toThrow("not a BPF object");
  });

  it("count and report in the order of the names that people read", () => {
    expect(enumNames("notice").map((name) => name.replace("NOTICE_", "").replace(/_/g, "").toLowerCase())).toEqual(noticeNames.map((name) => name.toLowerCase()));
    const known = enumNames("counter");
    expect(known.slice(0, 5).map((name) => name.toLowerCase().replace(/_/g, ""))).toEqual(["translatedout", "translatedin", "tunnelledout", "tunnelledin", "relayedon"]);
    expect(Object.fromEntries(known.map((name, i) => [name, counterNames[i]]))).toMatchObject({
      SIGNALLING: "signalling",
      TO_AGENT: "toAgent",
      DROP_UNBOUND: "home address option without binding",
      DROP_STRANGER: "tunnel from a stranger",
      DROP_REVERSE: "reverse tunnel from a stranger",
      DROP_NOT_REGISTERED: "reverse tunnel not from the registered care-of address",
      DROP_HOME_AGENT_ONLY: "reverse tunnel to a member that is not the contact",
      DROP_NOT_OURS: "type 2 routing header for an address that is not ours",
      DROP_PLAIN: "for a home address, but neither tunnelled nor with a routing header",
      DROP_HOPS: "hop limit exceeded",
      DROP_TOO_BIG: "too big for the tunnel",
      DROP_UNROUTABLE: "multicast or link-local destination from a home address",
      DROP_FAILED: "packet could not be changed",
      DROP_TOO_MANY: "ICMPv6 errors about translated packets, too many",
    });
  });

  it.skipIf(!sameClang)("are what the source compiles to", () => {
    const directory = mkdtempSync(join(tmpdir(), "alab-bpf-"));
    try {
      const output = join(directory, "mobility.bpf.o");
      execFileSync(process.execPath, [path("../../../scripts/build-bpf.mjs"), output]);
      const [ours, theirs] = [committed, readFileSync(output)].map((object) =>
        parseBpfObject(object).map(({ name, code, mapReferences }) => ({ name, code: code.toString("hex"), mapReferences })),
      );
      expect(ours).toEqual(theirs);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
