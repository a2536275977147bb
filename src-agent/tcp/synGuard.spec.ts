import { describe, expect, it } from "vitest";
import { addressBytes, parseAddress } from "../../src-shared/net/address.ts";
import { program } from "./synGuard.ts";

/** Runs a classic BPF program of loads, ands, equality jumps and returns, the way the kernel does. */
function run(code: Buffer, source: string, flags: number): number {
  const address = Buffer.from(addressBytes(source));
  let a = 0;
  for (let pc = 0; ; pc++) {
    const [op, jt, jf, k] = [code.readUInt16LE(8 * pc), code.readUInt8(8 * pc + 2), code.readUInt8(8 * pc + 3), code.readUInt32LE(8 * pc + 4)];
    if (op === 0x30) a = k === 13 ? flags : Number.NaN;
    else if (op === 0x20) a = address.readUInt32BE(k - 0xfff00008);
    else if (op === 0x54) a &= k;
    else if (op === 0x15) pc += a === k ? jt : jf;
    else if (op === 0x06) return k;
    else throw new Error(`instruction ${op}`);
  }
}

const clients = ["2001:db8:a::2", "2001:db8:a::3", "fe80::ffff:1"].map((text) => parseAddress(text));
const [syn, ack, synAck, finAck, synEcn] = [0x02, 0x10, 0x12, 0x11, 0xc2];

describe("SYN guard", () => {
  it("drops the SYNs of its clients, ECN ones too, and nothing else", () => {
    const code = program(clients);
    for (const client of clients) {
      expect([syn, synEcn].map((flags) => run(code, client, flags))).toEqual([0, 0]);
      for (const flags of [ack, synAck, finAck, 0x04, 0x18]) expect(run(code, client, flags)).toBe(0xffffffff);
    }
    for (const other of ["2001:db8:a::4", "2001:db8:b::2", "2002:db8:a::2", "2001:db8:a:0:1::2", "::"]) expect(run(code, other, syn), other).toBe(0xffffffff);
  });

  it("fits the kernel's limit for very many clients", () => {
    const many = Array.from({ length: 400 }, (_, i) => parseAddress(`2001:db8::${i.toString(16)}`));
    expect(program(many).length / 8).toBeLessThanOrEqual(4096);
    expect(run(program(many), "2001:db8::18f", syn)).toBe(0);
  });
});
