import { describe, expect, it } from "vitest";
import { altered, CorrespondentPeer, dropsOf, sentBy } from "../../../test/support/correspondentPeer.ts";
import { parseAddress, type Address } from "../../net/address.ts";
import { bindingManagementKey, verifyBindingAcknowledgement } from "../wire/authenticator.ts";
import type { BindingUpdate, MobilityPacket } from "../wire/message.ts";
import { decodePacket, encodePacket } from "../wire/packet.ts";

const X = parseAddress("2001:db8:f::1");
const Y = parseAddress("2001:db8:e::1");
const C = parseAddress("2001:db8:1::10");
const A = parseAddress("2001:db8:2::21");
const D = parseAddress("2001:db8:3::31");
const seconds = 1000;

const cookie = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);

/** Both tokens and the key they make. */
function tokensFor(peer: CorrespondentPeer, home = X, careOf = A) {
  const tokens = { home: peer.homeToken(home), careOf: peer.careOfToken(careOf) };
  return { ...tokens, kbm: bindingManagementKey(tokens.home.token, tokens.careOf.token) };
}

function acknowledgement(effects: ReturnType<CorrespondentPeer["give"]>) {
  const packet = sentBy(effects).find((p) => p.message.kind === "bindingAcknowledgement");
  if (packet?.message.kind !== "bindingAcknowledgement") return undefined;
  return { packet, ...packet.message };
}

function isSigned(packet: MobilityPacket, careOf: typeof X, kbm: Uint8Array): boolean {
  const decoded = decodePacket(encodePacket(packet));
  return decoded.ok && verifyBindingAcknowledgement(decoded.packet, decoded.mobilityHeader, careOf, kbm);
}

describe("test inits (§5.2.5, §9.4)", () => {
  it("are answered to their source with their cookie", () => {
    const peer = new CorrespondentPeer(C);
    const [home] = sentBy(peer.receive({ source: X, destination: C, message: { kind: "homeTestInit", cookie, options: [] } }));
    expect(home).toMatchObject({ source: C, destination: X, message: { kind: "homeTest", cookie } });
    const [careOf] = sentBy(peer.receive({ source: A, destination: C, message: { kind: "careOfTestInit", cookie, options: [] } }));
    expect(careOf).toMatchObject({ source: C, destination: A, message: { kind: "careOfTest", cookie } });
    expect(home).not.toHaveProperty("routingHomeAddress");
  });

  it("give home and care-of tokens that differ for one address, and for two addresses", () => {
    const peer = new CorrespondentPeer(C);
    const tokens = [peer.homeToken(A), peer.careOfToken(A), peer.homeToken(D)].map(({ token }) => token.join());
    expect(new Set(tokens).size).toBe(3);
    expect(peer.homeToken(A).token.join()).toBe(tokens[0]);
  });

  it("keep no state", () => {
    const peer = new CorrespondentPeer(C);
    peer.homeToken(X);
    peer.careOfToken(A);
    expect(peer.state.cache.size).toBe(0);
  });

  it("are dropped with a Home Address option, a routing header, in a tunnel, or from an address that cannot be answered", () => {
    const peer = new CorrespondentPeer(C);
    const init = { source: A, destination: C, message: { kind: "careOfTestInit", cookie, options: [] } } as const;
    const give = (packet: MobilityPacket) => dropsOf(peer.give({ kind: "packet", packet, mobilityHeader: new Uint8Array(16) }));
    expect(give({ ...init, homeAddress: X })).toEqual([expect.stringMatching(/Home Address option/)]);
    expect(give({ ...init, routingHomeAddress: C })).toEqual([expect.stringMatching(/routing header/)]);
    expect(give({ ...init, tunnel: { source: D, destination: C } })).toEqual([expect.stringMatching(/tunnel/)]);
    expect(give({ ...init, source: parseAddress("fe80::1") })).toEqual([expect.stringMatching(/unicast routable/)]);
    expect(sentBy(peer.effects)).toEqual([]);
  });

  it("are answered at a limited rate", () => {
    const peer = new CorrespondentPeer(C, { tests: { perSecond: 10, burst: 3 } });
    const init = { source: A, destination: C, message: { kind: "careOfTestInit", cookie, options: [] } } as const;
    const flood = () => Array.from({ length: 20 }, () => sentBy(peer.receive(init)).length).reduce((a, b) => a + b);
    expect(flood()).toBe(3);
    expect(dropsOf(peer.effects)).toEqual(["too many test inits"]);
    peer.now += 200;
    expect(flood()).toBe(2);
  });

  it("of one network leave the others theirs, whatever addresses it makes up", () => {
    const peer = new CorrespondentPeer(C, { tests: { perSecond: 100, burst: 100 }, testsEach: { perSecond: 10, burst: 5 } });
    const init = (source: Address) => ({ source, destination: C, message: { kind: "homeTestInit", cookie, options: [] } }) as const;
    const flood = () => Array.from({ length: 300 }, (_, i) => sentBy(peer.receive(init(parseAddress(`2001:db8:bad::${(i + 1).toString(16)}`)))).length).reduce((a, b) => a + b);
    expect(flood()).toBe(5);
    expect(dropsOf(peer.effects)).toEqual(["too many test inits from one network"]);
    expect(sentBy(peer.receive(init(X)))).toHaveLength(1);
    // Who is refused uses up nothing of what all share.
    const others = Array.from({ length: 200 }, (_, i) => sentBy(peer.receive(init(parseAddress(`2001:db8:0:${(i + 0x100).toString(16)}::1`)))).length).reduce((a, b) => a + b);
    expect(others).toBe(100 - 5 - 1);
    peer.now += 300;
    expect(flood()).toBe(3);
  });
});

