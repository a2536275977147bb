import { expect, it } from "vitest";
import type { AgentEventBody } from "../src-shared/api/events.ts";
import { parseAddress } from "../src-shared/net/address.ts";
import { Answers } from "./answers.ts";
import { Drops } from "./drops.ts";
import { Incoming } from "./incoming.ts";
import { MessageTeller } from "./messageTeller.ts";
import { AgentMetrics } from "./metrics/agentMetrics.ts";
import { PeerErrors } from "./peerErrors.ts";

it("an error of our own that a packet brings about ends nothing, is counted each time, and is told a few times", () => {
  let now = 0;
  const clock = { mono: () => now, wall: () => now };
  const told: AgentEventBody[] = [];
  const tell = (event: AgentEventBody) => void told.push(event);
  const drops = new Drops(tell, clock.mono);
  const own = parseAddress("2001:db8::1");
  const peerErrors = new PeerErrors({ own, groups: () => [], correspondent: () => null, drop: () => {} });
  peerErrors.onIcmpError = () => {
    throw new Error("a mistake of ours");
  };
  const answers = new Answers({ clock, send: () => 0, drop: () => {} });
  const incoming = new Incoming({ groups: new Map(), registrations: new Map(), homes: new Map(), correspondent: () => null }, { own, clock, answers, peerErrors, drops, messages: new MessageTeller(new AgentMetrics(), tell, 0), tell });
  const logged = () => told.filter((event) => event.type === "log").length;
  for (let i = 0; i < 1_000; i++) incoming.onError(new Uint8Array(48));
  expect([drops.counts(), logged()]).toEqual([{ "internal error": 1_000 }, 10]);
  now = 2_000;
  for (let i = 0; i < 1_000; i++) incoming.onError(new Uint8Array(48));
  expect([drops.counts(), logged()]).toEqual([{ "internal error": 2_000 }, 12]);
});
