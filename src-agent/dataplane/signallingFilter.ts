import type { FilterInstruction } from "../linux/packetSocket.ts";
import { assemble, ETH_P_IPV6, JEQ, label, LD_BYTE, LD_HALF, type Line, op, PACKET_HOST, PACKET_TYPE, PROTOCOL, when } from "./packetFilter.ts";

/** Classic BPF operations used here besides the common ones (linux/filter.h, linux/bpf_common.h). */
const LD_BYTE_X = 0x50; // A = packet[X + k]
const LDX_IMM = 0x01;
const LD_MEM = 0x60;
const ST = 0x02; // M[k] = A
const TAX = 0x07;
const TXA = 0x87;
const ADD_K = 0x04;
const ADD_X = 0x0c;
const LSH_K = 0x64;
const AND_K = 0x54;
const JGE = 0x35;
const JGT = 0x25;

const HOP_BY_HOP = 0;
const TCP = 6;
const TUNNEL = 41;
const ROUTING = 43;
const ICMPV6 = 58;
const DESTINATION_OPTIONS = 60;
const MOBILITY = 135;
const SYN = 0x02;
const ACK = 0x10;

/** With A the next header and X where its header starts: up to three extension headers are stepped over, then A is judged. */
function headers(layer: "outer" | "inner"): Line[] {
  const judge: Line[] =
    layer === "outer"
      ? [when(JEQ, MOBILITY, "accept"), when(JEQ, ICMPV6, "label outer icmp"), when(JEQ, TUNNEL, "label tunnel", "reject")]
      : [when(JEQ, MOBILITY, "accept"), when(JEQ, ICMPV6, "label inner icmp"), when(JEQ, TCP, "label tcp", "reject")];
  const step = (n: number): Line[] => [
    when(JEQ, HOP_BY_HOP, `label ${layer} step ${n}`),
    when(JEQ, ROUTING, `label ${layer} step ${n}`),
    when(JEQ, DESTINATION_OPTIONS, `label ${layer} step ${n}`, `label ${layer} judge`),
    label(`${layer} step ${n}`),
    op(LD_BYTE_X, 0),
    op(ST, 0),
    op(LD_BYTE_X, 1),
    op(ADD_K, 1),
    op(LSH_K, 3),
    op(ADD_X),
    op(TAX),
    op(LD_MEM, 0),
  ];
  return [...step(1), ...step(2), ...step(3), label(`${layer} judge`), ...judge];
}

const icmp = (layer: string): Line[] => [label(`${layer} icmp`), op(LD_BYTE_X, 0), when(JGT, 4, "reject"), when(JGE, 1, "accept", "reject")];

/**
 * Picks what signalling wants from a SOCK_DGRAM packet socket (packets start at the IPv6 header), and only what is addressed to this host's
 * link-layer address: a Mobility Header behind at most three extension headers, an ICMPv6 error (types 1 to 4), either of them inside one
 * IPv6-in-IPv6 tunnel as well, and TCP SYNs inside a tunnel.
 */
export const signallingFilter: readonly FilterInstruction[] = assemble([
  op(LD_HALF, PROTOCOL),
  when(JEQ, ETH_P_IPV6, "next", "reject"),
  op(LD_BYTE, PACKET_TYPE),
  when(JEQ, PACKET_HOST, "next", "reject"),
  op(LD_BYTE, 6),
  op(LDX_IMM, 40),
  ...headers("outer"),
  label("tunnel"),
  op(LD_BYTE_X, 6),
  op(ST, 0),
  op(TXA),
  op(ADD_K, 40),
  op(TAX),
  op(LD_MEM, 0),
  ...headers("inner"),
  ...icmp("outer"),
  ...icmp("inner"),
  label("tcp"),
  op(LD_BYTE_X, 13),
  op(AND_K, SYN | ACK),
  when(JEQ, SYN, "accept", "reject"),
]);