describe("nonces (§5.2.2)", () => {
  it("change every 30 s at the latest, and tokens stay good for 210 s whenever they were made", () => {
    for (const madeAt of [0, 29_999]) {
      const peer = new CorrespondentPeer(C);
      peer.homeToken(Y);
      peer.now = madeAt;
      const tokens = tokensFor(peer);
      peer.now = madeAt + 210 * seconds;
      expect(acknowledgement(peer.receive(peer.update(X, A, 1, tokens)))?.status).toBe(0);
    }
    const peer = new CorrespondentPeer(C);
    const first = peer.homeToken(X);
    peer.now = 30 * seconds;
    expect(peer.homeToken(X).nonceIndex).toBe((first.nonceIndex + 1) & 0xffff);
  });

  it("are refused at 240 s: 136 home, 137 care-of, 138 both, without authenticator, and the old binding stays", () => {
    const peer = new CorrespondentPeer(C);
    peer.bind(X, D, 1);
    const old = tokensFor(peer);
    peer.now = 239_999;
    const young = tokensFor(peer);
    peer.now = 240 * seconds;
    const status = (home: typeof old.home, careOf: typeof old.careOf) => {
      const answer = acknowledgement(peer.receive(peer.update(X, A, 2, { home, careOf }, { acknowledge: false })));
      if (!answer) return undefined;
      expect(answer.options).toEqual([]);
      expect(answer.packet).toMatchObject({ destination: A, routingHomeAddress: X });
      return answer.status;
    };
    expect(status(old.home, young.careOf)).toBe(136);
    expect(status(young.home, old.careOf)).toBe(137);
    expect(status(old.home, old.careOf)).toBe(138);
    expect(peer.state.cache.get(X)).toMatchObject({ phase: "bound", careOf: D, sequence: 1 });
    expect(status(young.home, young.careOf)).toBeUndefined();
    expect(peer.state.cache.get(X)).toMatchObject({ careOf: A });
  });

  it("from before a restart are not recognised", () => {
    const before = new CorrespondentPeer(C);
    const tokens = tokensFor(before);
    const after = new CorrespondentPeer(C);
    after.state = { ...after.state, nonces: { ...after.state.nonces, nextIndex: tokens.home.nonceIndex + 5 } };
    expect(acknowledgement(after.receive(after.update(X, A, 1, tokens)))?.status).toBe(138);
  });
});

