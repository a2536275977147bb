import { describe, expect, it } from "vitest";
import { addressBytes, parseAddress } from "../../../src-shared/net/address.ts";
import { upperLayerChecksum } from "../../../src-shared/net/checksum.ts";
import { Frame, headroom } from "./frame.ts";
import { canCut, segments } from "./segment.ts";

const source = parseAddress("2001:db8::1");
const destination = parseAddress("2001:db8::2");
const careOf = parseAddress("2001:db8:1::2");
const tcpLength = 32;
const FIN_PSH_ACK_CWR = 0x99;

/** A large TCP packet as a packet socket gives it: payload bytes count up, checksum over the pseudo-header only. */
function large(payload: number, segmentSize: number): Frame {
  const upper = tcpLength + payload;
  const packet = Buffer.alloc(40 + upper);
  packet[0] = 0x60;
  packet.writeUInt16BE(upper, 4);
  packet[6] = 6;
  packet[7] = 64;
  packet.set(addressBytes(source), 8);
  packet.set(addressBytes(destination), 24);
  packet.writeUInt32BE(0xffff_ff00, 44);
  packet[52] = (tcpLength / 4) << 4;
  packet[53] = FIN_PSH_ACK_CWR;
  for (let i = 0; i < payload; i++) packet[40 + tcpLength + i] = i % 251;
  packet.writeUInt16BE(pseudoSum(upper), 56);
  const bytes = Buffer.concat([Buffer.alloc(headroom), packet]);
  return new Frame(bytes, headroom, bytes.length, { segmentKind: segmentSize ? 4 : 0, segmentSize, checksumFrom: headroom + 40, checksumOffset: 16 });
}

/** What the kernel leaves in the checksum field for the device: the folded sum of the pseudo-header, not inverted. */
function pseudoSum(length: number): number {
  return ~upperLayerChecksum({ source, destination, protocol: 6 }, new Uint8Array(length)) & 0xffff;
}

/** The packet with its checksum finished, as the device would send it. */
function finished(frame: Frame): Buffer {
  const packet = Buffer.from(frame.packet);
  const upper = packet.subarray(frame.checksumFrom - frame.at);
  let sum = 0;
  for (let i = 0; i < upper.length; i += 2) sum += ((upper[i] as number) << 8) | (upper[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  upper.writeUInt16BE(~sum & 0xffff, 16);
  return packet;
}

describe("segments", () => {
  it.each([
    [3000, 1388],
    [2776, 1388],
    [64_000, 1000],
    [1389, 1388],
  ])("of %i bytes cut to %i join to the whole, each with a right checksum", (payload, size) => {
    const whole = large(payload, size);
    const scratch = Buffer.alloc(headroom + 70_000);
    const parts: Buffer[] = [];
    for (const segment of segments(whole, scratch)) {
      const packet = finished(segment);
      expect(upperLayerChecksum({ source, destination, protocol: 6 }, packet.subarray(40))).toBe(0);
      expect(packet.readUInt16BE(4)).toBe(packet.length - 40);
      const offset = parts.reduce((sum, part) => sum + part.length - 40 - tcpLength, 0);
      expect(packet.readUInt32BE(44)).toBe((0xffff_ff00 + offset) >>> 0);
      parts.push(packet);
    }
    expect(parts).toHaveLength(Math.ceil(payload / size));
    expect(Buffer.concat(parts.map((part) => part.subarray(40 + tcpLength))).equals(whole.packet.subarray(40 + tcpLength))).toBe(true);
    expect(parts.map((part) => part[53])).toEqual(
      parts.map((_, i) => (i === 0 ? 0x90 : 0x10) | (i === parts.length - 1 ? 0x09 : 0)),
    );
  });

  it("are made of large TCP packets only: others must be dropped, and counted", () => {
    const { bytes, at, end, checksumFrom } = large(3000, 1388);
    const of = (segmentKind: number, from = checksumFrom): Frame => new Frame(bytes, at, end, { segmentKind, segmentSize: 1388, checksumFrom: from, checksumOffset: 16 });
    expect([of(4), large(100, 0), of(5), of(4, -1)].map(canCut)).toEqual([true, true, false, false]);
  });

  it("of an ordinary packet are that packet", () => {
    const frame = large(100, 0);
    expect([...segments(frame, Buffer.alloc(1000))]).toEqual([frame]);
  });
});

describe("frames", () => {
  it("give back what was put in", () => {
    const frame = large(500, 0);
    const before = Buffer.from(frame.packet);
    expect(frame.insertExtension(43, Uint8Array.of(2, 1, 0, 0, 0, 0), 24, addressBytes(careOf))).toBe(true);
    expect(frame.next).toBe(43);
    expect([...frame.packet.subarray(24, 40)]).toEqual([...addressBytes(careOf)]);
    expect([...frame.packet.subarray(40, 64)]).toEqual([6, 2, 2, 1, 0, 0, 0, 0, ...addressBytes(destination)]);
    expect(frame.length).toBe(before.length + 24);
    expect(frame.packet.readUInt16BE(4)).toBe(before.length - 40 + 24);
    frame.encapsulate(addressBytes(destination), addressBytes(source), 64);
    expect(frame.packet.readUInt16BE(4)).toBe(before.length + 24);
    frame.decapsulate();
    frame.stripExtension(24);
    expect(frame.packet.equals(before)).toBe(true);
  });

  it("keep the place of an unfinished checksum", () => {
    const frame = large(500, 400);
    frame.insertExtension(60, new Uint8Array(6), 8, addressBytes(careOf));
    const start = frame.finish(Buffer.alloc(14));
    const { bytes } = frame;
    expect(bytes[start]).toBe(1);
    expect(bytes[start + 1]).toBe(4);
    expect(bytes.readUInt16LE(start + 2)).toBe(14 + 40 + 24 + tcpLength);
    expect(bytes.readUInt16LE(start + 4)).toBe(400);
    expect(bytes.readUInt16LE(start + 6)).toBe(14 + 40 + 24);
    expect(bytes.readUInt16LE(start + 8)).toBe(16);
    expect(Frame.read(bytes, start, frame.end)).toMatchObject({ at: frame.at, segmentSize: 400, checksumFrom: frame.checksumFrom });
  });

  it("refuse to grow past what a packet can be", () => {
    expect(large(65_535 - tcpLength - 10, 1400).insertExtension(60, new Uint8Array(6), 8, addressBytes(careOf))).toBe(false);
  });

  it("carry congestion marks out of a tunnel", () => {
    const frame = large(10, 0);
    frame.bytes[frame.at + 1] = 0x20;
    frame.encapsulate(addressBytes(destination), addressBytes(source), 64);
    frame.bytes[frame.at + 1] = 0x30;
    frame.decapsulate();
    expect((frame.bytes[frame.at + 1] as number) & 0x30).toBe(0x30);
  });

  it("know the largest packet that they put on the wire", () => {
    expect(large(60_000, 1388).largestPacket()).toBe(40 + tcpLength + 1388);
    expect(large(100, 0).largestPacket()).toBe(40 + tcpLength + 100);
  });
});
