import { PassThrough } from "node:stream";
import { describe, expect, it } from "vitest";
import { PcapngReader } from "../../src-shared/pcapng/read.ts";
import { enhancedPacket, interfaceDescription, interfaceStatistics, sectionHeader, timeHalves } from "../../src-shared/pcapng/write.ts";
import { mergeCaptures } from "./merge.ts";

const base = 1_764_000_000;
const head = (host: string) => Buffer.concat([sectionHeader({ application: "t" }), interfaceDescription({ name: host, description: `eth0 on ${host}`, snaplen: 0 })]);
/** A packet at `ms` whose only byte tells it apart. */
const at = (ms: number, tag: number) => enhancedPacket({ interface: 0, ...timeHalves(base, ms * 1e6), originalLength: 1, direction: "out" }, Uint8Array.of(tag));
const tail = (dropped: number) => interfaceStatistics({ interface: 0, timeNs: 0n, received: 1, dropped });

function read(bytes: Uint8Array): { readonly packets: { readonly host: string; readonly tag: number; readonly ms: number }[]; readonly hosts: string[]; readonly drops: (number | null)[] } {
  const hosts: string[] = [];
  const packets: { host: string; tag: number; ms: number }[] = [];
  const drops: (number | null)[] = [];
  const reader = new PcapngReader();
  for (const block of reader.push(bytes)) {
    if (block.kind === "interface") hosts.push(block.interface.name);
    if (block.kind === "packet") packets.push({ host: hosts[block.packet.interface] as string, tag: block.packet.data[0] as number, ms: Math.round(block.packet.timeMs - base * 1000) });
    if (block.kind === "statistics") drops.push(block.dropped);
  }
  reader.end();
  return { packets, hosts, drops };
}

function sink(): { readonly out: PassThrough; readonly bytes: () => Buffer } {
  const out = new PassThrough();
  const chunks: Buffer[] = [];
  out.on("data", (chunk: Buffer) => chunks.push(chunk));
  return { out, bytes: () => Buffer.concat(chunks) };
}

async function* pieces(bytes: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < bytes.length; i += size) yield bytes.subarray(i, i + size);
}

describe("merging captures", () => {
  it("orders packets by time corrected per host, and leaves each host's own time stamps alone", async () => {
    const a = Buffer.concat([head("a"), at(10, 1), at(30, 2), at(50, 3), tail(0)]);
    // b's clock is 100 ms ahead: its 115 is a's 15.
    const b = Buffer.concat([head("b"), at(115, 4), at(130, 5), at(131, 6), tail(7)]);
    const { out, bytes } = sink();
    const merged = await mergeCaptures(
      [
        { host: "a", stream: pieces(a, 13), correctionMs: 0 },
        { host: "b", stream: pieces(b, 1000), correctionMs: -100 },
      ],
      out,
    );
    const { packets, hosts, drops } = read(bytes());
    expect(hosts).toEqual(["a", "b"]);
    expect(packets.map((p) => p.tag)).toEqual([1, 4, 2, 5, 6, 3]);
    expect(packets.find((p) => p.tag === 4)).toEqual({ host: "b", tag: 4, ms: 115 });
    expect(drops).toEqual([0, 7]);
    expect(merged).toEqual([
      { host: "a", packets: 3, dropped: 0, truncated: false },
      { host: "b", packets: 3, dropped: 7, truncated: false },
    ]);
  });

  it("puts neighbours in order that a host's processors have queued the wrong way round, over the pieces they come in", async () => {
    const a = Buffer.concat([head("a"), at(12, 2), at(11, 1), at(30, 4), at(20, 3), at(40, 6), tail(0)]);
    const b = Buffer.concat([head("b"), at(35, 5), tail(0)]);
    const { out, bytes } = sink();
    await mergeCaptures([{ host: "a", stream: pieces(a, 37), correctionMs: 0 }, { host: "b", stream: pieces(b, 1000), correctionMs: 0 }], out);
    expect(read(bytes()).packets.map((p) => p.tag)).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it("says when a host's capture broke off, or never came, and keeps what there is", async () => {
    const whole = Buffer.concat([head("a"), at(10, 1), at(20, 2), tail(0)]);
    const { out, bytes } = sink();
    const merged = await mergeCaptures(
      [
        { host: "a", stream: pieces(whole.subarray(0, whole.length - 70), 50), correctionMs: 0 },
        { host: "b", stream: pieces(Buffer.alloc(0), 1), correctionMs: 0 },
        { host: "c", stream: pieces(Buffer.concat([head("c"), at(15, 3), tail(0)]), 50), correctionMs: 0 },
      ],
      out,
    );
    expect(merged.map(({ packets, truncated }) => ({ packets, truncated }))).toEqual([
      { packets: 1, truncated: true },
      { packets: 0, truncated: true },
      { packets: 1, truncated: false },
    ]);
    expect(read(bytes())).toMatchObject({ hosts: ["a", "b", "c"], packets: [{ tag: 1 }, { host: "c", tag: 3 }] });
  });

  it("shows a live capture while another host is quiet", async () => {
    const [busy, quiet] = [new PassThrough(), new PassThrough()];
    const { out, bytes } = sink();
    const merging = mergeCaptures(
      [
        { host: "busy", stream: busy, correctionMs: 0 },
        { host: "quiet", stream: quiet, correctionMs: 0 },
      ],
      out,
      { patienceMs: 50 },
    );
    quiet.write(head("quiet"));
    busy.write(Buffer.concat([head("busy"), at(1, 1), at(2, 2)]));
    await expect.poll(() => read(bytes()).packets.map((p) => p.tag), { timeout: 5000 }).toEqual([1, 2]);
    quiet.end(Buffer.concat([at(3, 9), tail(0)]));
    busy.end(Buffer.concat([at(4, 3), tail(0)]));
    await merging;
    expect(read(bytes()).packets.map((p) => p.tag)).toEqual([1, 2, 9, 3]);
  });
});
