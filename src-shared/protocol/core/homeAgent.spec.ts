import { describe, expect, it } from "vitest";
import { dropsOf, received, sentBy } from "../../../test/support/correspondentPeer.ts";
import { parseAddress } from "../../net/address.ts";
import { signRegistration, verifyRegistration, type MobilityKey } from "../wire/authenticator.ts";
import type { BindingUpdate, MobilityOption, MobilityPacket } from "../wire/message.ts";
import { encodeMobilityHeader } from "../wire/mobilityHeader.ts";
import { decodePacket, encodePacket } from "../wire/packet.ts";
import { newHomeAgent, refusalForForeignHome, serveHome, type HomeAgent, type HomeAgentInput, type HomeService } from "./homeAgent.ts";
import { newHomeAfterLoss, restoreHome, saveHome, SavedHomeError } from "./savedHome.ts";
import type { Effect } from "./step.ts";
import { ntpTimestamp, wallOfNtp } from "./timestamp.ts";

const X = parseAddress("2001:db8:f::1");
const H = parseAddress("2001:db8:f::ff");
const K = parseAddress("2001:db8:2::21");
const B = parseAddress("2001:db8:3::31");
const key = (spi: number): MobilityKey => ({ spi, key: new Uint8Array(32).fill(spi & 0xff) });
const epoch = Date.UTC(2026, 0, 1);

class Peer {
  state: HomeAgent;
  now = 0;
  wakeAt: number | undefined;

  constructor(service: Partial<HomeService> = {}) {
    this.state = newHomeAgent({ home: X, associations: [key(300)], maxLifetimeSeconds: 600, onLink: false, ...service }, 0);
  }

  give(input: HomeAgentInput): readonly Effect[] {
    const { state, effects, wakeAt } = serveHome(this.state, input, this.now);
    this.state = state;
    this.wakeAt = wakeAt;
    return effects;
  }

  get wall(): number {
    return epoch + this.now;
  }

  receive(packet: MobilityPacket, prefixValidMs = Infinity): readonly Effect[] {
    return this.give({ ...received(packet), wall: this.wall, prefixValidMs });
  }

  /** A registration that is right in everything but what `change` says. */
  update(sequence: number, change: UpdateChange = {}): MobilityPacket {
    const { careOf = K, association = key(300), at = this.wall, options = [], lifetimeUnits = 100, more = {} } = change;
    const timestamp: MobilityOption[] = at === null ? [] : [{ kind: "messageReplay", timestamp: ntpTimestamp(at) }];
    const packet: MobilityPacket = {
      source: careOf,
      destination: H,
      homeAddress: X,
      message: { kind: "bindingUpdate", sequence, acknowledge: true, homeRegistration: true, linkLocalCompatibility: false, keyManagement: false, lifetimeUnits, options: [...options, ...timestamp], ...more },
    };
    const alternate = options.find((o) => o.kind === "alternateCareOf");
    return signRegistration(packet, alternate?.address ?? careOf, association);
  }

  register(sequence: number, change: UpdateChange = {}): readonly Effect[] {
    this.now += 1;
    return this.receive(this.update(sequence, change));
  }
}

interface UpdateChange {
  readonly careOf?: typeof K;
  readonly association?: MobilityKey;
  /** Wall time of the message id; null for none. */
  readonly at?: number | null;
  readonly options?: readonly MobilityOption[];
  readonly lifetimeUnits?: number;
  readonly more?: Partial<BindingUpdate>;
}

function acknowledgement(effects: readonly Effect[]) {
  const [packet] = sentBy(effects);
  if (packet?.message.kind !== "bindingAcknowledgement") return undefined;
  return { packet, ...packet.message };
}

function isSigned(packet: MobilityPacket | undefined, association = key(300), careOf = K): boolean {
  const decoded = packet && decodePacket(encodePacket(packet));
  return decoded?.ok === true && verifyRegistration(decoded.packet, decoded.mobilityHeader, careOf, association);
}

