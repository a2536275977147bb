import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { describeHostKey, fingerprint, hostKeyFromBlob, type HostKey } from "../../src-main/ssh/host-key.ts";
import { hostNames, judgeHostKey, knownHostLine, knownKeyTypes, parseKnownHosts } from "../../src-main/ssh/known-hosts.ts";
import { keygen } from "../support/sshd.ts";

const why = spawnSync("ssh-keygen", ["-?"]).error ? "needs ssh-keygen" : undefined;

describe.skipIf(why)(`known_hosts against ssh-keygen${why ? ` (skipped: ${why})` : ""}`, () => {
  const directory = mkdtempSync(join(tmpdir(), "acl-known-"));
  const file = join(directory, "known_hosts");
  afterAll(() => rmSync(directory, { recursive: true }));
  const made = (name: string, type: string) => {
    keygen(join(directory, name), type);
    const text = readFileSync(join(directory, `${name}.pub`), "utf8").split(" ").slice(0, 2).join(" ");
    return { text, key: hostKeyFromBlob(Buffer.from(text.split(" ")[1] as string, "base64")), name };
  };
  const a = made("a", "ed25519");
  const b = made("b", "ed25519");
  const r = made("r", "rsa");
  const e = made("e", "ecdsa");
  const judge = (text: string, hostname: string, port: number, key: HostKey) => judgeHostKey(parseKnownHosts(text, file), hostNames(hostname, port), key).is;

  it("has the same fingerprints", () => {
    for (const { key, name } of [a, r, e]) {
      const [, print, , type] = execFileSync("ssh-keygen", ["-lf", join(directory, `${name}.pub`)], { encoding: "utf8" }).trim().split(" ");
      expect(fingerprint(key)).toBe(print);
      expect(describeHostKey(key)).toBe(`${type?.replace(/[()]/g, "")} ${print}`);
    }
  });

  const fields = ["alpha", "ALPHA", "*.example.org", "a?pha", "*,!beta", "!alpha,*", "[alpha]:2222", "[2001:db8::1]:2222", "2001:db8::1", "[*]:2222", "beta,alpha", "alpha.example.org", "*a*", "al"];
  const lookups: [string, number][] = [["alpha", 22], ["Alpha", 22], ["beta", 22], ["alpha", 2222], ["x.example.org", 22], ["alpha.example.org", 2222], ["2001:db8::1", 22], ["2001:db8::1", 2222]];
  it.each(fields)("matches the hosts field %s as OpenSSH does, plain and hashed", (field) => {
    const hashable = !/[*?!]/.test(field);
    for (const hashed of hashable ? [false, true] : [false]) {
      writeFileSync(file, `# a comment\n\n${field} ${a.text} a comment\n`);
      if (hashed) execFileSync("ssh-keygen", ["-H", "-f", file], { stdio: "ignore" });
      const text = readFileSync(file, "utf8");
      for (const [hostname, port] of lookups) {
        const name = hostNames(hostname, port).name;
        const found = spawnSync("ssh-keygen", ["-F", name, "-f", file]).status === 0;
        const ours = judgeHostKey(parseKnownHosts(text, file), { name }, a.key).is === "known";
        expect([field, hashed, name, ours]).toEqual([field, hashed, name, found]);
      }
    }
  });

  it("writes lines that ssh-keygen finds", () => {
    for (const hash of [false, true]) {
      writeFileSync(file, knownHostLine("[alpha]:2222", e.key, hash));
      expect(execFileSync("ssh-keygen", ["-F", "[alpha]:2222", "-f", file], { encoding: "utf8" })).toContain(e.text);
    }
  });

  it("says known, unknown, changed, revoked and authority only", () => {
    expect(judge(`alpha ${a.text}\n`, "alpha", 22, a.key)).toBe("known");
    expect(judge(`beta ${a.text}\n`, "alpha", 22, a.key)).toBe("unknown");
    expect(judge(`alpha ${b.text}\n`, "alpha", 22, a.key)).toBe("changed");
    expect(judge(`alpha ${r.text}\n`, "alpha", 22, a.key)).toBe("changed");
    expect(judge(`alpha ${b.text}\nalpha ${a.text}\n`, "alpha", 22, a.key)).toBe("known");
    expect(judge(`alpha ${a.text}\n@revoked * ${a.text}\n`, "alpha", 22, a.key)).toBe("revoked");
    expect(judge(`@cert-authority * ${b.text}\n`, "alpha", 22, a.key)).toBe("authorityOnly");
    expect(judge(`@cert-authority * ${a.text}\n`, "alpha", 22, a.key)).toBe("authorityOnly");
    expect(judge(`@unheard alpha ${a.text}\nalpha ssh-rsa ${a.text.split(" ")[1]}\nalpha ssh-ed25519 !!!\nalpha\n`, "alpha", 22, a.key)).toBe("unknown");
  });

  it("accepts on another port what is on file without one, but never against a key for that port", () => {
    expect(judge(`alpha ${a.text}\n`, "alpha", 2222, a.key)).toBe("known");
    expect(judge(`[alpha]:2222 ${b.text}\nalpha ${a.text}\n`, "alpha", 2222, a.key)).toBe("changed");
    expect(judge(`alpha ${b.text}\n`, "alpha", 2222, a.key)).toBe("unknown");
    expect(judge(`[alpha]:2222 ${a.text}\n@revoked alpha ${a.text}\n`, "alpha", 2222, a.key)).toBe("revoked");
  });

  it("tells the key types on file", () => {
    expect(knownKeyTypes(parseKnownHosts(`alpha ${a.text}\nalpha ${r.text}\nbeta ${e.text}\n`, file), hostNames("alpha", 22))).toEqual(["ssh-ed25519", "ssh-rsa"]);
  });
});