describe("binding updates (§9.5.1)", () => {
  it("bind with an authenticated acknowledgement to where they came from, and are told", () => {
    const peer = new CorrespondentPeer(C);
    const tokens = tokensFor(peer);
    const effects = peer.receive(peer.update(X, A, 77, tokens));
    expect(effects.map((effect) => effect.do)).toEqual(["bind", "send", "tell"]);
    expect(effects[0]).toEqual({ do: "bind", home: X, careOf: A });
    const answer = acknowledgement(effects);
    expect(answer).toMatchObject({ status: 0, sequence: 77, lifetimeUnits: 105, packet: { source: C, destination: A, routingHomeAddress: X } });
    expect(isSigned(answer?.packet as MobilityPacket, A, tokens.kbm)).toBe(true);
    expect(effects[2]).toEqual({ do: "tell", event: { type: "bindingAccepted", role: "correspondent", home: X, careOf: A, sequence: 77, lifetimeSeconds: 420 } });
  });

  it("are acknowledged only when they ask for it", () => {
    const peer = new CorrespondentPeer(C);
    const effects = peer.bind(X, A, 1, { acknowledge: false });
    expect(effects.map((effect) => effect.do)).toEqual(["bind", "tell"]);
  });

  it("get at most 420 s, and what they ask for below that", () => {
    const peer = new CorrespondentPeer(C);
    expect(acknowledgement(peer.bind(X, A, 1, { lifetimeSeconds: 4 * 65535 }))?.lifetimeUnits).toBe(105);
    expect(acknowledgement(peer.bind(X, A, 2, { lifetimeSeconds: 43 }))?.lifetimeUnits).toBe(10);
    expect(peer.state.cache.get(X)).toMatchObject({ expiresAt: 40 * seconds });
    const generous = new CorrespondentPeer(C, { lifetimeSeconds: 4_000 });
    expect(acknowledgement(generous.bind(X, A, 1, { lifetimeSeconds: 4_000 }))?.lifetimeUnits).toBe(105);
    const strict = new CorrespondentPeer(C, { lifetimeSeconds: 10 });
    expect(acknowledgement(strict.bind(X, A, 1))?.lifetimeUnits).toBe(2);
  });

  it("sent by a donor for another care-of address bind that address and are answered to the donor", () => {
    const peer = new CorrespondentPeer(C);
    const tokens = tokensFor(peer);
    const effects = peer.receive(peer.update(X, A, 1, tokens, { source: D }));
    expect(effects[0]).toEqual({ do: "bind", home: X, careOf: A });
    const answer = acknowledgement(effects);
    expect(answer?.packet).toMatchObject({ destination: D, routingHomeAddress: X });
    expect(isSigned(answer?.packet as MobilityPacket, A, tokens.kbm)).toBe(true);
  });

  it("with a wrong authenticator, wrong tokens, or a changed field are dropped without a word", () => {
    const peer = new CorrespondentPeer(C);
    peer.bind(X, D, 1);
    const tokens = tokensFor(peer);
    const forged = { ...tokens, home: { ...tokens.home, token: Uint8Array.of(9, 9, 9, 9, 9, 9, 9, 9) } };
    expect(peer.receive(peer.update(X, A, 2, forged))).toEqual([expect.objectContaining({ do: "drop", reason: expect.stringMatching(/authenticator/) as string })]);
    const right = peer.update(X, A, 2, tokens);
    const changed = { ...right, message: { ...(right.message as BindingUpdate), sequence: 3 } };
    expect(peer.receive(changed)).toEqual([expect.objectContaining({ do: "drop" })]);
    // The care-of token was made for A: another source cannot use it.
    expect(peer.receive({ ...right, source: D })).toEqual([expect.objectContaining({ do: "drop" })]);
    expect(peer.receive({ ...right, homeAddress: Y })).toEqual([expect.objectContaining({ do: "drop" })]);
    expect(peer.state.cache.get(X)).toMatchObject({ careOf: D, sequence: 1 });
    expect(acknowledgement(peer.receive(right))?.status).toBe(0);
  });

  it("without nonce indices, or with something behind the authenticator, are dropped", () => {
    const peer = new CorrespondentPeer(C);
    const tokens = tokensFor(peer);
    const right = peer.update(X, A, 1, tokens);
    const options = right.message.options;
    const give = (changed: typeof options) => dropsOf(peer.give({ kind: "packet", packet: { ...right, message: { ...right.message, options: changed } as BindingUpdate }, mobilityHeader: new Uint8Array(40) }));
    expect(give(options.filter((o) => o.kind !== "nonceIndices"))).toEqual(["binding update: no nonce indices"]);
    expect(give(options.filter((o) => o.kind !== "bindingAuthorization"))).toEqual([expect.stringMatching(/not the last option/)]);
    expect(give([...options, { kind: "unknown", type: 99, data: new Uint8Array() }])).toEqual([expect.stringMatching(/not the last option/)]);
  });

  it("need addresses that can be routed", () => {
    const peer = new CorrespondentPeer(C);
    const right = peer.update(X, A, 1, tokensFor(peer));
    const give = (change: Partial<MobilityPacket>) => dropsOf(peer.give({ kind: "packet", packet: { ...right, ...change }, mobilityHeader: new Uint8Array(40) }));
    expect(give({ homeAddress: parseAddress("ff02::1") })).toEqual([expect.stringMatching(/home address is not unicast/)]);
    const alternate = { ...right.message, options: [{ kind: "alternateCareOf", address: parseAddress("::1") }, ...right.message.options] } as BindingUpdate;
    expect(give({ message: alternate })).toEqual([expect.stringMatching(/care-of address is not unicast/)]);
  });

  it("whose care-of address is a cached home address are discarded", () => {
    const peer = new CorrespondentPeer(C);
    peer.bind(Y, D, 1);
    const effects = peer.bind(X, Y, 1);
    expect(dropsOf(effects)).toEqual([expect.stringMatching(/cached home address/)]);
    expect(sentBy(effects)).toEqual([]);
    expect(peer.state.cache.get(X)).toBeUndefined();
  });

  it("move a binding with one effect, and refresh it without", () => {
    const peer = new CorrespondentPeer(C);
    peer.bind(X, A, 1);
    expect(peer.bind(X, A, 2).map((e) => e.do)).toEqual(["send", "tell"]);
    expect(peer.bind(X, D, 3)[0]).toEqual({ do: "bind", home: X, careOf: D });
    expect(peer.state.cache.size).toBe(1);
  });
});

