import { describe, expect, it } from "vitest";
import { parseAddress, type Address } from "../../net/address.ts";
import { seededRandom } from "../../stats/random.ts";
import type { NeighborPacket } from "../wire/neighborDiscovery.ts";
import { newHomeLink, tendHomeLink, type HomeLink, type HomeLinkEffect, type HomeLinkInput } from "./homeLink.ts";

const X = parseAddress("2001:db8:1::7a:b");
const H = parseAddress("2001:db8:1::1");
const S = parseAddress("2001:db8:1::51");
const none = parseAddress("::");
const everybody = parseAddress("ff02::1");
const group = parseAddress("ff02::1:ff7a:b");
const ours = new Uint8Array([2, 0, 0, 0, 0, 1]);
const theirs = new Uint8Array([2, 0, 0, 0, 0, 9]);

class Link {
  state: HomeLink = newHomeLink(X, H, ours, 0);
  now = 0;
  wakeAt: number | undefined;
  readonly #random = seededRandom("link").bytes;

  give(input: HomeLinkInput): readonly HomeLinkEffect[] {
    const { state, effects, wakeAt } = tendHomeLink(this.state, input, this.now, this.#random);
    this.state = state;
    this.wakeAt = wakeAt;
    return effects;
  }

  hear(source: Address, destination: Address, message: Partial<NeighborPacket["message"]> & { kind: NeighborPacket["message"]["kind"] }): readonly HomeLinkEffect[] {
    const whole = { target: X, router: false, solicited: false, override: true, ...message } as NeighborPacket["message"];
    return this.give({ kind: "neighbor", packet: { source, destination, message: whole } });
  }

  /** Wakes as asked until nothing is left to do; what was done, with its time. */
  run(): [number, HomeLinkEffect][] {
    const done: [number, HomeLinkEffect][] = [];
    while (this.wakeAt !== undefined) {
      this.now = this.wakeAt;
      for (const effect of this.give({ kind: "wake" })) done.push([this.now, effect]);
    }
    return done;
  }
}

const advertised = (destination: Address, flags: { solicited: boolean; override: boolean }): HomeLinkEffect => ({
  do: "sendNeighbor",
  packet: { source: H, destination, message: { kind: "neighborAdvertisement", target: X, router: false, targetLinkLayer: ours, ...flags } },
});

describe("duplicate address detection (RFC 4862 §5.4)", () => {
  it("asks once, from the unspecified address, and takes a second of silence for no", () => {
    const link = new Link();
    const [effect] = link.give({ kind: "check" });
    expect(effect).toEqual({ do: "sendNeighbor", packet: { source: none, destination: group, message: { kind: "neighborSolicitation", target: X, nonce: expect.any(Uint8Array) } } });
    expect(link.wakeAt).toBe(1000);
    link.now = 999;
    expect(link.give({ kind: "wake" })).toEqual([]);
    expect(link.run()).toEqual([[1000, { do: "checked", duplicate: false }]]);
    expect(link.state.phase).toBe("idle");
  });

  it("is answered by a node that has the address, or that asks for it at the same time", () => {
    for (const heard of [
      (link: Link) => link.hear(S, everybody, { kind: "neighborAdvertisement", targetLinkLayer: theirs }),
      (link: Link) => link.hear(none, group, { kind: "neighborSolicitation", nonce: new Uint8Array([1, 2, 3, 4, 5, 6]) }),
      (link: Link) => link.hear(none, group, { kind: "neighborSolicitation" }),
    ]) {
      const link = new Link();
      link.give({ kind: "check" });
      expect(heard(link)).toEqual([{ do: "checked", duplicate: true }]);
      expect(link.wakeAt).toBeUndefined();
    }
  });

  it("is not fooled by its own solicitation coming back, a third node that resolves the address, or another address", () => {
    const link = new Link();
    link.give({ kind: "check" });
    const { nonce } = link.state as Extract<HomeLink, { phase: "checking" }>;
    expect(link.hear(none, group, { kind: "neighborSolicitation", nonce })).toEqual([{ do: "drop", reason: "neighbor solicitation of our own came back" }]);
    expect(link.hear(S, group, { kind: "neighborSolicitation", sourceLinkLayer: theirs })[0]?.do).toBe("drop");
    expect(link.hear(S, everybody, { kind: "neighborAdvertisement", target: S })[0]?.do).toBe("drop");
    expect(link.run()).toEqual([[1000, { do: "checked", duplicate: false }]]);
  });

  it("is not needed for what is defended already", () => {
    const link = new Link();
    link.give({ kind: "defend" });
    expect(link.give({ kind: "check" })).toEqual([{ do: "checked", duplicate: false }]);
    expect(link.state.phase).toBe("defending");
  });
});

describe("defending (RFC 6275 §10.4.1)", () => {
  it("tells all nodes three times, a second apart, to override what they know", () => {
    const link = new Link();
    const announcement = advertised(everybody, { solicited: false, override: true });
    expect(link.give({ kind: "defend" })).toEqual([announcement]);
    expect(link.run()).toEqual([[1000, announcement], [2000, announcement]]);
    // And from the start when it is defended again.
    link.now = 10_000;
    expect(link.give({ kind: "defend" })).toEqual([announcement]);
    expect(link.run()).toHaveLength(2);
  });

  it("answers who asks, as a proxy without override; whoever is about to take the address by way of all nodes", () => {
    const link = new Link();
    link.give({ kind: "defend" });
    expect(link.hear(S, group, { kind: "neighborSolicitation", sourceLinkLayer: theirs })).toEqual([advertised(S, { solicited: true, override: false })]);
    expect(link.wakeAt).toBe(1000);
    expect(link.hear(none, group, { kind: "neighborSolicitation" })).toEqual([advertised(everybody, { solicited: false, override: false })]);
  });

  it("answers at a limited rate, and leaves a reason for what it does not", () => {
    const link = new Link();
    link.give({ kind: "defend" });
    const effects = Array.from({ length: 200 }, () => link.hear(S, group, { kind: "neighborSolicitation" })).flat();
    expect(effects.filter((e) => e.do === "sendNeighbor")).toHaveLength(100);
    expect(effects.at(-1)).toEqual({ do: "drop", reason: "too many neighbor solicitations" });
    link.now += 1_000;
    expect(link.hear(S, group, { kind: "neighborSolicitation" })[0]?.do).toBe("sendNeighbor");
    expect(link.hear(S, everybody, { kind: "neighborAdvertisement" })).toEqual([{ do: "drop", reason: "neighbor advertisement: another node claims a home address that is defended here" }]);
  });

  it("is silent once it is given up", () => {
    const link = new Link();
    link.give({ kind: "defend" });
    expect(link.give({ kind: "undefend" })).toEqual([]);
    expect(link.run()).toEqual([]);
    expect(link.hear(S, group, { kind: "neighborSolicitation" })[0]?.do).toBe("drop");
  });
});
