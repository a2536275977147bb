import { decodeEnvelope, encodeEnvelope } from "../../../src-adapter/envelope.ts";
import { readFirstDatagram } from "../../../src-agent/linux/packetChannel.ts";
import { decodeBundle, encodeBundle, type BundleEntry } from "../../../src-agent/services/bundle.ts";
import { decodeSnapshot, encodeSnapshot, type TcpSnapshot } from "../../../src-agent/tcp/snapshot.ts";
import { adapterMessage, agentMessage } from "../../../src-shared/api/adapter.ts";
import { parseAddress } from "../../../src-shared/net/address.ts";
import { parsePrefix, formatPrefix } from "../../../src-shared/net/prefix.ts";
import { formatAddress, addressBytes } from "../../../src-shared/net/address.ts";
import { newHomeAgent } from "../../../src-shared/protocol/core/homeAgent.ts";
import { restoreHome, saveHome } from "../../../src-shared/protocol/core/savedHome.ts";
import { allowed, must, mustEqual, type Target } from "../target.ts";

/** What `read` makes of the input, or undefined when it is refused with one of these errors. */
function accepted<T>(read: () => T, mayThrow: readonly string[]): T | undefined {
  try {
    return read();
  } catch (error) {
    allowed(error, mayThrow);
    return undefined;
  }
}

const bytesOf = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, "utf8"));

const tcp: TcpSnapshot = {
  local: { address: parseAddress("2001:db8::1"), port: 80 },
  peer: { address: parseAddress("2001:db8::c"), port: 50_000 },
  segmentLimit: 1440,
  scales: { send: 7, receive: 8 },
  sackPermitted: true,
  timestamp: 5,
  window: { lastWindowUpdate: 1, sendWindow: 2, maximumWindow: 3, receiveWindow: 4, receiveWindowUpdate: 5 },
  sendSequence: 0xffff_fff0,
  sentBytes: 2,
  sendQueue: Uint8Array.of(1, 2, 3),
  ended: false,
  receiveSequence: 9,
  receiveQueue: Uint8Array.of(4),
  peerEnded: true,
  rtt: 30_000,
  congestionWindow: 10,
  congestionControl: "cubic",
  sendBuffer: 87_040,
  settings: { noDelay: 1, keepAlive: 0, keepIdle: 7200, keepInterval: 75, keepCount: 9, userTimeout: 0, trafficClass: 0 },
};
const bare: TcpSnapshot = { ...tcp, scales: null, timestamp: null, sackPermitted: false, sendQueue: new Uint8Array(0), sentBytes: 0, receiveQueue: new Uint8Array(0), peerEnded: false };

const snapshot: Target = {
  name: "snapshot",
  weight: 15,
  longest: 300,
  seeds: () => [tcp, bare].map((s) => Uint8Array.from(encodeSnapshot(s))),
  run: (input) => {
    const read = accepted(() => decodeSnapshot(input), ["DecodeError"]);
    if (read) mustEqual(decodeSnapshot(encodeSnapshot(read)), read, "decoded, encoded, decoded");
  },
};

const bundle: Target = {
  name: "bundle",
  weight: 12,
  longest: 700,
  seeds: () => {
    const entries: readonly BundleEntry[] = [
      { service: "web", phase: "serving", state: Uint8Array.of(1, 2), tcp },
      { service: "echo", phase: "fresh", state: new Uint8Array(0), tcp: bare },
    ];
    return [[], entries.slice(0, 1), entries].map((some) => Uint8Array.from(encodeBundle(some)));
  },
  run: (input) => {
    const read = accepted(() => decodeBundle(input), ["DecodeError"]);
    if (read) mustEqual(decodeBundle(encodeBundle(read)), read, "decoded, encoded, decoded");
  },
};

