import { upperLayerChecksum } from "../../../src-shared/net/checksum.ts";
import { describe } from "../../../src-shared/protocol/wire/describe.ts";
import { readHeaderChain } from "../../../src-shared/protocol/wire/headerChain.ts";
import { decodeIcmp, encodeIcmp, readQuoted } from "../../../src-shared/protocol/wire/icmp.ts";
import { decodePacket, encodePacket, type Decoded } from "../../../src-shared/protocol/wire/packet.ts";
import type { SeededRandom } from "../../../src-shared/stats/random.ts";
import { randomPackets } from "../../vectors/randomPackets.ts";
import { must, mustEqual, type Target } from "../target.ts";

const icmp = 58;
const mobility = 135;
/** What an answer may add to the packet it is about: the IPv6 and ICMPv6 headers (RFC 4443 §2.4). */
const answerOverhead = 48;

/** Signalling as it comes from the network: decoded, or refused with a reason; what is decoded survives encoding. */
const packets: Target = {
  name: "packet",
  weight: 20,
  longest: 600,
  seeds: () => randomPackets(7, 40).map((packet) => encodePacket(packet)),
  repair: withChecksum,
  run: (input) => {
    const before = input.slice();
    const decoded = decodePacket(input);
    mustEqual(input, before, "decoding changed its input");
    if (!decoded.ok) return checkRefusal(decoded, input);
    must(describe(decoded.packet).length < 2_000, "a description without end");
    must(decoded.mobilityHeader.length % 8 === 0 && decoded.mobilityHeader.length <= 2_048, "length of the Mobility Header");
    const again = decodePacket(encodePacket(decoded.packet));
    must(again.ok, `what was encoded is refused: ${again.ok ? "" : `${again.reason} ${again.field}`}`);
    mustEqual(again.packet, decoded.packet, "decoded, encoded, decoded");
  },
};

function checkRefusal(decoded: Extract<Decoded, { ok: false }>, input: Uint8Array): void {
  must(decoded.reason.length > 0 && decoded.field.length > 0, "a refusal without reason");
  const { answer } = decoded;
  if (!answer) return;
  if (answer.kind === "bindingError") return must(encodePacket(answer.packet).length <= input.length + answerOverhead, "a Binding Error much longer than what it is about");
  const { source, destination, code, pointer, invoking } = answer;
  must(pointer < invoking.length, `a pointer to byte ${pointer} of ${invoking.length}`);
  const error = encodeIcmp({ source, destination, message: { kind: "parameterProblem", code, pointer, invoking } });
  must(error.length <= Math.min(1280, input.length + answerOverhead), "a Parameter Problem longer than it may be");
}

/** ICMPv6 errors and the packets they quote. */
const errors: Target = {
  name: "icmp",
  weight: 8,
  longest: 600,
  seeds: () =>
    randomPackets(9, 12).flatMap((packet, i) => {
      const invoking = encodePacket(packet);
      const { source, destination } = packet;
      return [
        encodeIcmp({ source, destination, message: { kind: "parameterProblem", code: i % 3, pointer: i, invoking } }),
        encodeIcmp({ source, destination, message: { kind: "packetTooBig", mtu: 1280 + i, invoking } }),
        encodeIcmp({ source, destination, message: { kind: "destinationUnreachable", code: i % 8, invoking } }),
      ];
    }),
  repair: withChecksum,
  run: (input) => {
    readQuoted(input);
    const decoded = decodeIcmp(input);
    if (!decoded.ok) return must(decoded.reason.length > 0 && decoded.field.length > 0, "a refusal without reason");
    readQuoted(decoded.packet.message.invoking);
    const again = decodeIcmp(encodeIcmp(decoded.packet));
    must(again.ok, "what was encoded is refused");
    mustEqual(again.packet, decoded.packet, "decoded, encoded, decoded");
  },
};

/** Seven times in eight the checksum of the innermost upper layer is made right: else nearly everything would be dropped for it. */
export function withChecksum(input: Uint8Array, random: SeededRandom): Uint8Array {
  if (random.below(8) === 0) return input;
  const bytes = input.slice();
  try {
    let at = 0;
    let chain = readHeaderChain(bytes);
    if (chain.upper === 41) {
      at = chain.at;
      chain = readHeaderChain(bytes.subarray(at));
    }
    if (chain.upper !== mobility && chain.upper !== icmp) return bytes;
    const length = chain.upper === mobility ? 8 * (1 + (bytes[at + chain.at + 1] ?? 0)) : chain.end - chain.at;
    const upper = bytes.subarray(at + chain.at, at + chain.at + length);
    if (upper.length < 8) return bytes;
    const checksumAt = chain.upper === mobility ? 4 : 2;
    new DataView(upper.buffer, upper.byteOffset).setUint16(checksumAt, 0);
    const scope = { source: chain.homeAddress ?? chain.source, destination: chain.routingHomeAddress ?? chain.destination, protocol: chain.upper };
    new DataView(upper.buffer, upper.byteOffset).setUint16(checksumAt, upperLayerChecksum(scope, upper));
  } catch {
    // Not a packet: it stays as it is.
  }
  return bytes;
}

export const wireTargets: readonly Target[] = [packets, errors];
