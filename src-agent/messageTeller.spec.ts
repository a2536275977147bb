import { expect, it } from "vitest";
import type { AgentEventBody } from "../src-shared/api/events.ts";
import { parseAddress } from "../src-shared/net/address.ts";
import type { MobilityPacket } from "../src-shared/protocol/wire/message.ts";
import { MessageTeller, toldRate } from "./messageTeller.ts";
import { AgentMetrics } from "./metrics/agentMetrics.ts";

it("tells of a flood as much as a manager can read, counts all of it, and tells of everything that we send", () => {
  const told: AgentEventBody[] = [];
  const metrics = new AgentMetrics();
  const counted: string[] = [];
  metrics.message = (direction, kind) => void counted.push(`${direction} ${kind}`);
  const teller = new MessageTeller(metrics, (event) => told.push(event), 0);
  const init: MobilityPacket = { source: parseAddress("2001:db8::1"), destination: parseAddress("2001:db8::2"), message: { kind: "homeTestInit", cookie: new Uint8Array(8), options: [] } };
  const flood = toldRate.burst + 3_000;
  for (let i = 0; i < flood; i++) teller.received(init, 0, 0);
  expect([told.length, teller.untold, counted.length]).toEqual([toldRate.burst, 3_000, flood]);
  teller.sent(init, 1);
  expect(told.at(-1)).toMatchObject({ type: "message", direction: "sent", summary: expect.stringContaining("HoTI") });
  teller.received(init, 1_000, 1_000);
  expect(told.at(-1)).toMatchObject({ direction: "received", at: 1_000 });
});