describe("home registrations at a correspondent", () => {
  const registration = (peer: CorrespondentPeer, nonces: boolean): MobilityPacket => {
    const base = peer.update(X, A, 5, tokensFor(peer));
    const options = nonces ? base.message.options : [];
    return { ...base, message: { ...(base.message as BindingUpdate), homeRegistration: true, options } };
  };

  it("are refused with 131, with 139 when a binding exists, and dropped with nonce indices", () => {
    const peer = new CorrespondentPeer(C);
    expect(acknowledgement(peer.receive(registration(peer, false)))).toMatchObject({ status: 131, sequence: 5, options: [] });
    expect(peer.receive(registration(peer, true))).toEqual([expect.objectContaining({ do: "drop", reason: expect.stringMatching(/with nonce indices/) as string })]);
    peer.bind(X, A, 1);
    expect(acknowledgement(peer.receive(registration(peer, false)))?.status).toBe(139);
    expect(peer.state.cache.get(X)).toMatchObject({ phase: "bound", sequence: 1 });
  });

  it("are refused at a limited rate, like all that nobody has proven", () => {
    const peer = new CorrespondentPeer(C, { refusals: { perSecond: 1, burst: 4 } });
    const answers = Array.from({ length: 10 }, () => sentBy(peer.receive(registration(peer, false))).length);
    expect(answers.reduce((a, b) => a + b)).toBe(4);
  });
});

