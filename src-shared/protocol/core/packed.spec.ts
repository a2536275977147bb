import { describe, expect, it } from "vitest";
import { parseAddress, type Address } from "../../net/address.ts";
import { seededRandom } from "../../stats/random.ts";
import { AddressSet } from "./addressSet.ts";
import { BindingCache, type CacheEntry } from "./bindingCache.ts";
import { Deadlines } from "./deadlines.ts";
import { PackedIndex } from "./packedIndex.ts";

describe("packed index", () => {
  it("behaves like a map under random use, full included", () => {
    const random = seededRandom("index");
    const limit = 300;
    const index = new PackedIndex(16, limit, random.below(2 ** 32));
    const model = new Map<string, number>();
    // Few distinct keys, so that removing and finding happen often; equal but for one byte, so that bad hashes show.
    const keys = Array.from({ length: 400 }, (_, i) => Uint8Array.from({ length: 16 }, (__, b) => (b === i % 16 ? i >> 4 : b)));
    const wrong: unknown[] = [];
    const check = (what: string, slot: number, isRight: boolean) => {
      if (!isRight || index.size !== model.size) wrong.push({ what, slot, size: index.size, model: model.size });
    };
    for (let step = 0; step < 30_000; step++) {
      const key = keys[random.below(keys.length)] as Uint8Array;
      const name = key.join();
      const known = model.get(name);
      const action = random.below(step % 2_000 < 1_000 ? 3 : 5);
      if (action <= 1) {
        const slot = index.add(key);
        const fits = known ?? (model.size === limit ? -1 : slot);
        if (slot >= 0) model.set(name, slot);
        check("add", slot, slot === fits && slot < index.capacity && (slot >= 0) === (fits >= 0) && (known !== undefined || model.size <= limit));
      } else if (action === 2) {
        const slot = index.find(key);
        check("find", slot, slot === (known ?? -1));
      } else {
        const slot = index.remove(key);
        model.delete(name);
        check("remove", slot, slot === (known ?? -1));
      }
    }
    expect(wrong).toEqual([]);
    expect(new Set(model.values()).size).toBe(model.size);
    for (const [name, slot] of model) expect(index.keyAt(slot).join()).toBe(name);
  });

  it("takes little more memory than its keys", () => {
    const index = new PackedIndex(16, 100_000, 1);
    const key = new Uint8Array(16);
    for (let i = 0; i < 100_000; i++) {
      new DataView(key.buffer).setUint32(12, i);
      index.add(key);
    }
    expect(index.bytes / 100_000).toBeLessThan(32);
  });
});

describe("a set of addresses", () => {
  it("tells its members from others, takes none beyond its limit, and few bytes for each", () => {
    const addressOf = (i: number): Address => parseAddress(`2001:db8:c:${(i >> 16).toString(16)}::${(i & 0xffff).toString(16)}`);
    const limit = 50_000;
    const set = new AddressSet(limit, 3);
    for (let i = 0; i < limit; i++) expect(set.add(addressOf(i))).toBe(true);
    expect([set.add(addressOf(limit)), set.add(addressOf(7)), set.has(addressOf(limit)), set.size]).toEqual([false, true, false, limit]);
    set.delete(addressOf(7));
    set.delete(addressOf(7));
    expect([set.has(addressOf(7)), set.has(addressOf(8)), set.add(addressOf(limit)), set.has(addressOf(limit)), set.size]).toEqual([false, true, true, true, limit]);
    expect(set.bytes / limit).toBeLessThan(32);
  });
});