describe("home registration (§10.3.1)", () => {
  it("tunnels and acknowledges, signed, with the message id as it came", () => {
    const peer = new Peer();
    const update = peer.update(9);
    const effects = peer.receive(update);
    expect(effects.map((e) => e.do)).toEqual(["tunnel", "send", "tell"]);
    expect(effects[0]).toEqual({ do: "tunnel", home: X, careOf: K });
    const answer = acknowledgement(effects);
    expect(answer).toMatchObject({ status: 0, sequence: 9, lifetimeUnits: 100, keyManagement: false, packet: { source: H, destination: K, routingHomeAddress: X } });
    expect(answer?.options[0]).toEqual(update.message.options[0]);
    expect(isSigned(answer?.packet)).toBe(true);
    expect(effects[2]).toEqual({ do: "tell", event: { type: "bindingAccepted", role: "homeAgent", home: X, careOf: K, sequence: 9, lifetimeSeconds: 400 } });
    expect(peer.wakeAt).toBe(400_000);
  });

  it("bounds the lifetime", () => {
    const peer = new Peer({ maxLifetimeSeconds: 30 });
    expect(acknowledgement(peer.register(1, { lifetimeUnits: 65535 }))?.lifetimeUnits).toBe(7);
    expect(acknowledgement(peer.register(2, { lifetimeUnits: 3 }))?.lifetimeUnits).toBe(3);
  });

  it("bounds the lifetime by what is left of the prefix's, and refuses with 132 when that is nothing", () => {
    const peer = new Peer();
    peer.now = 1_000;
    expect(acknowledgement(peer.receive(peer.update(1), 23_999))?.lifetimeUnits).toBe(5);
    expect(peer.wakeAt).toBe(21_000);
    peer.now += 1;
    const answer = acknowledgement(peer.receive(peer.update(2), 3_999));
    expect(answer?.status).toBe(132);
    expect(isSigned(answer?.packet)).toBe(true);
    // Giving it back is always possible.
    peer.now += 1;
    expect(acknowledgement(peer.receive(peer.update(3, { lifetimeUnits: 0 }), 0))?.status).toBe(0);
  });

  it("moves the tunnel when the care-of address changes, and leaves it when not", () => {
    const peer = new Peer();
    peer.register(1);
    expect(peer.register(2).map((e) => e.do)).toEqual(["send", "tell"]);
    expect(peer.register(3, { careOf: B })[0]).toEqual({ do: "tunnel", home: X, careOf: B });
    expect(peer.register(4, { careOf: B, options: [{ kind: "alternateCareOf", address: K }] })[0]).toEqual({ do: "tunnel", home: X, careOf: K });
  });

  it("ends with its lifetime, however late the wake", () => {
    const peer = new Peer();
    peer.register(1, { lifetimeUnits: 2 });
    peer.now = 8_000;
    expect(peer.give({ kind: "wake" })).toEqual([]);
    peer.now = 8_001;
    expect(peer.give({ kind: "wake" })).toEqual([{ do: "untunnel", home: X }, { do: "tell", event: { type: "bindingRemoved", role: "homeAgent", home: X, reason: "lifetime over" } }]);
    peer.register(2, { lifetimeUnits: 2 });
    peer.now = 30_000;
    // Not bound any more: any number will do, and the tunnel is made anew.
    expect(peer.register(1).map((e) => e.do)).toEqual(["untunnel", "tell", "tunnel", "send", "tell"]);
  });

  it("answers what is not newer with 135 and the last number, signed", () => {
    const peer = new Peer();
    peer.register(100);
    for (const sequence of [100, 99, (100 + 32768) & 0xffff]) {
      const answer = acknowledgement(peer.register(sequence, { careOf: B }));
      expect(answer).toMatchObject({ status: 135, sequence: 100 });
      expect(isSigned(answer?.packet, key(300), B)).toBe(true);
    }
    expect(peer.state).toMatchObject({ phase: "registered", careOf: K });
    expect(acknowledgement(peer.register(100 + 32767))?.status).toBe(0);
  });

  it("refuses care-of addresses to which no tunnel can lead with 174", () => {
    const peer = new Peer();
    expect(acknowledgement(peer.register(1, { options: [{ kind: "alternateCareOf", address: H }] }))?.status).toBe(174);
    // The decoder lets none of these through; the machine does not lean on that.
    const packet = peer.update(2, { at: peer.wall + 1, options: [{ kind: "alternateCareOf", address: parseAddress("ff02::1") }] });
    const effects = peer.give({ kind: "packet", packet, mobilityHeader: encodeMobilityHeader(packet.message), wall: peer.wall });
    expect(acknowledgement(effects)?.status).toBe(174);
    expect(peer.state.phase).toBe("unregistered");
  });

  it("drops what no home registration looks like", () => {
    const peer = new Peer();
    const refuses = (packet: MobilityPacket) => {
      const effects = peer.receive(packet);
      expect(sentBy(effects)).toEqual([]);
      return dropsOf(effects)[0];
    };
    expect(refuses(peer.update(1, { more: { homeRegistration: false } }))).toMatch(/not a home registration/);
    expect(refuses(peer.update(1, { options: [{ kind: "nonceIndices", home: 1, careOf: 1 }] }))).toMatch(/nonce indices/);
    const signed = peer.update(1);
    const appended = { ...signed, message: { ...signed.message, options: [...signed.message.options, { kind: "alternateCareOf", address: B }] } as BindingUpdate };
    // Nothing covers what stands behind the authentication.
    expect(refuses(appended)).toMatch(/not the last option/);
    expect(refuses({ ...signed, tunnel: { source: K, destination: H } })).toMatch(/direct path/);
    expect(refuses({ source: K, destination: H, message: { kind: "bindingRefreshRequest", options: [] } })).toMatch(/not for a home agent/);
  });

  it("that asks for no acknowledgement gets none, unless refused", () => {
    const peer = new Peer();
    expect(peer.register(5, { more: { acknowledge: false } }).map((e) => e.do)).toEqual(["tunnel", "tell"]);
    expect(acknowledgement(peer.register(5, { more: { acknowledge: false } }))?.status).toBe(135);
  });
});