describe("deregistration (§9.5.3)", () => {
  it("takes the home token alone, and ignores the care-of nonce index", () => {
    const peer = new CorrespondentPeer(C);
    peer.bind(X, A, 1);
    const home = peer.homeToken(X);
    const effects = peer.receive(peer.removal(X, A, 2, home));
    expect(effects.map((e) => e.do)).toEqual(["unbind", "tell", "send"]);
    expect(effects[1]).toEqual({ do: "tell", event: { type: "bindingRemoved", role: "correspondent", home: X, reason: "deregistered" } });
    const answer = acknowledgement(effects);
    expect(answer).toMatchObject({ status: 0, sequence: 2, lifetimeUnits: 0, packet: { destination: A, routingHomeAddress: X } });
    expect(isSigned(answer?.packet as MobilityPacket, X, bindingManagementKey(home.token))).toBe(true);
  });

  it("is refused when signed with both tokens, whatever says so: lifetime 0 or a care-of address equal to the home address", () => {
    const peer = new CorrespondentPeer(C);
    peer.bind(X, A, 1);
    const tokens = tokensFor(peer);
    const update = peer.update(X, A, 2, tokens);
    expect(dropsOf(peer.receive(altered(update, { lifetimeUnits: 0 }, tokens.kbm)))).toEqual([expect.stringMatching(/authenticator/)]);
    const homeward = [{ kind: "alternateCareOf", address: X } as const, ...update.message.options];
    expect(dropsOf(peer.receive(altered(update, { options: homeward }, tokens.kbm)))).toEqual([expect.stringMatching(/authenticator/)]);
    const kbm = bindingManagementKey(tokens.home.token);
    expect(acknowledgement(peer.receive(altered(update, { lifetimeUnits: 0 }, kbm)))?.lifetimeUnits).toBe(0);
    peer.bind(X, A, 3);
    expect(acknowledgement(peer.receive(altered(update, { options: homeward, sequence: 4 }, kbm)))).toMatchObject({ status: 0, lifetimeUnits: 0 });
    expect(peer.state.cache.get(X)?.phase).toBe("remembered");
  });

  it("from the home address itself is answered there, without routing header", () => {
    const peer = new CorrespondentPeer(C);
    peer.bind(X, A, 1);
    const home = peer.homeToken(X);
    const { homeAddress: _, ...atHome } = peer.removal(X, X, 2, home);
    const answer = acknowledgement(peer.receive(atHome));
    expect(answer?.packet.destination).toBe(X);
    expect(answer?.packet).not.toHaveProperty("routingHomeAddress");
    expect(peer.state.cache.get(X)?.phase).toBe("remembered");
  });

  it("keeps the old updates from being replayed while their nonces live", () => {
    const peer = new CorrespondentPeer(C);
    const tokens = tokensFor(peer);
    const captured = peer.update(X, A, 5, tokens);
    peer.receive(captured);
    peer.receive(peer.removal(X, A, 6, tokens.home));
    peer.now = 100 * seconds;
    const answer = acknowledgement(peer.receive(captured));
    expect(answer).toMatchObject({ status: 135, sequence: 6 });
    peer.now = 240 * seconds;
    expect(acknowledgement(peer.receive(captured))?.status).toBe(138);
    expect(peer.state.cache.size).toBe(0);
  });

  it("remembers for as long as the youngest nonce of any update lives, not only of the last", () => {
    const peer = new CorrespondentPeer(C);
    const early = tokensFor(peer);
    peer.now = 60 * seconds;
    const late = tokensFor(peer);
    const captured = peer.update(X, A, 5, late);
    peer.receive(captured);
    peer.receive(peer.removal(X, A, 6, early.home));
    peer.now = 299_999;
    expect(acknowledgement(peer.receive(captured))).toMatchObject({ status: 135, sequence: 6 });
  });

  it("lets a new update in with any number, once its home nonce is younger than all that were used", () => {
    const peer = new CorrespondentPeer(C);
    const tokens = tokensFor(peer);
    peer.receive(peer.update(X, A, 500, tokens));
    peer.receive(peer.removal(X, A, 501, tokens.home));
    expect(acknowledgement(peer.bind(X, A, 3))?.status).toBe(135);
    peer.now = 30 * seconds;
    expect(acknowledgement(peer.bind(X, A, 3))).toMatchObject({ status: 0, sequence: 3 });
  });

  it("of nothing is acknowledged too, and still shuts out what came before", () => {
    const peer = new CorrespondentPeer(C);
    const tokens = tokensFor(peer);
    const delayed = peer.update(X, A, 5, tokens);
    const effects = peer.receive(peer.removal(X, A, 6, tokens.home));
    expect(effects.map((e) => e.do)).toEqual(["send"]);
    expect(acknowledgement(effects)).toMatchObject({ status: 0, lifetimeUnits: 0 });
    expect(acknowledgement(peer.receive(delayed))?.status).toBe(135);
  });
});

