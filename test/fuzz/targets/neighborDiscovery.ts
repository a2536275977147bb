import { formatAddress, parseAddress } from "../../../src-shared/net/address.ts";
import { upperLayerChecksum } from "../../../src-shared/net/checksum.ts";
import { solicitedNode } from "../../../src-shared/net/scope.ts";
import { newHomeLink, tendHomeLink, type HomeLink, type HomeLinkInput } from "../../../src-shared/protocol/core/homeLink.ts";
import { decodeNeighbor, encodeNeighbor, type NeighborPacket } from "../../../src-shared/protocol/wire/neighborDiscovery.ts";
import { must, mustEqual, type Target } from "../target.ts";

const X = parseAddress("2001:db8:1::7a:b");
const H = parseAddress("2001:db8:1::1");
const S = parseAddress("2001:db8:1::51");
const none = parseAddress("::");
const linkLayer = new Uint8Array([2, 0, 0, 0, 0, 1]);
const commands = ["check", "defend", "undefend", "wake"] as const;

const examples: readonly NeighborPacket[] = [
  { source: S, destination: solicitedNode(X), message: { kind: "neighborSolicitation", target: X, sourceLinkLayer: linkLayer } },
  { source: none, destination: solicitedNode(X), message: { kind: "neighborSolicitation", target: X, nonce: new Uint8Array(6) } },
  { source: S, destination: parseAddress("ff02::1"), message: { kind: "neighborAdvertisement", target: X, router: false, solicited: false, override: true, targetLinkLayer: linkLayer } },
  { source: S, destination: H, message: { kind: "neighborAdvertisement", target: S, router: true, solicited: true, override: false } },
];

/** A link: the first byte says what the home agent was doing and when, the rest is a packet that arrives. */
export const neighborDiscovery: Target = {
  name: "neighborDiscovery",
  weight: 5,
  longest: 300,
  seeds: () => examples.flatMap((packet) => [0, 1, 2, 3, 4].map((i) => new Uint8Array([i * 17, ...encodeNeighbor(packet)]))),
  repair: (input, random) => (random.below(8) === 0 ? input : new Uint8Array([input[0] ?? 0, ...withChecksum(input.slice(1))])),
  run: (input) => {
    const packet = readBack(input.subarray(1));
    const random = (length: number): Uint8Array => new Uint8Array(length);
    let state = newHomeLink(X, H, linkLayer, 0);
    let sent = 0;
    const give = (next: HomeLinkInput, now: number): void => {
      const step = tendHomeLink(state, next, now, random);
      for (const effect of step.effects) if (effect.do === "sendNeighbor") checkSent(effect.packet, state, ++sent);
      must(step.effects.every((e) => e.do !== "drop" || e.reason.length > 0), "a drop without a reason");
      must(next.kind !== "wake" || step.wakeAt === undefined || step.wakeAt > now, "a wake that asks for itself");
      state = step.state;
    };
    const kind = input[0] ?? 0;
    give({ kind: commands[kind & 3] ?? "wake" }, 0);
    if (packet) for (let i = 0; i < 3; i++) give({ kind: "neighbor", packet }, i * (kind >> 2) * 50);
    give({ kind: "wake" }, 20_000);
    must(sent <= 5, `${sent} packets for three`);
  },
};

/** Decodes; what decodes survives encoding, unless its options are of a kind that we never send. */
function readBack(bytes: Uint8Array): NeighborPacket | undefined {
  const decoded = decodeNeighbor(bytes);
  if (!decoded.ok) {
    must(decoded.reason.length > 0 && decoded.field.length > 0, "a refusal without reason");
    return undefined;
  }
  const { message } = decoded.packet;
  const options = message.kind === "neighborSolicitation" ? [message.sourceLinkLayer, message.nonce] : [message.targetLinkLayer];
  if (options.some((option) => option && option.length !== 6)) return decoded.packet;
  const again = decodeNeighbor(encodeNeighbor(decoded.packet));
  must(again.ok, "what was encoded is refused");
  mustEqual(again.packet, decoded.packet, "decoded, encoded, decoded");
  return decoded.packet;
}

function checkSent(packet: NeighborPacket, before: HomeLink, count: number): void {
  must(decodeNeighbor(encodeNeighbor(packet)).ok, "sent what we would refuse");
  mustEqual(packet.message.target, before.home, "about another address");
  must(packet.message.kind === "neighborSolicitation" || !packet.message.router, "said that it is a router");
  must(count <= 6, "more than was asked for");
}

function withChecksum(packet: Uint8Array): Uint8Array {
  if (packet.length < 64) return packet;
  const length = Math.min(packet.length - 40, ((packet[4] ?? 0) << 8) | (packet[5] ?? 0));
  const payload = packet.subarray(40, 40 + length);
  if (payload.length < 4) return packet;
  payload.set([0, 0], 2);
  const checksum = upperLayerChecksum({ source: formatAddress(packet, 8), destination: formatAddress(packet, 24), protocol: 58 }, payload);
  payload.set([checksum >> 8, checksum & 0xff], 2);
  return packet;
}
