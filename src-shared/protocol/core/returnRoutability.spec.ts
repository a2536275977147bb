import { describe, expect, it } from "vitest";
import { CorrespondentPeer, received, sentBy } from "../../../test/support/correspondentPeer.ts";
import { parseAddress } from "../../net/address.ts";
import { seededRandom } from "../../stats/random.ts";
import { bindingManagementKey, signBindingAcknowledgement } from "../wire/authenticator.ts";
import type { BindingAcknowledgement, BindingUpdate, MobilityPacket } from "../wire/message.ts";
import {
  acknowledgementOutcome,
  bindingUpdateFor,
  careOfTestAnswered,
  careOfTestTimer,
  homeTestAnswered,
  homeTestTimer,
  removalFor,
  startCareOfTest,
  startHomeTest,
  type AwaitedAcknowledgement,
} from "./returnRoutability.ts";

const X = parseAddress("2001:db8:f::1");
const H = parseAddress("2001:db8:f::ff");
const C = parseAddress("2001:db8:1::10");
const A = parseAddress("2001:db8:2::21");
const D = parseAddress("2001:db8:3::31");
const tunnel = { source: A, destination: H };
const token = Uint8Array.of(8, 7, 6, 5, 4, 3, 2, 1);

const random = () => seededRandom("probe").bytes;
const homeTest = (init: MobilityPacket, change: Partial<MobilityPacket> = {}, cookie = cookieOf(init)): MobilityPacket => ({
  source: C,
  destination: X,
  tunnel: { source: H, destination: A },
  message: { kind: "homeTest", nonceIndex: 3, cookie, token, options: [] },
  ...change,
});
const careOfTest = (init: MobilityPacket, change: Partial<MobilityPacket> = {}, cookie = cookieOf(init)): MobilityPacket => ({
  source: C,
  destination: A,
  message: { kind: "careOfTest", nonceIndex: 4, cookie, token, options: [] },
  ...change,
});

function cookieOf(init: MobilityPacket): Uint8Array {
  if (init.message.kind !== "homeTestInit" && init.message.kind !== "careOfTestInit") throw new Error("not an init");
  return init.message.cookie;
}

describe("the home test (§11.6.1, §11.6.2)", () => {
  it("leaves from the home address through the tunnel, without Home Address option", () => {
    const { packet, probe } = startHomeTest({ home: X, client: C, tunnel }, 100, random());
    expect(packet).toEqual({ source: X, destination: C, tunnel, message: { kind: "homeTestInit", cookie: cookieOf(packet), options: [] } });
    expect(probe).toMatchObject({ startedAt: 100, retryAt: 1100 });
  });

  it("counts only through the home tunnel, from the client to the home address, with our cookie", () => {
    const { packet: init, probe } = startHomeTest({ home: X, client: C, tunnel }, 0, random());
    const refused = (packet: MobilityPacket) => {
      const outcome = homeTestAnswered(probe, packet, 1);
      return outcome.ok ? "accepted" : outcome.reason;
    };
    const { tunnel: _, ...direct } = homeTest(init);
    expect(refused(direct)).toMatch(/outside the home tunnel/);
    expect(refused(homeTest(init, { tunnel: { source: D, destination: A } }))).toMatch(/outside the home tunnel/);
    expect(refused(homeTest(init, { tunnel: { source: H, destination: D } }))).toMatch(/outside the home tunnel/);
    expect(refused(homeTest(init, { source: D }))).toMatch(/another node/);
    expect(refused(homeTest(init, { destination: A }))).toMatch(/not to the home address/);
    expect(refused(homeTest(init, {}, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)))).toMatch(/cookie/);
    expect(refused(careOfTest(init, { destination: X, tunnel: { source: H, destination: A } }))).toMatch(/not a home test/);
    expect(homeTestAnswered(probe, homeTest(init), 60)).toEqual({ ok: true, token, nonceIndex: 3, usableUntil: 210_060 });
  });

  it("is repeated at 1, 3, 7, 15, 31, 63 and 95 s with a new cookie each time, and an answer to any of the last eight counts (§11.8)", () => {
    const started = startHomeTest({ home: X, client: C, tunnel }, 0, random());
    let { probe } = started;
    const inits = [started.packet];
    const times: number[] = [];
    while (inits.length < 8) {
      expect(homeTestTimer(probe, probe.retryAt - 1)).toEqual({ probe });
      const now = probe.retryAt;
      const next = homeTestTimer(probe, now);
      probe = next.probe;
      times.push(now / 1000);
      inits.push(next.packet as MobilityPacket);
    }
    expect(times).toEqual([1, 3, 7, 15, 31, 63, 95]);
    expect(new Set(inits.map((init) => cookieOf(init).join())).size).toBe(8);
    for (const init of inits) expect(homeTestAnswered(probe, homeTest(init), 1).ok).toBe(true);
    // A cookie that has not been sent yet is not ours to accept.
    const fresh = startHomeTest({ home: X, client: C, tunnel }, 0, random()).probe;
    expect(homeTestAnswered(fresh, homeTest(inits[5] as MobilityPacket), 1).ok).toBe(false);
  });
});