describe("bindings", () => {
  it("end with their lifetime to the millisecond, even when the wake comes late", () => {
    const peer = new CorrespondentPeer(C);
    peer.bind(X, A, 1, { lifetimeSeconds: 8 });
    peer.now = 7_999;
    expect(peer.give({ kind: "wake" })).toEqual([{ do: "askUse", home: X }]);
    expect(peer.wakeAt).toBe(8 * seconds);
    peer.now = 9 * seconds;
    const effects = peer.give({ kind: "used", home: X });
    expect(effects.slice(0, 2)).toEqual([{ do: "unbind", home: X }, { do: "tell", event: { type: "bindingRemoved", role: "correspondent", home: X, reason: "lifetime over" } }]);
    expect(peer.state.cache.get(X)?.phase).toBe("remembered");
    peer.now = 240 * seconds;
    peer.give({ kind: "wake" });
    expect(peer.state.cache.size).toBe(0);
    expect(peer.wakeAt).toBeUndefined();
  });

  it("in use ask for a refresh before they end, through the home network, ever closer; unused ones do not (§9.5.5)", () => {
    for (const used of [true, false]) {
      const peer = new CorrespondentPeer(C);
      peer.bind(X, A, 1);
      const asked: number[] = [];
      for (let i = 0; i < 20 && peer.wakeAt !== undefined && peer.wakeAt < 420 * seconds; i++) {
        peer.now = peer.wakeAt;
        expect(peer.give({ kind: "wake" })).toEqual([{ do: "askUse", home: X }]);
        const sent = used ? sentBy(peer.give({ kind: "used", home: X })) : [];
        expect(sent).toEqual(used ? [{ source: C, destination: X, message: { kind: "bindingRefreshRequest", options: [] } }] : []);
        asked.push(peer.now / seconds);
      }
      expect(asked).toEqual([360, 390, 405, 412.5, 416.25, 418.125]);
      peer.now = 420 * seconds;
      expect(peer.give({ kind: "wake" })[0]).toEqual({ do: "unbind", home: X });
      expect(sentBy(peer.give({ kind: "used", home: X }))).toEqual([]);
    }
  });

  it("that a refresh prolongs ask later", () => {
    const peer = new CorrespondentPeer(C);
    peer.bind(X, A, 1);
    peer.now = 100 * seconds;
    peer.bind(X, A, 2);
    expect(peer.wakeAt).toBe(460 * seconds);
  });

  it("go when the care-of address stays unreachable, not for one error or a burst (§9.3.4)", () => {
    const peer = new CorrespondentPeer(C);
    peer.bind(X, A, 1);
    const unreachable = () => peer.give({ kind: "unreachable", home: X, careOf: A });
    for (let i = 0; i < 10; i++) expect(unreachable()).toEqual([]);
    peer.now = 31 * seconds;
    expect(unreachable()).toEqual([]);
    peer.now += 500;
    expect(unreachable()).toEqual([]);
    expect(dropsOf(peer.give({ kind: "unreachable", home: X, careOf: D }))).toHaveLength(1);
    peer.now += 500;
    expect(unreachable()).toEqual([{ do: "unbind", home: X }, { do: "tell", event: { type: "bindingRemoved", role: "correspondent", home: X, reason: "care-of address unreachable" } }]);
    // Its update cannot be replayed either.
    expect(peer.state.cache.get(X)?.phase).toBe("remembered");
  });

  it("all go when the role ends", () => {
    const peer = new CorrespondentPeer(C);
    peer.bind(X, A, 1);
    peer.bind(Y, A, 1);
    expect(peer.give({ kind: "end" }).filter((e) => e.do === "unbind").map((e) => e.home).toSorted()).toEqual([Y, X].toSorted());
    expect(peer.state.cache.size).toBe(0);
  });
});

