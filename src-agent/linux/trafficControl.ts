import { attribute, attributeText, NLM_F_CREATE, NLM_F_EXCL, nestedAttribute, parseAttributes, textAttribute, u32Attribute, type Netlink } from "./netlink.ts";

const RTM_NEWQDISC = 36;
const RTM_DELQDISC = 37;
const RTM_NEWTFILTER = 44;
const RTM_DELTFILTER = 45;
const RTM_GETTFILTER = 46;
const TCA_KIND = 1;
const TCA_OPTIONS = 2;
const TC_H_CLSACT = 0xfffffff1;
const CLSACT_HANDLE = 0xffff0000;
const TC_H_MIN_INGRESS = 0xfffffff2;
const TC_H_MIN_EGRESS = 0xfffffff3;
const ETH_P_ALL = 0x0003;
const ETH_P_IPV6 = 0x86dd;
const TCA_BPF_FD = 6;
const TCA_BPF_NAME = 7;
const TCA_BPF_FLAGS = 8;
const TCA_BPF_FLAG_ACT_DIRECT = 1;
const TCA_U32_SEL = 5;
const TCA_U32_ACT = 7;
const TC_U32_TERMINAL = 1;
const TCA_ACT_KIND = 1;
const TCA_ACT_OPTIONS = 2;
const TCA_MIRRED_PARMS = 2;
const TCA_EGRESS_REDIR = 1;
const TC_ACT_STOLEN = 4;

export type Hook = "ingress" | "egress";

const bigEndian16 = (value: number): number => ((value & 0xff) << 8) | (value >> 8);

function tcMessage(device: number, handle: number, parent: number, info: number, attributes: readonly Buffer[]): Buffer {
  const head = Buffer.alloc(20);
  head.writeInt32LE(device, 4);
  head.writeUInt32LE(handle >>> 0, 8);
  head.writeUInt32LE(parent >>> 0, 12);
  head.writeUInt32LE(info >>> 0, 16);
  return Buffer.concat([head, ...attributes]);
}

const parentOf = (hook: Hook): number => (hook === "ingress" ? TC_H_MIN_INGRESS : TC_H_MIN_EGRESS);
const filterInfo = (preference: number, protocol: number): number => ((preference << 16) | bigEndian16(protocol)) >>> 0;

/** Adds the clsact qdisc, the place of ingress and egress filters; false when the device has one already. */
export function addClsact(netlink: Netlink, device: number): boolean {
  const body = tcMessage(device, CLSACT_HANDLE, TC_H_CLSACT, 0, [textAttribute(TCA_KIND, "clsact")]);
  return netlink.attempt(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, body, "add clsact qdisc", ["EEXIST"]);
}

export function removeClsact(netlink: Netlink, device: number): void {
  const body = tcMessage(device, CLSACT_HANDLE, TC_H_CLSACT, 0, []);
  netlink.attempt(RTM_DELQDISC, 0, body, "remove clsact qdisc", ["ENOENT", "EINVAL", "ENODEV"]);
}

/** Attaches a loaded classifier program, whose return value is the verdict, as the only filter of this preference. */
export function addBpfFilter(netlink: Netlink, device: number, hook: Hook, preference: number, program: number, name: string): void {
  const options = nestedAttribute(TCA_OPTIONS, [u32Attribute(TCA_BPF_FD, program), textAttribute(TCA_BPF_NAME, name), u32Attribute(TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT)]);
  const body = tcMessage(device, 1, parentOf(hook), filterInfo(preference, ETH_P_ALL), [textAttribute(TCA_KIND, "bpf"), options]);
  netlink.request(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, body, `attach ${name} at ${hook}`);
}

/** A 32-bit word at byte `offset` of the IPv6 header, `mask`ed, must equal `value` (all in network order as numbers). */
export interface WordMatch {
  readonly offset: number;
  readonly mask: number;
  readonly value: number;
}

