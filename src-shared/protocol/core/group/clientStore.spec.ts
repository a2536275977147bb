import { describe, expect, it } from "vitest";
import { answerAll } from "../../../../test/support/statelessClient.ts";
import { parseAddress, type Address } from "../../../net/address.ts";
import { seededRandom, type SeededRandom } from "../../../stats/random.ts";
import { BoundClients } from "./boundClients.ts";
import { ClientStore } from "./clientStore.ts";
import { newContactClient, type ContactClient } from "./contactClient.ts";
import type { GroupView } from "./effects.ts";
import { Group } from "./group.ts";
import { openWatches } from "./servedBindings.ts";

const clientOf = (i: number): Address => parseAddress(`2001:db8:c:${(i >> 16).toString(16)}::${(i & 0xffff).toString(16)}`);

function someClient(random: SeededRandom, client: Address): ContactClient {
  const some = <T>(value: () => T): T | null => (random.next() < 0.5 ? value() : null);
  return {
    client,
    server: ["k", "a", "b"][random.below(3)] as string,
    nextSequence: random.below(0x10000),
    grant: some(() => ({ token: random.bytes(8), nonceIndex: random.below(0x10000), receivedAt: random.next() * 1e6 })),
    capability: (["unknown", "mobile", "plain", "silent"] as const)[random.below(4)] as ContactClient["capability"],
    active: random.next() < 0.5,
    boundUntil: some(() => random.next() * 1e6),
    refreshAt: some(() => random.next() * 1e6) ?? Infinity,
    retryAt: some(() => random.next() * 1e6),
    updates: Array.from({ length: random.below(4) }, () => random.next() * 1e6),
    work: random.next() < 0.8 ? { phase: "idle" } : { phase: "rebinding", requests: ["r"], until: 5, retried: false },
    late: null,
    waiting: random.next() < 0.9 ? null : { handoff: "h", acceptor: "a", mode: "full", drain: false, decidedAt: 1 },
  };
}

describe("the contact's store of clients", () => {
  it("gives back what was put, idle or not, and wakes in order", () => {
    const random = seededRandom("clients");
    const store = new ClientStore(300, 7);
    const model = new Map<Address, { state: ContactClient; wakeAt: number | undefined }>();
    const wrong: unknown[] = [];
    for (let step = 0; step < 20_000; step++) {
      const client = clientOf(random.below(400));
      const action = random.below(5);
      if (action <= 1) {
        const entry = { state: someClient(random, client), wakeAt: random.next() < 0.5 ? undefined : random.below(1000) };
        const fits = model.has(client) || model.size < 300;
        if (store.put(entry.state, entry.wakeAt) !== fits) wrong.push({ step, fits });
        if (fits) model.set(client, entry);
      } else if (action === 2) {
        store.delete(client);
        model.delete(client);
      } else if (action === 3) {
        const due = store.takeDue(500);
        const earliest = Math.min(...[...model.values()].map((e) => e.wakeAt ?? Infinity));
        const entry = due === null ? undefined : model.get(due);
        if (due === null ? earliest <= 500 : entry?.wakeAt !== earliest) wrong.push({ step, due, earliest });
        if (entry) entry.wakeAt = undefined;
      }
      expect(store.get(client)).toEqual(model.get(client)?.state);
      if (store.size !== model.size || store.has(client) !== model.has(client)) wrong.push({ step, size: store.size });
    }
    expect(wrong).toEqual([]);
    const byClient = (a: ContactClient, b: ContactClient) => a.client.localeCompare(b.client);
    expect(Array.from(store.entries()).sort(byClient)).toEqual([...model.values()].map((e) => e.state).sort(byClient));
    expect(store.busy).toBe([...model.values()].filter(({ state }) => state.work.phase !== "idle" || state.waiting).length);
  });

  it("keeps a token of its own, whatever becomes of the bytes it was given", () => {
    const store = new ClientStore(2, 7);
    const token = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
    store.put({ ...newContactClient(clientOf(1), "k", 0), grant: { token, nonceIndex: 1, receivedAt: 0 } }, undefined);
    token.fill(0);
    const grant = store.get(clientOf(1))?.grant;
    grant?.token.fill(9);
    expect(store.get(clientOf(1))?.grant?.token).toEqual(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
  });
});

describe("clients bound to a member", () => {
  it("end in order of time, and not after they are gone or bound again", () => {
    const bound = new BoundClients(3, 7);
    for (const [i, until] of [[1, 30], [2, 10], [3, 20]] as const) expect(bound.set(clientOf(i), until)).toBe(true);
    expect(bound.set(clientOf(4), 5)).toBe(false);
    bound.set(clientOf(2), 40);
    bound.delete(clientOf(3));
    expect(bound.next()).toBe(30);
    expect([bound.takeEnded(29), bound.takeEnded(30), bound.takeEnded(30), bound.takeEnded(40), bound.size]).toEqual([null, clientOf(1), null, clientOf(2), 0]);
  });
});

const members = new Map([["k", clientOf(0xf1)], ["a", clientOf(0xf2)]]);
const view: GroupView = { id: "g", home: clientOf(0xf3), homeAgent: clientOf(0xf4), self: "k", contact: "k", members, lifetimeSeconds: 420 };

describe("a contact with many clients", () => {
  it("takes at most 200 bytes for each that is bound to it and idle, and wakes a bounded number at once", () => {
    const count = 20_000;
    const group = new Group(view, seededRandom("many").bytes, { autoOptimise: true, clients: count });
    for (let i = 0; i < count; i++) {
      answerAll(group, group.input({ kind: "activity", client: clientOf(i), active: true }, 0), 0);
    }
    expect(group.inspect(0)).toMatchObject({ known: { clients: count, bound: count, busy: 0, watched: openWatches } });
    // Every binding that is watched has proved itself by then: nothing but rows of the tables is left.
    for (let at = group.nextWake(); at !== null && at < 5_000; at = group.nextWake()) answerAll(group, group.input({ kind: "wake" }, at), at);
    const { known } = group.inspect(0) as { known: { watched: number; timers: number } };
    expect(known).toMatchObject({ watched: 0, timers: expect.toSatisfy((timers: number) => timers <= 256) });
    expect(group.clientBytes / count).toBeLessThan(200);
    let woken = 0;
    for (let rounds = 0; woken < count; rounds++) {
      const tests = group.input({ kind: "wake" }, 340_000).filter((e) => e.do === "tellMember" || e.do === "send").length;
      expect(tests).toBeLessThanOrEqual(256);
      expect(rounds).toBeLessThan(count);
      woken += tests;
    }
  });

  it("does not take in clients beyond its limit, and says so", () => {
    const group = new Group(view, seededRandom("full").bytes, { autoOptimise: true, clients: 2 });
    for (let i = 0; i < 2; i++) group.input({ kind: "activity", client: clientOf(i), active: true }, 0);
    expect(group.input({ kind: "activity", client: clientOf(3), active: true }, 0)).toEqual([{ do: "drop", reason: "the contact's table of clients is full (2)" }]);
    group.input({ kind: "activity", client: clientOf(0), active: true }, 0);
    expect(group.inspect(0)).toMatchObject({ known: { clients: 2 } });
  });
});