describe("the care-of test", () => {
  it("takes the direct path both ways, with our cookie", () => {
    const { packet: init, probe } = startCareOfTest({ careOf: A, client: C }, 0, random());
    expect(init).toEqual({ source: A, destination: C, message: { kind: "careOfTestInit", cookie: cookieOf(init), options: [] } });
    const refused = (packet: MobilityPacket) => {
      const outcome = careOfTestAnswered(probe, packet, 1);
      return outcome.ok ? "accepted" : outcome.reason;
    };
    expect(refused(careOfTest(init, { source: D }))).toMatch(/another node/);
    expect(refused(careOfTest(init, { destination: D }))).toMatch(/care-of address/);
    expect(refused(careOfTest(init, { tunnel: { source: H, destination: A } }))).toMatch(/care-of address/);
    expect(refused(careOfTest(init, {}, token))).toMatch(/cookie/);
    expect(refused(homeTest(init, { destination: A }))).toMatch(/not a care-of test/);
    expect(careOfTestAnswered(probe, careOfTest(init), 70)).toEqual({ ok: true, token, nonceIndex: 4, usableUntil: 210_070 });
    const again = careOfTestTimer(probe, 1000);
    expect(cookieOf(again.packet as MobilityPacket)).not.toEqual(cookieOf(init));
    expect(again.probe.retryAt).toBe(3000);
  });
});

describe("binding updates (§11.7.2)", () => {
  const kbm = bindingManagementKey(token, token);
  const content = { home: X, client: C, careOf: A, sequence: 9, lifetimeSeconds: 420, homeNonceIndex: 3, careOfNonceIndex: 4, kbm };

  it("carry the Home Address option, nonce indices, and the authenticator last", () => {
    const packet = bindingUpdateFor(content);
    expect(packet).toMatchObject({ source: A, destination: C, homeAddress: X, message: { acknowledge: true, homeRegistration: false, lifetimeUnits: 105, sequence: 9 } });
    expect(packet.message.options).toEqual([{ kind: "nonceIndices", home: 3, careOf: 4 }, { kind: "bindingAuthorization", authenticator: expect.any(Uint8Array) as Uint8Array }]);
  });

  it("of a donor name the acceptor as Alternate Care-of Address", () => {
    const packet = bindingUpdateFor({ ...content, source: D });
    expect(packet.source).toBe(D);
    expect(packet.message.options.map((o) => o.kind)).toEqual(["nonceIndices", "alternateCareOf", "bindingAuthorization"]);
    expect(bindingUpdateFor({ ...content, source: A })).toEqual(bindingUpdateFor(content));
  });

  it("never deregister by a short lifetime", () => {
    expect(() => bindingUpdateFor({ ...content, lifetimeSeconds: 3 })).toThrow(/removalFor/);
    expect((bindingUpdateFor({ ...content, lifetimeSeconds: 7 }).message as BindingUpdate).lifetimeUnits).toBe(1);
  });

  it("that deregister say so in both ways, so that every correspondent signs over the home address", () => {
    const packet = removalFor({ home: X, client: C, source: A, sequence: 9, homeNonceIndex: 3, kbm: bindingManagementKey(token) });
    expect(packet).toMatchObject({ source: A, homeAddress: X, message: { lifetimeUnits: 0, options: [{ kind: "nonceIndices", home: 3 }, { kind: "alternateCareOf", address: X }, { kind: "bindingAuthorization" }] } });
  });
});

