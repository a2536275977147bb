import { parseAddress, type Address } from "../src-shared/net/address.ts";
import type { GroupView } from "../src-shared/protocol/core/group/effects.ts";
import { MemberRole } from "../src-shared/sim/memberRole.ts";
import { VirtualNetwork } from "../src-shared/sim/network.ts";
import { serveCorrespondent } from "../src-shared/sim/roles.ts";

const home = parseAddress("2001:db8:f::1");
const homeAgent = parseAddress("2001:db8:f::ff");
const client = parseAddress("2001:db8:c::10");
const members = new Map<string, Address>([["k", parseAddress("2001:db8:1::1")], ["a", parseAddress("2001:db8:2::1")]]);

/**
 * Hands a client of a virtual network back and forth on the machines that this agent runs, so that the first handoff of a real client finds them
 * compiled: they run once in a while, and interpreted each step of the signalling costs most of a millisecond. Takes some tenths of a second, on an
 * emulated processor much longer: `enough` is asked before each further handoff.
 * Throws when a handoff fails: then this build is broken.
 */
export function rehearse(rounds = 60, enough: () => boolean = () => false): void {
  const network = new VirtualNetwork("rehearsal");
  const h = network.node("h", { address: homeAgent, attracts: [home] });
  serveCorrespondent(network.node("c", { address: client }));
  for (const pair of ["kh", "hc", "ka", "kc", "ac", "ah"]) network.link(pair.charAt(0), pair.charAt(1), { latencyMs: 5 });
  const roles = new Map<string, MemberRole>();
  for (const [name, address] of members) {
    const view: GroupView = { id: "rehearsal", home, homeAgent, self: name, contact: "k", members, lifetimeSeconds: 420 };
    roles.set(name, new MemberRole(network.node(name, { address }), view));
  }
  h.plane.tunnel(home, members.get("k") as Address);
  network.say("c", { source: client, destination: home, data: 1 });
  network.runFor(500);
  const contact = roles.get("k") as MemberRole;
  for (let round = 0; round < rounds && !enough(); round++) {
    const handoff = `rehearsal-${round}`;
    const acceptor = round % 2 === 0 ? "a" : "k";
    contact.ask({ kind: "handOver", client, wish: { handoff, acceptor, mode: "full", drain: false, decidedAt: network.clock.now } });
    network.runUntil(() => contact.answers.has(handoff), 30_000);
    const answer = contact.answers.get(handoff);
    if (answer !== "done") throw new Error(`the rehearsal of a handoff failed: ${JSON.stringify(answer)}`);
    network.runFor(2_000);
  }
}
