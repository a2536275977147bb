import { describe, expect, it } from "vitest";
import { CorrespondentPeer, sentBy } from "../../../test/support/correspondentPeer.ts";
import { parseAddress } from "../../net/address.ts";
import { seededRandom } from "../../stats/random.ts";
import type { MobilityPacket } from "../wire/message.ts";
import { isNewerSequence, isWithinSequences, sequenceAfter } from "./sequence.ts";

const X = parseAddress("2001:db8:f::1");
const C = parseAddress("2001:db8:1::10");
const A = parseAddress("2001:db8:2::21");

describe("sequence numbers (§9.5.1)", () => {
  it("follow the RFC's own example: after 15, 0 to 15 and 32783 to 65535 are old", () => {
    const old = Array.from({ length: 0x10000 }, (_, s) => s).filter((s) => !isNewerSequence(s, 15));
    expect(old.length).toBe(1 + 32768);
    expect([old[0], old[15], old[16], old.at(-1)]).toEqual([0, 15, 32783, 65535]);
  });

  it("are newer exactly 1 to 32767 ahead, wherever counting stands", () => {
    const random = seededRandom("sequence");
    const wrong: number[][] = [];
    for (let i = 0; i < 20_000; i++) {
      const last = random.below(0x10000);
      const ahead = random.below(0x10000);
      const sequence = (last + ahead) & 0xffff;
      if (isNewerSequence(sequence, last) !== (ahead >= 1 && ahead <= 32767)) wrong.push([sequence, last]);
      // Never both ways.
      if (isNewerSequence(sequence, last) && isNewerSequence(last, sequence)) wrong.push([sequence, last]);
    }
    expect(wrong).toEqual([]);
  });

  it("lie within a block that may wrap", () => {
    expect([65534, 65535, 0, 1].map((s) => isWithinSequences(s, 65534, 1))).toEqual([true, true, true, true]);
    expect([65533, 2].map((s) => isWithinSequences(s, 65534, 1))).toEqual([false, false]);
    expect(isWithinSequences(7, 7, 7)).toBe(true);
    expect(sequenceAfter(65535)).toBe(0);
    expect(sequenceAfter(65530, 10)).toBe(4);
  });
});

function summary(packet: MobilityPacket | undefined) {
  if (packet?.message.kind !== "bindingAcknowledgement") return undefined;
  const { kind, status, sequence, options } = packet.message;
  return { kind, status, sequence, signed: options.at(-1)?.kind === "bindingAuthorization" };
}

describe("a correspondent's sequence rule", () => {
  it("accepts what is newer and answers the rest with 135 and the last number, asked for or not", () => {
    const random = seededRandom("updates");
    const peer = new CorrespondentPeer(C);
    const tokens = { home: peer.homeToken(X), careOf: peer.careOfToken(A) };
    let last: number | null = null;
    for (let i = 0; i < 500; i++) {
      // Now and then right at the edges of the window.
      const edge = [0, 1, 32767, 32768, 65535][random.below(5)] as number;
      const sequence: number = last !== null && random.next() < 0.5 ? (last + edge) & 0xffff : random.below(0x10000);
      const acknowledge = random.next() < 0.5;
      const [answer] = sentBy(peer.receive(peer.update(X, A, sequence, tokens, { acknowledge })));
      const isNewer: boolean = last === null || isNewerSequence(sequence, last);
      if (isNewer) last = sequence;
      const accepted = acknowledge ? { kind: "bindingAcknowledgement", status: 0, sequence, signed: true } : undefined;
      expect(summary(answer)).toEqual(isNewer ? accepted : { kind: "bindingAcknowledgement", status: 135, sequence: last, signed: true });
      expect(peer.state.cache.get(X)?.sequence).toBe(last);
    }
  });
});