describe("deadlines", () => {
  it("give slots back in order of their latest deadline, whatever was set, moved and removed before", () => {
    const random = seededRandom("deadlines");
    const deadlines = new Deadlines();
    const model = new Map<number, number>();
    const wrong: unknown[] = [];
    for (let step = 0; step < 20_000; step++) {
      const slot = random.below(200);
      const action = random.below(4);
      if (action <= 1) {
        const at = random.below(1000);
        deadlines.set(slot, at);
        model.set(slot, at);
      } else if (action === 2) {
        deadlines.remove(slot);
        model.delete(slot);
      } else {
        const earliest = model.size > 0 ? Math.min(...model.values()) : undefined;
        if (deadlines.next() !== earliest || model.get(deadlines.first()) !== earliest) wrong.push({ step, earliest });
      }
      if (deadlines.size !== model.size || deadlines.has(slot) !== model.has(slot)) wrong.push({ step, slot });
    }
    expect(wrong).toEqual([]);
    const order: number[] = [];
    while (deadlines.first() >= 0) {
      order.push(deadlines.next() as number);
      deadlines.remove(deadlines.first());
    }
    expect(order).toEqual([...model.values()].sort((a, b) => a - b));
    expect(deadlines.next()).toBeUndefined();
  });
});

describe("binding cache", () => {
  const homeOf = (i: number): Address => parseAddress(`2001:db8:f::${i.toString(16)}`);

  it("gives back what was put, and ends entries in time and order", () => {
    const random = seededRandom("cache");
    const cache = new BindingCache(500, 7);
    const model = new Map<Address, CacheEntry>();
    let now = 0;
    for (let step = 0; step < 5_000; step++) {
      now += random.below(50);
      const home = homeOf(random.below(400));
      const common = { home, own: homeOf(9999), sequence: random.below(0x10000), noncesDieAt: now + 1 + random.below(2_000) };
      const entry: CacheEntry =
        random.next() < 0.3
          ? { ...common, phase: "remembered" }
          : { ...common, phase: "bound", careOf: homeOf(random.below(1000)), expiresAt: now + 1 + random.below(3_000), refreshAt: now + 1 + random.below(3_000), unreachable: random.below(4), unreachableSince: random.below(now + 1) };
      cache.put(entry);
      model.set(home, entry);
      for (let due = cache.firstDue(now); due; due = cache.firstDue(now)) {
        expect(due).toEqual(model.get(due.home));
        cache.delete(due.home);
        model.delete(due.home);
      }
      const probe = homeOf(random.below(400));
      expect(cache.get(probe)).toEqual(model.get(probe));
      expect(cache.size).toBe(model.size);
    }
    expect(cache.bound).toBe([...model.values()].filter((e) => e.phase === "bound").length);
    const byHome = (a: CacheEntry, b: CacheEntry) => a.home.localeCompare(b.home);
    expect(Array.from(cache.entries()).sort(byHome)).toEqual([...model.values()].sort(byHome));
    const deadline = (e: CacheEntry) => (e.phase === "remembered" ? e.noncesDieAt : Math.min(e.refreshAt, e.expiresAt));
    expect(cache.nextDeadline()).toBe(Math.min(...[...model.values()].map(deadline)));
  });

  it("is bounded, and says whether there is room", () => {
    const cache = new BindingCache(2, 7);
    const entry = (i: number): CacheEntry => ({ phase: "remembered", home: homeOf(i), own: homeOf(0), sequence: 1, noncesDieAt: 10 });
    cache.put(entry(1));
    cache.put(entry(2));
    expect([1, 3].map((i) => cache.hasRoomFor(homeOf(i)))).toEqual([true, false]);
    expect(() => cache.put(entry(3))).toThrow(/full \(2 entries\)/);
    cache.put(entry(1));
    cache.delete(homeOf(1));
    cache.delete(homeOf(1));
    cache.put(entry(3));
    expect(cache.size).toBe(2);
  });

  it("takes less than 200 bytes a binding", () => {
    const cache = new BindingCache(20_000, 7);
    for (let i = 0; i < 20_000; i++) {
      const home = parseAddress(`2001:db8:f:0:${(i >> 16).toString(16)}::${(i & 0xffff).toString(16)}`);
      cache.put({ phase: "bound", home, own: home, careOf: home, sequence: 1, noncesDieAt: 10, expiresAt: i, refreshAt: 5, unreachable: 0, unreachableSince: 0 });
    }
    expect(cache.size).toBe(20_000);
    expect(cache.bytes / 20_000).toBeLessThan(200);
  });
});
