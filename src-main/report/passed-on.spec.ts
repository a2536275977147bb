import { expect, it } from "vitest";
import type { TcpHeader } from "../capture/frame.ts";
import { PassedOn } from "./passed-on.ts";

const segment = (sequence: number, length: number, acknowledgement = 1): TcpHeader => ({ sourcePort: 80, destinationPort: 4000, sequence, acknowledgement, syn: false, fin: false, rst: false, ack: true, length, stamp: null });

it("knows what came before, cut anew or not, and takes it for passed on once", () => {
  const relay = new PassedOn();
  relay.came("k c", segment(0xffff_ff00, 3000), 0);
  relay.came("k c", segment(2744, 1000), 1);
  expect([segment(0xffff_ff00, 1440), segment(1184, 1440), segment(2624, 120), segment(2744, 1000)].map((each) => relay.left("k c", each, 2))).toEqual([true, true, true, true]);
  expect(relay.left("k c", segment(2744, 1000), 3)).toBe(false);
});

it("takes for the member's own what did not come, came to pass elsewhere, or came too long ago", () => {
  const relay = new PassedOn();
  relay.came("k c", segment(100, 1000), 0);
  expect(relay.left("k c", segment(1100, 1000), 1)).toBe(false);
  expect(relay.left("k d", segment(100, 1000), 1)).toBe(false);
  expect(relay.left("k c", segment(100, 1000), 5000)).toBe(false);
});

it("tells acknowledgements apart by what they acknowledge", () => {
  const relay = new PassedOn();
  relay.came("k c", segment(100, 0, 7), 0);
  expect(relay.left("k c", segment(100, 0, 8), 1)).toBe(false);
  expect(relay.left("k c", segment(100, 0, 7), 1)).toBe(true);
});