/** The four word matches that compare an address at `offset` (8 source, 24 destination, 48 in an extension header of one address). */
export function matchAddress(offset: 8 | 24 | 48, address: Uint8Array): WordMatch[] {
  const bytes = Buffer.from(address);
  return [0, 4, 8, 12].map((at) => ({ offset: offset + at, mask: 0xffffffff, value: bytes.readUInt32BE(at) }));
}

/** Matches the next header of the fixed IPv6 header. */
export function matchNextHeader(protocol: number): WordMatch {
  return { offset: 4, mask: 0x0000ff00, value: protocol << 8 };
}

/**
 * Redirects what arrives on `device` and matches every word to the egress of `target`; without a target, lets it pass the filters that would come after.
 * `handle` (1..0x7ff) names the filter within its preference, whose filters are asked in this order; an existing one of the same number is an error.
 */
export function addRedirect(netlink: Netlink, device: number, preference: number, handle: number, matches: readonly WordMatch[], target: number | undefined): void {
  const selector = Buffer.alloc(16 + 16 * matches.length);
  selector[0] = TC_U32_TERMINAL;
  selector[2] = matches.length;
  matches.forEach((match, i) => {
    selector.writeUInt32BE(match.mask >>> 0, 16 + 16 * i);
    selector.writeUInt32BE(match.value >>> 0, 20 + 16 * i);
    selector.writeInt32LE(match.offset, 24 + 16 * i);
  });
  const action = target === undefined ? [] : [nestedAttribute(TCA_U32_ACT, [redirectTo(target)])];
  const options = nestedAttribute(TCA_OPTIONS, [attribute(TCA_U32_SEL, selector), ...action]);
  const body = tcMessage(device, handle, TC_H_MIN_INGRESS, filterInfo(preference, ETH_P_IPV6), [textAttribute(TCA_KIND, "u32"), options]);
  netlink.request(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, body, "add redirect filter");
}

function redirectTo(target: number): Buffer {
  const parameters = Buffer.alloc(28);
  parameters.writeInt32LE(TC_ACT_STOLEN, 8);
  parameters.writeInt32LE(TCA_EGRESS_REDIR, 20);
  parameters.writeUInt32LE(target, 24);
  return nestedAttribute(1, [textAttribute(TCA_ACT_KIND, "mirred"), nestedAttribute(TCA_ACT_OPTIONS, [attribute(TCA_MIRRED_PARMS, parameters)])]);
}

/** The full handle of the u32 filter number `handle` in its preference's root table. */
const u32Handle = (handle: number): number => (0x80000000 | handle) >>> 0;

export function removeRedirect(netlink: Netlink, device: number, preference: number, handle: number): void {
  const body = tcMessage(device, u32Handle(handle), TC_H_MIN_INGRESS, filterInfo(preference, ETH_P_IPV6), [textAttribute(TCA_KIND, "u32")]);
  netlink.attempt(RTM_DELTFILTER, 0, body, "remove redirect filter", ["ENOENT", "EINVAL", "ENODEV"]);
}

/** Removes every filter of a preference; nothing when there is none. */
export function removeFilters(netlink: Netlink, device: number, hook: Hook, preference: number): void {
  for (const protocol of [ETH_P_ALL, ETH_P_IPV6]) {
    const body = tcMessage(device, 0, parentOf(hook), filterInfo(preference, protocol), []);
    netlink.attempt(RTM_DELTFILTER, 0, body, `remove ${hook} filters`, ["ENOENT", "EINVAL", "ENODEV"]);
  }
}

/** The preferences and kinds of the filters at a hook; empty without clsact. */
export function listFilters(netlink: Netlink, device: number, hook: Hook): { preference: number; kind: string }[] {
  return netlink.dump(RTM_GETTFILTER, tcMessage(device, 0, parentOf(hook), 0, []), `list ${hook} filters`).flatMap((message) => {
    if (message.length < 20) return [];
    return [{ preference: message.readUInt32LE(16) >>> 16, kind: attributeText(parseAttributes(message, 20).get(TCA_KIND)) }];
  });
}