describe("authentication (RFC 4285 §5)", () => {
  it("answers an unknown SPI, a wrong key or no option at all with 146, unsigned and at a limited rate", () => {
    const peer = new Peer();
    const wrong = { spi: 300, key: new Uint8Array(32).fill(1) };
    for (const packet of [peer.update(1, { association: key(301) }), peer.update(1, { association: wrong })]) {
      const answer = acknowledgement(peer.receive(packet));
      expect(answer).toMatchObject({ status: 146, sequence: 1, options: [] });
    }
    const bare = peer.update(1);
    const unsigned = { ...bare, message: { ...bare.message, options: bare.message.options.filter((o) => o.kind !== "authentication") } as BindingUpdate };
    expect(acknowledgement(peer.receive(unsigned))?.status).toBe(146);
    const more = Array.from({ length: 40 }, () => sentBy(peer.receive(unsigned)).length).reduce((a, b) => a + b);
    expect(more).toBe(17);
    expect(peer.state).toMatchObject({ phase: "unregistered", newestSpi: 0 });
  });

  it("covers care-of address, home address and every field", () => {
    const peer = new Peer();
    const right = peer.update(1);
    const changed: MobilityPacket[] = [
      { ...right, source: B },
      { ...right, message: { ...(right.message as BindingUpdate), sequence: 2 } },
      { ...right, message: { ...(right.message as BindingUpdate), lifetimeUnits: 0 } },
    ];
    for (const packet of changed) expect(acknowledgement(peer.receive(packet))?.status).toBe(146);
    expect(acknowledgement(peer.receive({ ...right, homeAddress: parseAddress("2001:db8:f::2") }))?.status).toBe(133);
  });
});

