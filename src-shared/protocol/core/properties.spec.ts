import { array, assert, constantFrom, integer, oneof, property, record } from "fast-check";
import { describe, expect, it } from "vitest";
import { CorrespondentPeer } from "../../../test/support/correspondentPeer.ts";
import { parseAddress, type Address } from "../../net/address.ts";
import { seededRandom } from "../../stats/random.ts";
import { currentNonce, newNonces, nonceWithIndex, type Nonces } from "./nonces.ts";
import { isNewerSequence, isWithinSequences, sequenceAfter } from "./sequence.ts";

const u16 = integer({ min: 0, max: 0xffff });
const edges = oneof(constantFrom(0, 1, 2, 0x7ffe, 0x7fff, 0x8000, 0x8001, 0xffff), u16);

describe("sequence arithmetic (§9.5.1)", () => {
  it("has no two numbers that are both newer than each other, and one that is not ordered only half-way round", () => {
    assert(
      property(u16, edges, (last, ahead) => {
        const candidate = sequenceAfter(last, ahead);
        const [forth, back] = [isNewerSequence(candidate, last), isNewerSequence(last, candidate)];
        expect(forth && back).toBe(false);
        expect(forth || back).toBe(ahead !== 0 && ahead !== 0x8000);
      }),
    );
  });

  it("knows a block's numbers by counting them, wrapped or not", () => {
    assert(
      property(u16, integer({ min: 0, max: 200 }), edges, (first, length, offset) => {
        const block = Array.from({ length: length + 1 }, (_, i) => (first + i) & 0xffff);
        const candidate = sequenceAfter(first, offset);
        expect(isWithinSequences(candidate, first, block.at(-1) as number)).toBe(block.includes(candidate));
      }),
    );
  });

  it("never lets back what a node has gone beyond by less than half the numbers", () => {
    assert(
      property(u16, array(integer({ min: 1, max: 0x0fff }), { minLength: 1, maxLength: 7 }), (start, jumps) => {
        const accepted = jumps.reduce((numbers, jump) => [...numbers, sequenceAfter(numbers.at(-1) as number, jump)], [start]);
        const last = accepted.at(-1) as number;
        for (const old of accepted) expect(isNewerSequence(old, last)).toBe(false);
      }),
    );
  });
});

describe("nonce windows (§5.2.2, §12)", () => {
  it("hold for any gaps between uses: what was given out is good for 210 s, and nothing 240 s old is", () => {
    // Around the interval and the lifetimes, where rounding would show.
    const gap = oneof(constantFrom(0, 1, 29_999, 30_000, 30_001, 209_999, 210_000, 239_999, 240_000), integer({ min: 0, max: 300_000 }));
    assert(
      property(array(gap, { maxLength: 30 }), (gaps) => {
        const { bytes } = seededRandom("windows");
        let nonces: Nonces = newNonces(bytes);
        let now = 0;
        const given: { readonly index: number; readonly createdAt: number; readonly at: number }[] = [];
        for (const ms of gaps) {
          now += ms;
          const current = currentNonce(nonces, now, bytes);
          nonces = current.nonces;
          given.push({ index: current.nonce.index, createdAt: current.nonce.createdAt, at: now });
          for (const { index, createdAt, at } of given) {
            const isGood = nonceWithIndex(nonces, index, now) !== undefined;
            // Between the two it may be either.
            const wanted = now < at + 210_000 || (now < createdAt + 240_000 && isGood);
            expect(isGood).toBe(wanted);
          }
          expect(nonces.recent.length).toBeLessThanOrEqual(9);
        }
      }),
    );
  });
});

describe("cache expiry (§9.5.2, §9.5.3)", () => {
  const own = parseAddress("2001:db8:1::10");
  const careOf = parseAddress("2001:db8:2::21");
  const homes = [1, 2, 3].map((i) => parseAddress(`2001:db8:f::${i}`));
  const step = record({ home: constantFrom(...homes), lifetimeSeconds: constantFrom(4, 8, 60, 419, 420, 1000), wait: oneof(constantFrom(0, 1, 3_999, 4_000, 59_999, 60_000, 419_999, 420_000), integer({ min: 0, max: 500_000 })) });

  it("is to the millisecond, whatever else happens, and nothing stays for ever", () => {
    assert(
      property(array(step, { maxLength: 12 }), (steps) => {
        const peer = new CorrespondentPeer(own);
        const endsAt = new Map<Address, number>();
        let sequence = 0;
        const agree = (): void => {
          for (const home of homes) expect(peer.state.cache.get(home)?.phase === "bound", `${home} at ${peer.now}`).toBe(peer.now < (endsAt.get(home) ?? -Infinity));
        };
        for (const { home, lifetimeSeconds, wait } of steps) {
          peer.bind(home, careOf, ++sequence, { lifetimeSeconds });
          endsAt.set(home, peer.now + Math.min(420, Math.floor(lifetimeSeconds / 4) * 4) * 1000);
          agree();
          // A millisecond before each end that lies in between, and at it.
          for (const at of [...endsAt.values()].filter((end) => end <= peer.now + wait).flatMap((end) => [end - 1, end]).toSorted((a, b) => a - b)) {
            if (at < peer.now) continue;
            peer.now = at;
            peer.give({ kind: "wake" });
            agree();
          }
          peer.now = Math.max(peer.now, peer.now + wait);
          peer.give({ kind: "wake" });
          agree();
        }
        // Replay memory dies with its nonces.
        peer.now += 420_000 + 240_000;
        peer.give({ kind: "wake" });
        expect(peer.state.cache.size).toBe(0);
      }),
      { numRuns: 60 },
    );
  });
});
