import { describe, expect, it } from "vitest";
import { seededRandom } from "../../stats/random.ts";
import { currentNonce, newNonces, nonceDiesAt, nonceWithIndex, type Nonce, type Nonces } from "./nonces.ts";

const seconds = 1000;

describe("nonces (§5.2.2)", () => {
  it("keep the windows of §12 under any pattern of use: good for 210 s after a token was made, never at 240 s after the nonce was", () => {
    const random = seededRandom("nonces");
    let nonces: Nonces = newNonces(random.bytes);
    const made: { readonly nonce: Nonce; readonly at: number }[] = [];
    const wrong: unknown[] = [];
    let now = 0;
    for (let i = 0; i < 3_000; i++) {
      // Bursts and silences.
      now += random.next() < 0.1 ? random.next() * 300 * seconds : random.next() * 5 * seconds;
      const current = currentNonce(nonces, now, random.bytes);
      nonces = current.nonces;
      made.push({ nonce: current.nonce, at: now });
      for (const { nonce, at } of made.slice(-60)) {
        const found = nonceWithIndex(nonces, nonce.index, now);
        if (now - at < 210 * seconds && found !== nonce) wrong.push({ early: true, now, at });
        if (now >= nonceDiesAt(nonce) && found) wrong.push({ late: true, now, at });
        if (nonceDiesAt(nonce) !== nonce.createdAt + 240 * seconds) wrong.push({ nonce });
      }
      if (nonces.recent.length > 9) wrong.push({ kept: nonces.recent.length });
    }
    expect(wrong).toEqual([]);
  });

  it("wrap their index and never repeat their bytes", () => {
    const random = seededRandom("wrap");
    let nonces: Nonces = { ...newNonces(random.bytes), nextIndex: 0xffff };
    const seen = [0, 1, 2].map((i) => {
      const current = currentNonce(nonces, i * 30 * seconds, random.bytes);
      nonces = current.nonces;
      return current.nonce;
    });
    expect(seen.map((n) => n.index)).toEqual([0xffff, 0, 1]);
    expect(new Set(seen.map((n) => n.bytes.join())).size).toBe(3);
    expect(nonceWithIndex(nonces, 2, 60 * seconds)).toBeUndefined();
  });

  it("start anywhere, with a key of 20 bytes", () => {
    const starts = new Set(Array.from({ length: 50 }, (_, i) => newNonces(seededRandom(i).bytes).nextIndex));
    expect(starts.size).toBeGreaterThan(45);
    expect(newNonces(seededRandom(1).bytes).kcn.length).toBe(20);
  });
});