describe("message ids (RFC 4285 §6)", () => {
  it("are required: 145 without one", () => {
    const peer = new Peer();
    const answer = acknowledgement(peer.register(1, { at: null }));
    expect(answer?.status).toBe(145);
    expect(isSigned(answer?.packet)).toBe(true);
  });

  it("more than 7 s from our clock are answered with 144 and our seconds over their fraction", () => {
    const peer = new Peer();
    for (const off of [-7_100, 7_100, -86_400_000]) {
      const at = peer.wall + off + 0.25;
      const answer = acknowledgement(peer.register(1, { at }));
      expect(answer?.status).toBe(144);
      const [option] = answer?.options ?? [];
      const timestamp = option?.kind === "messageReplay" ? option.timestamp : 0n;
      expect(Math.abs(wallOfNtp(timestamp) - peer.wall)).toBeLessThanOrEqual(1_000);
      expect(timestamp & 0xffffffffn).toBe(ntpTimestamp(at) & 0xffffffffn);
    }
    for (const off of [-6_900, 6_900]) expect(acknowledgement(new Peer().register(1, { at: epoch + off }))?.status).toBe(0);
  });

  it("must grow: a replayed registration is refused, before and after its deregistration", () => {
    const peer = new Peer();
    const captured = peer.update(1);
    peer.receive(captured);
    expect(acknowledgement(peer.receive(captured))?.status).toBe(144);
    peer.register(2, { lifetimeUnits: 0 });
    expect(peer.state.phase).toBe("unregistered");
    expect(acknowledgement(peer.receive(captured))?.status).toBe(144);
    expect(peer.state.phase).toBe("unregistered");
  });
});

describe("epochs", () => {
  const associations = [key(300), key(301)];

  it("shut out older ones with 129, from the first proof of a newer one, even when that was refused for its number", () => {
    const peer = new Peer({ associations });
    peer.register(100);
    expect(acknowledgement(peer.register(50, { association: key(301), careOf: B }))?.status).toBe(135);
    const answer = acknowledgement(peer.register(101));
    expect(answer?.status).toBe(129);
    expect(isSigned(answer?.packet)).toBe(true);
    expect(acknowledgement(peer.register(101, { association: key(301), careOf: B }))?.status).toBe(0);
    expect(peer.state).toMatchObject({ careOf: B, spi: 301 });
    // The old contact cannot take the tunnel down either.
    expect(acknowledgement(peer.register(102, { lifetimeUnits: 0 }))?.status).toBe(129);
    expect(peer.state.phase).toBe("registered");
  });

  it("are not raised by whoever only names a newer SPI, nor by a stale message", () => {
    const peer = new Peer({ associations });
    peer.receive(peer.update(1, { association: { spi: 301, key: new Uint8Array(32) } }));
    peer.receive(peer.update(1, { association: key(301), at: peer.wall - 60_000 }));
    expect(peer.state.newestSpi).toBe(0);
    expect(acknowledgement(peer.register(1))?.status).toBe(0);
  });

  it("have message ids of their own: a backup whose clock is behind takes over", () => {
    const peer = new Peer({ associations });
    peer.register(1, { at: epoch + 5_000 });
    expect(acknowledgement(peer.register(2, { at: epoch + 4_000 }))?.status).toBe(144);
    expect(acknowledgement(peer.register(2, { association: key(301), at: epoch - 5_000, careOf: B }))?.status).toBe(0);
  });

  it("and limits can be changed under a binding", () => {
    const peer = new Peer();
    peer.register(1);
    expect(peer.give({ kind: "configure", service: { ...peer.state.service, associations: [key(301)], maxLifetimeSeconds: 8 } })).toEqual([]);
    expect(acknowledgement(peer.register(2))?.status).toBe(146);
    expect(acknowledgement(peer.register(2, { association: key(301) }))).toMatchObject({ status: 0, lifetimeUnits: 2 });
  });
});

describe("deregistration (§10.3.2)", () => {
  it("takes the tunnel down, by lifetime 0 or by the home address as care-of address", () => {
    for (const change of [{ lifetimeUnits: 0 }, { options: [{ kind: "alternateCareOf", address: X }] }] as const) {
      const peer = new Peer();
      peer.register(1);
      const effects = peer.register(2, change);
      expect(effects.map((e) => e.do)).toEqual(["untunnel", "tell", "send"]);
      expect(acknowledgement(effects)).toMatchObject({ status: 0, lifetimeUnits: 0, sequence: 2 });
      expect(peer.wakeAt).toBeUndefined();
    }
  });

  it("without a binding is answered with 133", () => {
    expect(acknowledgement(new Peer().register(1, { lifetimeUnits: 0 }))?.status).toBe(133);
  });

  it("happens when the home address is retired", () => {
    const peer = new Peer();
    peer.register(1);
    expect(peer.give({ kind: "retire" })[0]).toEqual({ do: "untunnel", home: X });
    expect(peer.give({ kind: "retire" })).toEqual([]);
  });
});

