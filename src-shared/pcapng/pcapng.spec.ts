import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { PcapngError, PcapngReader, type CaptureBlock } from "./read.ts";
import { enhancedPacket, interfaceDescription, interfaceStatistics, PacketPen, packetBlockLength, sectionHeader, timeHalves } from "./write.ts";

const seconds = 1_764_000_000;
const frame = (length: number) => Uint8Array.from({ length }, (_, i) => i & 0xff);
const packet = (length: number, extra: { readonly comment?: string; readonly nanoseconds?: number; readonly originalLength?: number } = {}) =>
  enhancedPacket({ interface: 0, ...timeHalves(seconds, extra.nanoseconds ?? 123_456_789), originalLength: extra.originalLength ?? length, direction: "in", ...(extra.comment && { comment: extra.comment }) }, frame(length));

const file = () =>
  Buffer.concat([
    sectionHeader({ application: "test", os: "Linux", comment: "für alle" }),
    interfaceDescription({ name: "host-a", description: "eth0 on host-a", filter: "everything", snaplen: 256 }),
    packet(60),
    packet(61, { comment: "handoff h1: homeTest", originalLength: 1500 }),
    packet(0),
    interfaceStatistics({ interface: 0, timeNs: 1_764_000_001_000_000_000n, received: 3, dropped: 2 }),
  ]);

/** Blocks with their data copied: a reader's views do not outlive its next chunk. */
function blocks(bytes: Uint8Array, chunk: number): CaptureBlock[] {
  const reader = new PcapngReader();
  const out: CaptureBlock[] = [];
  for (let at = 0; at < bytes.length; at += chunk) {
    for (const block of reader.push(bytes.subarray(at, at + chunk))) out.push(block.kind === "packet" ? { ...block, packet: { ...block.packet, data: new Uint8Array(block.packet.data), block: new Uint8Array(block.packet.block) } } : block);
  }
  reader.end();
  return out;
}

describe("pcapng", () => {
  it("reads back what it wrote, however the bytes arrive", () => {
    const bytes = file();
    const whole = blocks(bytes, bytes.length);
    expect(whole.map((b) => b.kind)).toEqual(["section", "interface", "packet", "packet", "packet", "statistics"]);
    expect(whole[1]).toMatchObject({ interface: { name: "host-a", description: "eth0 on host-a", filter: "everything", snaplen: 256 } });
    expect(whole[3]).toMatchObject({ packet: { originalLength: 1500, direction: "in", comments: ["handoff h1: homeTest"], data: frame(61) } });
    expect(whole[5]).toMatchObject({ received: 3, dropped: 2 });
    for (const chunk of [1, 7, 64]) expect(blocks(bytes, chunk)).toEqual(whole);
  });

  it("keeps nanoseconds, and gives milliseconds to within a microsecond", () => {
    const [, , block] = blocks(file(), 1000);
    if (block?.kind !== "packet") throw new Error("no packet");
    expect((BigInt(block.packet.timeHigh) << 32n) | BigInt(block.packet.timeLow)).toBe(1_764_000_000_123_456_789n);
    expect(Math.abs(block.packet.timeMs - 1_764_000_000_123.4568)).toBeLessThan(0.001);
  });

  it("writes the same blocks in bulk", () => {
    const times = [0, 1, 123_456_789, 999_999_999];
    const lengths = [0, 1, 60, 61, 62, 63, 1500];
    for (const nanoseconds of times) {
      for (const length of lengths) {
        const buffer = Buffer.alloc(packetBlockLength(length), 0xee);
        const pen = new PacketPen(buffer);
        expect(pen.fits(length)).toBe(true);
        pen.packet(seconds, nanoseconds, 9999, false, frame(length));
        expect(buffer.equals(packet(length, { nanoseconds, originalLength: 9999 }))).toBe(true);
        expect(pen.fits(0)).toBe(false);
      }
    }
  });

  it("says at which byte a file is broken, cut off or something else", () => {
    const bytes = file();
    const error = (input: Uint8Array) => {
      try {
        blocks(input, 100);
      } catch (e) {
        if (e instanceof PcapngError) return e.code;
        throw e;
      }
      return "fine";
    };
    expect(error(new Uint8Array(0))).toBe("pcapng.truncated");
    expect(error(Buffer.from("hello, this is text"))).toBe("pcapng.notPcapng");
    const ends = [0, 4, 40, 100, 101, 200].map((n) => error(bytes.subarray(0, bytes.length - 1 - n)));
    expect(ends.every((code) => code === "pcapng.truncated" || code === "fine")).toBe(true);
    expect(error(bytes.subarray(0, bytes.length - 1))).toBe("pcapng.truncated");
    const wrongLength = Buffer.from(bytes);
    wrongLength.writeUInt32LE(7, 4);
    expect(error(wrongLength)).toBe("pcapng.broken");
    const wrongInterface = Buffer.concat([sectionHeader({ application: "t" }), packet(10)]);
    expect(error(wrongInterface)).toBe("pcapng.broken");
    const big = Buffer.from(bytes);
    big.writeUInt32BE(0x1a2b3c4d, 8);
    expect(error(big)).toBe("pcapng.unsupported");
  });

  it.skipIf(spawnSync("capinfos", ["--version"]).status !== 0)("is a file that Wireshark's capinfos and tshark accept, interface, times, comments and drops included", () => {
    const directory = mkdtempSync(join(tmpdir(), "pcapng-spec-"));
    try {
      const path = join(directory, "t.pcapng");
      writeFileSync(path, file());
      const info = spawnSync("capinfos", [path], { encoding: "utf8" });
      expect(info.status).toBe(0);
      expect(info.stdout).toMatch(/Number of packets:\s+3/);
      expect(info.stdout).toMatch(/Name = host-a/);
      expect(info.stdout).toMatch(/Time precision = nanoseconds/);
      const shark = spawnSync("tshark", ["-r", path, "-T", "fields", "-e", "frame.time_epoch", "-e", "frame.len", "-e", "frame.cap_len", "-e", "frame.comment", "-e", "frame.interface_name", "-e", "frame.packet_flags_direction"], { encoding: "utf8" });
      expect(shark.status).toBe(0);
      expect(shark.stdout.split("\n")[1]?.split("\t")).toEqual(["1764000000.123456789", "1500", "61", "handoff h1: homeTest", "host-a", expect.stringMatching(/1$/) as string]);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });
});