const envelope: Target = {
  name: "envelope",
  weight: 8,
  longest: 100,
  seeds: () => [Uint8Array.from(encodeEnvelope({ pending: Uint8Array.of(1), endWanted: true, closeWanted: false, peerEndSeen: true, application: Uint8Array.of(2, 3) }))],
  run: (input) => {
    const read = accepted(() => decodeEnvelope(input), ["DecodeError"]);
    if (read) mustEqual(decodeEnvelope(encodeEnvelope(read)), read, "decoded, encoded, decoded");
  },
};

/** First datagrams on a service's socket, in both directions. */
const adapter: Target = {
  name: "adapterMessages",
  weight: 8,
  longest: 400,
  seeds: () =>
    [
      { type: "register", protocol: 1, service: "web", port: 80, version: "1", blob: 0 },
      { type: "released", request: 1, connection: 2, blob: 3 },
      { type: "closed", connection: 1, how: "reset", reason: "r", blob: 0 },
      { type: "adopt", connection: 1, peer: { address: "::1", port: 9 }, stateBytes: 0, peerEnded: false, blob: 0 },
      { type: "release", request: 1, connections: [1, 2], blob: 0 },
    ].map((message) => {
      const json = Buffer.from(JSON.stringify(message));
      const head = Buffer.alloc(4);
      head.writeUInt32BE(json.length);
      return Uint8Array.from(Buffer.concat([head, json, Buffer.of(1, 2, 3)]));
    }),
  repair: (input, random) => {
    const end = Buffer.from(input).lastIndexOf(0x7d);
    if (end < 5 || random.below(4) === 0) return input;
    const bytes = Buffer.from(input);
    bytes.writeUInt32BE(end - 3, 0);
    return Uint8Array.from(bytes);
  },
  run: (input) => {
    const read = accepted(() => readFirstDatagram(Buffer.from(input)), ["RangeError"]);
    if (!read) return;
    must(read.rest.length <= input.length, "a rest longer than the datagram");
    adapterMessage.safeParse(read.json);
    agentMessage.safeParse(read.json);
  },
};

/** Addresses and prefixes as texts. */
const addresses: Target = {
  name: "addresses",
  weight: 10,
  longest: 60,
  seeds: () => ["2001:db8::1", "::", "::ffff:1.2.3.4", "fe80::1", "1:2:3:4:5:6:7:8", "2001:db8::/32", "::/0"].map(bytesOf),
  run: (input) => {
    const text = Buffer.from(input).toString("latin1");
    const address = accepted(() => parseAddress(text), ["RangeError"]);
    if (address) {
      mustEqual(parseAddress(address), address, "an address read twice");
      mustEqual(formatAddress(addressBytes(address)), address, "an address written from its bytes");
    }
    const prefix = accepted(() => parsePrefix(text), ["RangeError"]);
    if (prefix) mustEqual(parsePrefix(formatPrefix(prefix)), prefix, "a prefix read twice");
  },
};

/** A home agent's file of what must outlive it. */
const savedHome: Target = {
  name: "savedHome",
  weight: 6,
  longest: 400,
  seeds: () => {
    const registered = { ...newHomeAgent(service, 0), newestSpi: 300, newestTimestamp: 5n, phase: "registered" as const, careOf: parseAddress("2001:db8::a"), sequence: 4, expiresAt: 90_000, spi: 300 };
    return [newHomeAgent(service, 0), registered].map((state) => bytesOf(JSON.stringify(saveHome(state, 0, 1e12))));
  },
  run: (input) => {
    const json = accepted(() => JSON.parse(Buffer.from(input).toString("utf8")) as unknown, ["SyntaxError"]);
    const step = accepted(() => restoreHome(service.home, json, 1_000, 1e12), ["SavedHomeError"]);
    if (step?.state.phase === "registered") must(step.state.expiresAt <= 1_000 + Math.min(262_140, step.state.service.maxLifetimeSeconds) * 1000, "a binding longer than it may be");
  },
};
const service = { home: parseAddress("2001:db8:f::1"), associations: [{ spi: 300, key: new Uint8Array(32) }], maxLifetimeSeconds: 420, onLink: false };

export const moveTargets: readonly Target[] = [snapshot, bundle, envelope, adapter, addresses, savedHome];
