import { homedir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Problem } from "../../problem.ts";
import { parseFleet } from "./fleetFile.ts";

const file = "/somewhere/fleet.yaml";
const issuesOf = (text: string): string[] => {
  try {
    parseFleet(text, file);
    return [];
  } catch (error) {
    expect(error).toBeInstanceOf(Problem);
    expect(error).toMatchObject({ code: "fleet.invalid", exitCode: 2 });
    return (error as Problem).details["issues"] ? ((error as Problem).details["issues"] as { line: number; path: string }[]).map((i) => `${i.line} ${i.path}`) : [];
  }
};

describe("the fleet file", () => {
  it("fills in defaults and makes paths absolute, from its own folder", () => {
    const fleet = parseFleet("name: f\nsshConfig: cfg\ndefaults: { identityFile: keys/a, user: u }\nhosts:\n  a:\n  b: { ssh: 'x@[2001:db8::1]:22', identityFile: ~/k, address: '2001:DB8::0:1', roles: [member] }\n", file);
    expect(fleet.sshConfig).toBe("/somewhere/cfg");
    expect(fleet.defaults.identityFile).toBe("/somewhere/keys/a");
    expect(fleet.hosts["a"]).toMatchObject({ site: "fleet", roles: [] });
    expect(fleet.hosts["b"]).toMatchObject({ identityFile: join(homedir(), "k"), address: "2001:db8::1", roles: ["member"] });
  });

  it.each([
    ["name: f\nhosts: {}\n", ["2 hosts"]],
    ["name: f\nhosts:\n  Bad: {}\n", ["3 hosts.Bad"]],
    ["name: f\nhosts:\n  a:\n    port: 0\n    sudo: maybe\n", ["4 hosts.a.port", "5 hosts.a.sudo"]],
    ["name: f\nhosts:\n  a: { address: 10.0.0.1 }\n", ["3 hosts.a.address"]],
    ["name: f\nhosts:\n  a: {}\nhome: { prefix: '2001:db8::/64', host: b }\n", ["4 home.host"]],
    ["name: f\nhosts:\n  a: {}\n  a: {}\n", ["4 "]],
    ["hosts: [a]\n", ["1 name", "1 hosts"]],
    ["name: f\nhosts:\n  a: {}\nextra: 1\n", ["4 extra"]],
  ])("says where %j is wrong", (text, expected) => {
    expect(issuesOf(text)).toEqual(expected);
  });
});