describe("a home address on a link of ours", () => {
  it("is looked for there first, then defended and tunnelled", () => {
    const peer = new Peer({ onLink: true });
    expect(peer.register(1)).toEqual([{ do: "checkDuplicate", home: X }]);
    // Retransmissions wait for the same check; the newest one is answered.
    expect(peer.register(2)).toEqual([]);
    const effects = peer.give({ kind: "duplicateChecked", duplicate: false });
    expect(effects.map((e) => e.do)).toEqual(["defend", "tunnel", "send", "tell"]);
    expect(acknowledgement(effects)).toMatchObject({ status: 0, sequence: 2 });
  });

  it("is not looked for again while bound", () => {
    const peer = new Peer({ onLink: true });
    peer.register(1);
    peer.give({ kind: "duplicateChecked", duplicate: false });
    expect(peer.register(2, { careOf: B }).map((e) => e.do)).toEqual(["tunnel", "send", "tell"]);
    expect(peer.register(3, { lifetimeUnits: 0 }).map((e) => e.do)).toEqual(["untunnel", "undefend", "tell", "send"]);
    expect(peer.register(4)).toEqual([{ do: "checkDuplicate", home: X }]);
  });

  it("that somebody else has is refused with 134", () => {
    const peer = new Peer({ onLink: true });
    peer.register(1);
    const answer = acknowledgement(peer.give({ kind: "duplicateChecked", duplicate: true }));
    expect(answer?.status).toBe(134);
    expect(isSigned(answer?.packet)).toBe(true);
    expect(peer.state.phase).toBe("unregistered");
    expect(dropsOf(peer.give({ kind: "duplicateChecked", duplicate: true }))).toHaveLength(1);
  });

  it("counts the prefix's lifetime from the request, not from the end of the check", () => {
    const peer = new Peer({ onLink: true });
    peer.receive(peer.update(1), 9_000);
    peer.now = 1_001;
    expect(acknowledgement(peer.give({ kind: "duplicateChecked", duplicate: false }))?.lifetimeUnits).toBe(1);
  });

  it("is announced again when a newer epoch takes over, and defended or not as the link changes", () => {
    const peer = new Peer({ onLink: true, associations: [key(300), key(301)] });
    peer.register(1);
    peer.give({ kind: "duplicateChecked", duplicate: false });
    expect(peer.register(2).map((e) => e.do)).toEqual(["send", "tell"]);
    expect(peer.register(3, { association: key(301), careOf: B }).map((e) => e.do)).toEqual(["defend", "tunnel", "send", "tell"]);
    expect(peer.give({ kind: "configure", service: { ...peer.state.service, onLink: false } })).toEqual([{ do: "undefend", home: X }]);
    expect(peer.give({ kind: "configure", service: { ...peer.state.service, onLink: true } })).toEqual([{ do: "defend", home: X }]);
  });

  it("is looked for again when the answer never came", () => {
    const peer = new Peer({ onLink: true });
    peer.register(1);
    peer.now = 5_001;
    expect(peer.register(2)).toEqual([{ do: "checkDuplicate", home: X }]);
  });
});

describe("home addresses of others", () => {
  it("are refused with 132 outside our home subnets, with 133 inside", () => {
    const update = new Peer().update(7) as MobilityPacket & { message: BindingUpdate };
    expect(refusalForForeignHome(update, false)).toMatchObject({ source: H, destination: K, routingHomeAddress: X, message: { status: 132, sequence: 7 } });
    expect(refusalForForeignHome(update, true)).toMatchObject({ message: { status: 133 } });
  });
});