describe("acknowledgements of a correspondent (§11.7.3)", () => {
  const kbm = bindingManagementKey(token, token);
  const awaited: AwaitedAcknowledgement = { home: X, client: C, careOf: A, sequence: 9, kbm };

  const outcome = (message: Partial<BindingAcknowledgement>, how: { readonly packet?: Partial<MobilityPacket>; readonly key?: Uint8Array | null; readonly awaited?: Partial<AwaitedAcknowledgement> } = {}) => {
    const { key = kbm } = how;
    const full: BindingAcknowledgement = { kind: "bindingAcknowledgement", status: 0, keyManagement: false, sequence: 9, lifetimeUnits: 105, options: [], ...message };
    const packet: MobilityPacket = { source: C, destination: A, routingHomeAddress: X, message: full, ...how.packet };
    const { packet: got, mobilityHeader } = received(key ? signBindingAcknowledgement(packet, A, key) : packet);
    return acknowledgementOutcome({ ...awaited, ...how.awaited }, got, mobilityHeader);
  };

  it("accept with the granted lifetime", () => {
    expect(outcome({ lifetimeUnits: 60 })).toEqual({ kind: "accepted", sequence: 9, lifetimeSeconds: 240 });
  });

  it("count only from the client to where the update left from, by way of the home address, and signed", () => {
    const reason = (...args: Parameters<typeof outcome>) => {
      const o = outcome(...args);
      return o.kind === "ignored" ? o.reason : o.kind;
    };
    expect(reason({}, { packet: { source: D } })).toMatch(/another node/);
    expect(reason({}, { packet: { destination: D } })).toMatch(/left from/);
    expect(reason({}, { packet: { tunnel: { source: H, destination: A } } })).toMatch(/left from/);
    expect(reason({}, { packet: { routingHomeAddress: A } })).toMatch(/type 2 routing header/);
    expect(reason({}, { key: null })).toMatch(/authenticator/);
    expect(reason({}, { key: bindingManagementKey(token) })).toMatch(/authenticator/);
    expect(reason({}, { awaited: { careOf: D, source: A } })).toMatch(/authenticator/);
    expect(reason({ sequence: 8 })).toMatch(/another sequence/);
    expect(reason({ sequence: 10 })).toMatch(/another sequence/);
    expect(acknowledgementOutcome(awaited, careOfTest({ source: A, destination: C, message: { kind: "careOfTestInit", cookie: token, options: [] } }), new Uint8Array())).toMatchObject({ kind: "ignored" });
  });

  it("go to the donor when the donor sent the update", () => {
    expect(outcome({}, { packet: { destination: D }, awaited: { source: D } }).kind).toBe("accepted");
  });

  it("may answer any transmission since the first", () => {
    expect(outcome({ sequence: 7 }, { awaited: { firstSequence: 7 } })).toMatchObject({ kind: "accepted", sequence: 7 });
    expect(outcome({ sequence: 65535 }, { awaited: { firstSequence: 65534, sequence: 2 } })).toMatchObject({ kind: "accepted" });
    expect(outcome({ sequence: 6 }, { awaited: { firstSequence: 7 } }).kind).toBe("ignored");
  });

  it("with 135 say which number came last, and must be signed to be believed", () => {
    expect(outcome({ status: 135, sequence: 5000 })).toEqual({ kind: "refused", status: 135, lastSequence: 5000, expired: [] });
    expect(outcome({ status: 135, sequence: 5000 }, { key: null }).kind).toBe("ignored");
  });

  it("with 136 to 138 name the tokens to fetch anew, unsigned, but only for our number", () => {
    for (const [status, expired] of [[136, ["home"]], [137, ["careOf"]], [138, ["home", "careOf"]]] as const) {
      expect(outcome({ status }, { key: null })).toEqual({ kind: "refused", status, lastSequence: null, expired });
      expect(outcome({ status, sequence: 1 }, { key: null }).kind).toBe("ignored");
    }
  });

  it("refuse otherwise with their status", () => {
    expect(outcome({ status: 130 })).toEqual({ kind: "refused", status: 130, lastSequence: null, expired: [] });
    expect(outcome({ status: 127 }).kind).toBe("accepted");
    expect(outcome({ status: 128 }).kind).toBe("refused");
  });
});

describe("two members against a correspondent (§5.2: nothing in a token says who ran the test)", () => {
  it("bind with the contact's home token and the acceptor's care-of token, and deregister", () => {
    const client = new CorrespondentPeer(C);
    const contactTunnel = { source: D, destination: H };
    const home = startHomeTest({ home: X, client: C, tunnel: contactTunnel }, 0, random());
    const { tunnel: _, ...throughHome } = home.packet;
    const [homeAnswer] = sentBy(client.receive(throughHome));
    const homeOutcome = homeTestAnswered(home.probe, { ...(homeAnswer as MobilityPacket), tunnel: { source: H, destination: D } }, 0);
    const careOf = startCareOfTest({ careOf: A, client: C }, 0, random());
    const [careOfAnswer] = sentBy(client.receive(careOf.packet));
    const careOfOutcome = careOfTestAnswered(careOf.probe, careOfAnswer as MobilityPacket, 0);
    expect([homeOutcome.ok, careOfOutcome.ok]).toEqual([true, true]);
    if (!homeOutcome.ok || !careOfOutcome.ok) return;

    const kbm = bindingManagementKey(homeOutcome.token, careOfOutcome.token);
    const update = bindingUpdateFor({ home: X, client: C, careOf: A, sequence: 1, lifetimeSeconds: 420, homeNonceIndex: homeOutcome.nonceIndex, careOfNonceIndex: careOfOutcome.nonceIndex, kbm });
    const [answer] = sentBy(client.receive(update));
    const { packet, mobilityHeader } = received(answer as MobilityPacket);
    expect(acknowledgementOutcome({ home: X, client: C, careOf: A, sequence: 1, kbm }, packet, mobilityHeader)).toEqual({ kind: "accepted", sequence: 1, lifetimeSeconds: 420 });

    const homeKey = bindingManagementKey(homeOutcome.token);
    const [removed] = sentBy(client.receive(removalFor({ home: X, client: C, source: A, sequence: 2, homeNonceIndex: homeOutcome.nonceIndex, kbm: homeKey })));
    const got = received(removed as MobilityPacket);
    expect(acknowledgementOutcome({ home: X, client: C, careOf: X, source: A, sequence: 2, kbm: homeKey }, got.packet, got.mobilityHeader)).toMatchObject({ kind: "accepted", lifetimeSeconds: 0 });
    expect(client.state.cache.get(X)?.phase).toBe("remembered");
  });
});
