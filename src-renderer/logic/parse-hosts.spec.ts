import { describe, expect, it } from "vitest";
import { parseHosts } from "./parse-hosts.ts";

describe("pasted hosts", () => {
  it.each([
    ["lab@ams.example.net", "lab@ams.example.net", "ams"],
    ["ams", "ams", "ams"],
    ["root@10.0.0.7:2222", "root@10.0.0.7:2222", "10.0.0.7"],
    ["root@[2001:db8::1]:22", "root@[2001:db8::1]:22", "2001:db8::1"],
    ["[fe80::1%eth0]", "[fe80::1%eth0]", "fe80::1%eth0"],
    ["2001:db8::1", "[2001:db8::1]", "2001:db8::1"],
    ["ssh lab@nyc  # the fast one", "lab@nyc", "nyc"],
    ["lab@x.example as tokyo", "lab@x.example", "tokyo"],
  ])("%s", (line, target, name) => expect(parseHosts(line)).toEqual([{ number: 1, target, name }]));

  it.each(["lab@", "@host", "a b", "host:99999", "host:0", "-oProxyCommand=x", "lab@-oProxyCommand=x", "a@$(reboot)", "[nothex]", "x".repeat(301), "host:port"])("says what is wrong with %j", (line) => {
    expect(parseHosts(line)).toEqual([{ number: 1, text: line, problem: expect.any(String) }]);
  });

  it("leaves empty lines and comments out, counts lines, and makes names differ", () => {
    expect(parseHosts("# mine\n\nlab@a.one\r\nlab@a.two\n", ["a"])).toEqual([
      { number: 3, target: "lab@a.one", name: "a-2" },
      { number: 4, target: "lab@a.two", name: "a-3" },
    ]);
  });
});