describe("a restart", () => {
  const service: HomeService = { home: X, associations: [key(300), key(301)], maxLifetimeSeconds: 600, onLink: false };

  it("keeps the binding for what is left of it, its number and the fence, on a machine with another monotonic clock", () => {
    const peer = new Peer(service);
    peer.register(7, { association: key(301) });
    peer.now += 1;
    const captured = peer.update(8, { association: key(301) });
    expect(acknowledgement(peer.receive(captured))?.status).toBe(0);
    const saved: unknown = JSON.parse(JSON.stringify(saveHome(peer.state, peer.now, peer.wall)));
    expect(JSON.stringify(saved)).not.toMatch(/"key"/);

    const later = peer.wall + 100_000;
    const { state, effects, wakeAt } = restoreHome(X, saved, 5_000_000, later);
    expect(effects).toEqual([{ do: "tunnel", home: X, careOf: K }]);
    expect(wakeAt).toBe(5_000_000 + 300_000);
    const after = new Peer(service);
    after.state = state;
    // Keys are not kept: until the manager gives them again, nobody is answered.
    expect(dropsOf(after.receive(captured))).toEqual(["home registration before the manager has given its keys"]);
    expect(after.give({ kind: "configure", service })).toEqual([]);
    after.now = 100_002;
    expect(acknowledgement(after.register(8, { association: key(301) }))?.status).toBe(135);
    expect(acknowledgement(after.register(9))?.status).toBe(129);
    expect(acknowledgement(after.receive(captured))?.status).toBe(144);
  });

  it("does not bring back what has run out, but the fence", () => {
    const peer = new Peer(service);
    peer.register(7, { association: key(301) });
    const { state, effects } = restoreHome(X, saveHome(peer.state, peer.now, peer.wall), 0, peer.wall + 400_000);
    expect(effects).toEqual([]);
    expect(state).toMatchObject({ phase: "unregistered", newestSpi: 301 });
  });

  it("defends again what lies on the link, and never prolongs beyond the limit when the clock was set back", () => {
    const peer = new Peer({ ...service, onLink: true });
    peer.register(1);
    peer.give({ kind: "duplicateChecked", duplicate: false });
    const { effects, wakeAt } = restoreHome(X, saveHome(peer.state, peer.now, peer.wall), 0, peer.wall - 1e9);
    expect(effects.map((e) => e.do)).toEqual(["defend", "tunnel"]);
    expect(wakeAt).toBe(600_000);
  });

  it("without what was saved takes the newest epoch alone, by message ids from then on", () => {
    const peer = new Peer(service);
    peer.register(7, { association: key(301) });
    const captured = peer.update(8, { association: key(301) });
    peer.now += 5_000;
    const after = new Peer(service);
    after.now = peer.now;
    after.state = newHomeAfterLoss(service, after.now, after.wall);
    expect(acknowledgement(after.receive(captured))?.status).toBe(144);
    expect(acknowledgement(after.register(9))?.status).toBe(129);
    expect(acknowledgement(after.register(9, { association: key(301) }))?.status).toBe(0);
  });

  it("says what is wrong with what it reads", () => {
    const good = saveHome(new Peer(service).state, 0, epoch);
    const bad: [unknown, RegExp][] = [
      [null, /not an object/],
      ["{}", /not an object/],
      [{ ...good, version: 2 }, /version is 2/],
      [{ ...good, home: "::1" }, /about home address ::1, not 2001:db8:f::1/],
      [{ ...good, onLink: "yes" }, /onLink/],
      [{ ...good, maxLifetimeSeconds: 1e9 }, /maxLifetimeSeconds/],
      [{ ...good, newestSpi: -1 }, /newestSpi/],
      [{ ...good, newestTimestamp: 7 }, /newestTimestamp/],
      [{ ...good, binding: { careOf: "nowhere", sequence: 1, spi: 300, expiresAtWall: 1 } }, /careOf/],
      [{ ...good, binding: { careOf: K, sequence: 70_000, spi: 300, expiresAtWall: 1 } }, /sequence/],
      [{ ...good, binding: { careOf: K, sequence: 1, spi: 300, expiresAtWall: null } }, /expiresAtWall/],
    ];
    for (const [saved, message] of bad) {
      expect(() => restoreHome(X, saved, 0, epoch)).toThrow(SavedHomeError);
      expect(() => restoreHome(X, saved, 0, epoch)).toThrow(message);
    }
  });
});
