import type { FilterInstruction } from "../linux/packetSocket.ts";

/** Classic BPF operations (linux/filter.h, linux/bpf_common.h). */
export const LD_WORD = 0x20; // A = packet[k], four bytes
export const LD_HALF = 0x28;
export const LD_BYTE = 0x30;
export const JEQ = 0x15;
const RET = 0x06;

/** Ancillary offsets (SKF_AD_OFF + …): what the kernel knows beside the bytes. */
export const PROTOCOL = 0xfffff000;
export const PACKET_TYPE = 0xfffff004;

export const ETH_P_IPV6 = 0x86dd;
export const PACKET_HOST = 0;

export type Target = "accept" | "reject" | "next" | `label ${string}`;
export type Line = { readonly label: string } | { readonly code: number; readonly k: number; readonly yes: Target; readonly no: Target };

export const op = (code: number, k = 0): Line => ({ code, k, yes: "next", no: "next" });
export const when = (code: number, k: number, yes: Target, no: Target = "next"): Line => ({ code, k, yes, no });
export const label = (name: string): Line => ({ label: name });

/** Resolves labels; jumps only go forward, as classic BPF wants it. Of what is accepted `keep` bytes are kept. */
export function assemble(lines: readonly Line[], keep = 0x40000): FilterInstruction[] {
  const places = new Map<string, number>();
  let count = 0;
  for (const line of lines) {
    if ("label" in line) places.set(line.label, count);
    else count++;
  }
  const reject = count;
  const accept = count + 1;
  const program: FilterInstruction[] = [];
  for (const line of lines) {
    if ("label" in line) continue;
    const here = program.length + 1;
    const distance = (target: Target): number => {
      if (target === "next") return 0;
      if (target === "accept") return accept - here;
      if (target === "reject") return reject - here;
      return (places.get(target.slice("label ".length)) as number) - here;
    };
    program.push([line.code, distance(line.yes), distance(line.no), line.k]);
  }
  return [...program, [RET, 0, 0, 0], [RET, 0, 0, keep]];
}
