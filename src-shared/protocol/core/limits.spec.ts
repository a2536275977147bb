import { describe, expect, it } from "vitest";
import { seededRandom } from "../../stats/random.ts";
import { backOff } from "./limits.ts";
import { ntpTimestamp, wallOfNtp, withSecondsOf } from "./timestamp.ts";
import { takeToken, tokenBucket } from "./tokenBucket.ts";
import { admitUpdate, type RecentUpdates } from "./updateLimiter.ts";

describe("back-off (§11.8)", () => {
  it("doubles from 1 s to 32 s", () => {
    expect([1, 2, 3, 4, 5, 6, 7, 50].map((sent) => backOff(sent))).toEqual([1000, 2000, 4000, 8000, 16000, 32000, 32000, 32000]);
    expect([1, 2, 6].map((sent) => backOff(sent, 1500))).toEqual([1500, 3000, 32000]);
  });
});

describe("the group's limit of Binding Updates", () => {
  it("never lets more than 3 through in any second, and never makes one wait longer than needed", () => {
    const random = seededRandom("limiter");
    let recent: RecentUpdates = [];
    const admitted: number[] = [];
    const wrong: unknown[] = [];
    let now = 0;
    for (let i = 0; i < 2_000; i++) {
      now += random.below(500);
      const verdict = admitUpdate(recent, now);
      if (verdict.admitted) {
        recent = verdict.recent;
        admitted.push(now);
      } else if (verdict.notBefore <= now || !admitUpdate(recent, verdict.notBefore).admitted || admitUpdate(recent, verdict.notBefore - 1).admitted) {
        wrong.push({ now, verdict });
      }
      if (recent.length > 3) wrong.push({ recent });
    }
    expect(wrong).toEqual([]);
    expect(Math.min(...admitted.slice(3).map((at, i) => at - (admitted[i] as number)))).toBeGreaterThanOrEqual(1000);
    expect(admitted.length).toBeGreaterThan(1000);
  });
});

describe("token bucket", () => {
  it("lets a burst through and then its rate, whatever the pattern", () => {
    const random = seededRandom("bucket");
    const rate = { perSecond: 5, burst: 10 };
    let bucket = tokenBucket(rate, 0);
    const taken: number[] = [];
    const wrong: unknown[] = [];
    let now = 0;
    for (let i = 0; i < 5_000; i++) {
      now += random.below(120);
      const result = takeToken(bucket, now);
      bucket = result.bucket;
      if (result.taken) taken.push(now);
      if (!(bucket.tokens >= 0 && bucket.tokens <= 10)) wrong.push(bucket);
    }
    taken.forEach((from, i) =>
      taken.slice(i, i + 200).forEach((to, more) => {
        if (more + 1 > 10 + (5 * (to - from)) / 1000 + 1e-6) wrong.push({ from, to, more });
      }),
    );
    expect(wrong).toEqual([]);
    expect(taken.length).toBeGreaterThan((5 * now) / 1000 - 2);
  });

  it("gains nothing from a clock that steps back and forth", () => {
    let bucket = tokenBucket({ perSecond: 1, burst: 1 }, 1000);
    const results = [1000, 0, 1000, 0, 1000].map((now) => {
      const result = takeToken(bucket, now);
      bucket = result.bucket;
      return result.taken;
    });
    expect(results).toEqual([true, false, false, false, false]);
  });
});

describe("NTP timestamps (RFC 4285 §6)", () => {
  it("count from 1900 with a binary fraction, and come back", () => {
    expect(ntpTimestamp(0)).toBe(2208988800n << 32n);
    expect(ntpTimestamp(500)).toBe((2208988800n << 32n) | 0x80000000n);
    const random = seededRandom("ntp");
    for (let i = 0; i < 500; i++) {
      const wall = Date.UTC(2026, 0, 1) + random.next() * 1e11;
      expect(wallOfNtp(ntpTimestamp(wall))).toBeCloseTo(wall, 2);
      expect(ntpTimestamp(wall + 1)).toBeGreaterThan(ntpTimestamp(wall));
    }
    expect(ntpTimestamp(1999.9999999) >> 32n).toBe(2208988801n);
  });

  it("can take one's seconds and another's fraction", () => {
    expect(withSecondsOf((5n << 32n) | 7n, (9n << 32n) | 11n)).toBe((5n << 32n) | 11n);
  });
});
