import { execFileSync } from "node:child_process";
import { afterEach, beforeAll, expect, it } from "vitest";
import { parseAddress } from "../../src-shared/net/address.ts";
import type { MemberMessage } from "../../src-shared/protocol/core/group/memberMessage.ts";
import { keepWindow } from "../linux/keepWindow.ts";
import { groupAuthority, type Identity, type Issue } from "../../test/support/groupAuthority.ts";
import { MemberLinks, type MemberLinkOptions } from "./links.ts";

const loopback = parseAddress("::1");
const port = 20_000 + (process.pid % 10_000);
const open: MemberLinks[] = [];
let issue: Issue;
let strangers: Issue;

beforeAll(async () => {
  issue = await groupAuthority();
  strangers = await groupAuthority();
});
afterEach(() => {
  for (const links of open.splice(0)) links.close();
});

/** Two ends on loopback; resolves with what happened until `a` was up, or after half a second. */
async function pair(a: Identity, b: Identity): Promise<{ a: MemberLinks; b: MemberLinks; up: string[]; received: [string, MemberMessage][] }> {
  const up: string[] = [];
  const received: [string, MemberMessage][] = [];
  const members = [
    { name: "a", address: loopback, port },
    { name: "b", address: loopback, port: port + 1 },
  ];
  const start = async (name: string, identity: Identity): Promise<MemberLinks> => {
    const options: MemberLinkOptions = {
      group: "g",
      self: members.find((m) => m.name === name) as (typeof members)[number],
      members,
      ...identity,
      onMessage: (from, message) => received.push([from, message]),
      onUp: (member) => up.push(`${name}->${member}`),
      onDown: () => {},
      keepWindow,
      drop: () => {},
    };
    const links = new MemberLinks(options);
    open.push(links);
    await links.listen();
    return links;
  };
  const linksB = await start("b", b);
  const linksA = await start("a", a);
  const until = performance.now() + 800;
  while (up.length < 2 && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 10));
  return { a: linksA, b: linksB, up, received };
}

it("carries messages both ways between members of one group", async () => {
  const { a, b, up, received } = await pair(await issue("g", "a"), await issue("g", "b"));
  expect(up.toSorted()).toEqual(["a->b", "b->a"]);
  const message: MemberMessage = { kind: "activity", client: parseAddress("2001:db8::1"), active: true };
  expect(a.send("b", message)).toBe(true);
  expect(b.send("a", message)).toBe(true);
  expect(a.send("nobody", message)).toBe(false);
  while (received.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(received.toSorted()).toEqual([
    ["a", message],
    ["b", message],
  ]);
});

it("keeps the congestion window of its connections, whatever this host's default is", async () => {
  await pair(await issue("g", "a"), await issue("g", "b"));
  const both = execFileSync("ss", ["-tinH", "state", "established", `( sport = :${port} or dport = :${port} or sport = :${port + 1} or dport = :${port + 1} )`], { encoding: "utf8" });
  expect(both.match(/^\s+reno /gm)).toHaveLength(2);
});

it.each([
  ["another authority", async () => strangers("g", "a")],
  ["another group", async () => issue("other", "a")],
  ["another member's name", async () => issue("g", "c")],
])("refuses a certificate of %s", async (_, impostor) => {
  const identity = { ...(await impostor()), authority: (await issue("g", "b")).authority };
  const { up, b } = await pair(identity, await issue("g", "b"));
  expect(up.filter((u) => u.startsWith("b"))).toEqual([]);
  expect(b.isUp("a")).toBe(false);
});