describe("a full cache", () => {
  const home = (i: number) => parseAddress(`2001:db8:aa::${i.toString(16)}`);

  it("refuses new home addresses with 130, keeps and refreshes the others, and takes new ones when some have ended", () => {
    const peer = new CorrespondentPeer(C, { entries: 3 });
    for (let i = 1; i <= 3; i++) expect(acknowledgement(peer.bind(home(i), A, 1))?.status).toBe(0);
    const refused = acknowledgement(peer.bind(home(4), A, 9));
    expect(refused).toMatchObject({ status: 130, sequence: 9 });
    expect(refused?.options).toHaveLength(1);
    expect(acknowledgement(peer.bind(home(2), D, 2))?.status).toBe(0);
    expect(peer.state.cache.size).toBe(3);
    // A deregistration that could not be remembered is not accepted: the refused update could be replayed after it.
    expect(acknowledgement(peer.receive(peer.removal(home(4), A, 10, peer.homeToken(home(4)))))?.status).toBe(130);
    peer.now = 420 * seconds;
    expect(acknowledgement(peer.bind(home(4), A, 11))?.status).toBe(0);
  });
});

describe("Home Address options without a binding (§9.3.1)", () => {
  it("are answered with Binding Error status 1 to the IPv6 source, at a limited rate", () => {
    const peer = new CorrespondentPeer(C, { errors: { perSecond: 2, burst: 2 } });
    const input = { kind: "unboundHomeAddress", source: A, destination: C, homeAddress: X } as const;
    const [error] = sentBy(peer.give(input));
    expect(error).toEqual({ source: C, destination: A, message: { kind: "bindingError", status: 1, homeAddress: X, options: [] } });
    peer.give(input);
    expect(peer.give(input)).toEqual([{ do: "drop", reason: "too many Binding Errors", packet: expect.anything() as MobilityPacket }]);
    peer.now = 500;
    expect(sentBy(peer.give(input))).toHaveLength(1);
  });

  it("from an address that cannot be answered are not", () => {
    const peer = new CorrespondentPeer(C);
    expect(sentBy(peer.give({ kind: "unboundHomeAddress", source: parseAddress("ff02::1"), destination: C, homeAddress: X }))).toEqual([]);
  });
});

describe("messages that are not for a correspondent", () => {
  it("leave a reason", () => {
    const peer = new CorrespondentPeer(C);
    expect(dropsOf(peer.receive({ source: A, destination: C, message: { kind: "bindingRefreshRequest", options: [] } }))).toEqual(["bindingRefreshRequest is not for a correspondent"]);
  });
});
