import { expect, it } from "vitest";
import { parseAddress, type Address } from "../../src-shared/net/address.ts";
import { seededRandom } from "../../src-shared/stats/random.ts";
import { ClientStates, type ClientEntry, type ClientState } from "./clientStates.ts";

const homes = ["2001:db8:f::1", "2001:db8:e::1"].map(parseAddress);
const member = (i: number): Address => parseAddress(`2001:db8:${i + 1}::1`);
const client = (i: number): Address => parseAddress(`2001:db8:c::${(i + 1).toString(16)}`);

it("gives back what was put, per home address, and forgets what says nothing", () => {
  const random = seededRandom("states");
  const states = new ClientStates();
  const model = new Map<string, ClientEntry>();
  for (let step = 0; step < 5_000; step++) {
    const home = homes[random.below(2)] as Address;
    const who = client(random.below(100));
    const state: ClientState = [{ kind: "unknown" }, { kind: "served" }, { kind: "held" }, { kind: "relayed", member: member(random.below(5)) }][random.below(4)] as ClientState;
    const entry = { home, client: who, state, optimised: random.below(2) === 0 };
    const says = state.kind !== "unknown" || entry.optimised;
    expect(states.put(entry)).toBe(says);
    if (says) model.set(`${home} ${who}`, entry);
    else model.delete(`${home} ${who}`);
    const probe = client(random.below(100));
    expect(states.get(home, probe)).toEqual(model.get(`${home} ${probe}`) ?? { home, client: probe, state: { kind: "unknown" }, optimised: false });
  }
  const byClient = (a: ClientEntry, b: ClientEntry) => a.client.localeCompare(b.client);
  for (const home of homes) expect(states.of(home).sort(byClient)).toEqual([...model.values()].filter((e) => e.home === home).sort(byClient));
});

it("is bounded, takes little room, and none when everything is gone", () => {
  const states = new ClientStates(10_000);
  const [home] = homes as [Address];
  for (let i = 0; i < 10_000; i++) states.put({ home, client: client(i), state: { kind: "relayed", member: member(1) }, optimised: true });
  expect(states.bytes / 10_000).toBeLessThan(50);
  expect(() => states.put({ home, client: client(10_000), state: { kind: "served" }, optimised: false })).toThrow(/10000 clients .* no room/);
  for (let i = 0; i < 10_000; i++) states.put({ home, client: client(i), state: { kind: "unknown" }, optimised: false });
  expect([states.bytes, states.of(home)]).toEqual([0, []]);
});
