import { expect, it } from "vitest";
import { parseAddress, type Address } from "../../src-shared/net/address.ts";
import type { GroupView } from "../../src-shared/protocol/core/group/effects.ts";
import { MemberRole } from "../../src-shared/sim/memberRole.ts";
import { VirtualNetwork } from "../../src-shared/sim/network.ts";
import { serveCorrespondent } from "../../src-shared/sim/roles.ts";

const X = parseAddress("2001:db8:f::1");
const H = parseAddress("2001:db8:f::ff");
const C = parseAddress("2001:db8:c::10");
const members = new Map<string, Address>([["K", parseAddress("2001:db8:1::1")], ["A", parseAddress("2001:db8:2::1")]]);

/** A group whose client takes this long for its answers to X by way of the home agent. */
function world(homePathMs: number) {
  const network = new VirtualNetwork("slow");
  const h = network.node("H", { address: H, attracts: [X] });
  const c = network.node("C", { address: C });
  for (const pair of ["KH", "AH", "KA"]) network.link(pair.charAt(0), pair.charAt(1), { latencyMs: 5 });
  network.link("H", "C", { latencyMs: homePathMs / 2 });
  for (const name of members.keys()) network.link(name, "C", { latencyMs: 40 });
  const correspondent = serveCorrespondent(c);
  const roles = new Map([...members].map(([name, address]) => {
    const view: GroupView = { id: "g", home: X, homeAgent: H, self: name, contact: "K", members, lifetimeSeconds: 420 };
    return [name, new MemberRole(network.node(name, { address }), view)] as const;
  }));
  h.plane.tunnel(X, members.get("K") as Address);
  network.say("C", { source: C, destination: X, data: "hello" });
  network.runFor(homePathMs + 500);
  return { network, correspondent, contact: roles.get("K") as MemberRole, acceptor: roles.get("A") as MemberRole };
}

it.each([5_000, 12_000, 18_000])("a client whose Home Test comes after %s ms is served meanwhile, loses nothing and is optimised in the end", (homePathMs) => {
  const { network, correspondent, contact, acceptor } = world(homePathMs);
  contact.ask({ kind: "optimise", client: C, request: "o" });
  network.runFor(4_000);
  contact.ask({ kind: "handOver", client: C, wish: { handoff: "h", acceptor: "A", mode: "full", drain: false, decidedAt: 0 } });
  for (let i = 0; i < 200; i++) {
    network.say("C", { source: C, destination: X, data: i });
    network.runFor(100);
  }
  network.runFor(homePathMs);
  expect(contact.answers.get("h")).toBe("done");
  expect(correspondent.state.cache.bound).toBe(1);
  expect(network.happenings.findLast((h) => h.what === "event" && h.event.type === "clientServed")).toMatchObject({ node: "A", event: { how: "optimised", why: "binding acknowledged" } });
  // Those that went by way of the home agent are overtaken by those that did not.
  const heard = acceptor.sessions.get(C)?.filter((data) => typeof data === "number") as number[];
  expect(heard.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 200 }, (_, i) => i));
});
