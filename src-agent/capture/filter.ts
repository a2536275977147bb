/**
 * The classic BPF program in front of a capture. It returns how many bytes of a frame are kept: headers of TCP (plain, with extension
 * headers, tunnelled), Mobility Header and ICMPv6 packets whole, nothing of the rest. The lab's own SSH would only measure itself, so it is left out.
 */

export type CaptureFilter = "signalling-and-tcp" | "all";

const ipv6At = 14;
const nextHeaderAt = ipv6At + 6;
const payloadAt = ipv6At + 40;
const innerNextHeaderAt = payloadAt + 6;

/** Ethernet, IPv6 and the longest TCP header. */
const plainTcp = payloadAt + 60;
/** The same behind a type 2 routing header or a Home Address option, 24 bytes. */
const extendedTcp = plainTcp + 24;
/** The same behind another IPv6 header and an extension header. */
const tunnelledTcp = plainTcp + 40 + 24;
export const wholeFrame = 0x40000;

/** One step of the program: an instruction, or a jump to a name when the accumulator equals `k` (else fall through). */
type Line = { readonly op: number; readonly k: number } | { readonly equals: number; readonly goto: string } | { readonly label: string; readonly keep: number };

const loadByte = (at: number): Line => ({ op: 0x30, k: at });
const loadHalf = (at: number): Line => ({ op: 0x28, k: at });
const on = (equals: number, goto: string): Line => ({ equals, goto });
const keep = (label: string, bytes: number): Line => ({ label, keep: bytes });
const always = 0x06;

/** The program as `struct sock_filter` entries, 8 bytes each: code 16, jt 8, jf 8, k 32. `withoutPorts` are TCP ports to leave out. */
export function captureProgram(filter: CaptureFilter, snaplen: number, withoutPorts: readonly number[]): Buffer {
  if (filter === "all") return assemble([keep("keep", snaplen)]);
  const cut = (bytes: number) => Math.min(bytes, snaplen);
  return assemble([
    loadHalf(12),
    on(0x86dd, "ipv6"),
    { op: always, k: 0 },
    { label: "ipv6", keep: -1 },
    loadByte(nextHeaderAt),
    on(6, "tcp"),
    on(135, "whole"),
    on(58, "whole"),
    on(44, "extended"),
    on(43, "extension"),
    on(60, "extension"),
    on(41, "tunnel"),
    { op: always, k: 0 },
    { label: "tcp", keep: -1 },
    loadHalf(payloadAt),
    ...withoutPorts.map((port) => on(port, "drop")),
    loadHalf(payloadAt + 2),
    ...withoutPorts.map((port) => on(port, "drop")),
    { op: always, k: cut(plainTcp) },
    { label: "extension", keep: -1 },
    loadByte(payloadAt),
    on(135, "whole"),
    keep("extended", cut(extendedTcp)),
    { label: "tunnel", keep: -1 },
    loadByte(innerNextHeaderAt),
    on(6, "tunnelledTcp"),
    on(43, "tunnelledTcp"),
    on(60, "tunnelledTcp"),
    keep("whole", Math.max(snaplen, wholeFrame)),
    keep("tunnelledTcp", cut(tunnelledTcp)),
    keep("drop", 0),
  ]);
}

function assemble(lines: readonly Line[]): Buffer {
  const places = new Map<string, number>();
  let count = 0;
  for (const line of lines) {
    if ("label" in line) places.set(line.label, count);
    if (!("label" in line && line.keep < 0)) count++;
  }
  const code = Buffer.alloc(count * 8);
  let at = 0;
  for (const line of lines) {
    if ("equals" in line) {
      const distance = (places.get(line.goto) as number) - at / 8 - 1;
      if (distance < 0 || distance > 255) throw new RangeError(`capture filter: jump to ${line.goto} over ${distance} instructions`);
      code.writeUInt16LE(0x15, at);
      code.writeUInt8(distance, at + 2);
      code.writeUInt32LE(line.equals, at + 4);
    } else if ("label" in line) {
      if (line.keep < 0) continue;
      code.writeUInt16LE(always, at);
      code.writeUInt32LE(line.keep, at + 4);
    } else {
      code.writeUInt16LE(line.op, at);
      code.writeUInt32LE(line.k, at + 4);
    }
    at += 8;
  }
  return code;
}
