import { type Address, addressBytes, formatAddress } from "../../src-shared/net/address.ts";
import { attribute, NLM_F_CREATE, NLM_F_EXCL, parseAttributes, type Netlink } from "./netlink.ts";

/**
 * Route optimisation states and policies of the kernel's XFRM (linux/xfrm.h), which translate like a Mobile IPv6 node where the kernel has CONFIG_IPV6_MIP6.
 * A *policy* says which packets carry a type 2 routing header or Home Address option, a *state* which care-of address goes with it. Netlink sockets
 * here are of protocol NETLINK_XFRM. All of it belongs to the network namespace and needs CAP_NET_ADMIN there.
 */

const XFRM_MSG_NEWSA = 0x10;
const XFRM_MSG_DELSA = 0x11;
const XFRM_MSG_GETSA = 0x12;
const XFRM_MSG_NEWPOLICY = 0x13;
const XFRM_MSG_DELPOLICY = 0x14;
const XFRM_MSG_GETPOLICY = 0x15;
const XFRM_MSG_UPDPOLICY = 0x19;
const XFRM_MSG_UPDSA = 0x1a;
const XFRMA_TMPL = 5;
const XFRMA_SRCADDR = 13;
const XFRMA_COADDR = 14;
const XFRMA_POLICY_TYPE = 16;
const XFRMA_MARK = 21;
const XFRMA_PROTO = 25;
const XFRM_MODE_ROUTEOPTIMIZATION = 2;
const XFRM_STATE_WILDRECV = 8;
const AF_INET6 = 10;
const everyBit = 0xffff_ffff;

const selectorLength = 56;
const stateLength = 224;
const stateIdLength = 24;
const policyLength = 168;
const policyIdLength = 64;
const templateLength = 64;

/** What a state adds or takes off, by its protocol number. */
const headers = { routing: 43, homeAddressOption: 60 } as const;
export type OptimisedHeader = keyof typeof headers;

/** Which packets a state is for; a missing end is any address. No two states are for the same ones. */
export interface StateKey {
  readonly header: OptimisedHeader;
  readonly source?: Address | undefined;
  readonly destination?: Address | undefined;
}

export interface OptimisationState extends StateKey {
  /** The care-of address on the wire; without one any arriving packet is taken. */
  readonly careOf?: Address | undefined;
  /** A number of ours (`reqid`), by which states and the policies that use them are found again. 1..2^32-1. */
  readonly tag: number;
  /** For arriving packets of any ends (XFRM_STATE_WILDRECV). */
  readonly wildcard?: boolean;
}

/** A state as the kernel tells it, with what it has translated so far: packets, and bytes as they passed it. */
export interface ListedState extends OptimisationState {
  readonly packets: number;
  readonly bytes: number;
}

/** Which packets a policy is for; missing parts match anything. No two policies of a direction and type are for the same ones. */
export interface PolicyKey {
  readonly direction: "in" | "out";
  /** Policies of type sub apply beside an administrator's own (IPsec) policies of type main, not instead of them. */
  readonly type: "main" | "sub";
  readonly source?: Address | undefined;
  readonly destination?: Address | undefined;
  /** The packet's or socket's mark. */
  readonly mark?: number | undefined;
}

export interface Policy extends PolicyKey {
  /** Among policies of one type that match, the lowest number wins. */
  readonly priority: number;
  /** The state that packets go through, or (inwards) may have come through. Without one packets pass as they are. */
  readonly template?: (StateKey & { readonly tag: number }) | undefined;
}

const directions = { in: 0, out: 1 } as const;
const types = { main: 0, sub: 1 } as const;

/** struct xfrm_lifetime_cfg without limits (each half of the first four is XFRM_INF), then struct xfrm_lifetime_cur. */
function writeForever(into: Buffer, at: number): void {
  into.fill(0xff, at, at + 32);
}

function put(into: Buffer, at: number, address: Address | undefined): void {
  if (address) into.set(addressBytes(address), at);
}

/** struct xfrm_selector: | daddr 16 | saddr 16 | ports 8 | family 2 | prefix lengths 1 + 1 | proto 1 | … | */
function writeSelector(into: Buffer, { source, destination }: PolicyKey): void {
  put(into, 0, destination);
  put(into, 16, source);
  into.writeUInt16LE(AF_INET6, 40);
  into[42] = destination ? 128 : 0;
  into[43] = source ? 128 : 0;
}

/** struct xfrm_usersa_info: | selector 56 | id 24 | saddr 16 | lifetimes 96 | … | reqid 4 | family 2 | mode 1 | replay window 1 | flags 1 | */
export function stateMessage(state: OptimisationState): Buffer {
  const body = Buffer.alloc(stateLength);
  put(body, 56, state.destination);
  body[76] = headers[state.header];
  put(body, 80, state.source);
  writeForever(body, 96);
  body.writeUInt32LE(state.tag, 208);
  body.writeUInt16LE(AF_INET6, 212);
  body[214] = XFRM_MODE_ROUTEOPTIMIZATION;
  body[216] = state.wildcard ? XFRM_STATE_WILDRECV : 0;
  const careOf = Buffer.alloc(16);
  put(careOf, 0, state.careOf);
  return Buffer.concat([body, attribute(XFRMA_COADDR, careOf)]);
}

/** struct xfrm_usersa_id: | daddr 16 | spi 4 | family 2 | proto 1 | */
function stateIdMessage(key: StateKey): Buffer {
  const body = Buffer.alloc(stateIdLength);
  put(body, 0, key.destination);
  body.writeUInt16LE(AF_INET6, 20);
  body[22] = headers[key.header];
  const source = Buffer.alloc(16);
  put(source, 0, key.source);
  return Buffer.concat([body, attribute(XFRMA_SRCADDR, source)]);
}

/** struct xfrm_userpolicy_info: | selector 56 | lifetimes 96 | priority 4 | index 4 | dir 1 | action 1 | flags 1 | share 1 | */
export function policyMessage(policy: Policy): Buffer {
  const body = Buffer.alloc(policyLength);
  writeSelector(body, policy);
  writeForever(body, selectorLength);
  body.writeUInt32LE(policy.priority, 152);
  body[160] = directions[policy.direction];
  const template = policy.template ? [attribute(XFRMA_TMPL, templateOf(policy.template))] : [];
  return Buffer.concat([body, typeAttribute(policy), ...template, ...markAttribute(policy)]);
}

/** struct xfrm_user_tmpl: | id 24 | family 2 | saddr 16 | reqid 4 | mode 1 | share 1 | optional 1 | algorithms 12 |; optional: level use */
function templateOf(template: StateKey & { readonly tag: number }): Buffer {
  const body = Buffer.alloc(templateLength);
  put(body, 0, template.destination);
  body[20] = headers[template.header];
  body.writeUInt16LE(AF_INET6, 24);
  put(body, 28, template.source);
  body.writeUInt32LE(template.tag, 44);
  body[48] = XFRM_MODE_ROUTEOPTIMIZATION;
  body[50] = 1;
  body.fill(0xff, 52);
  return body;
}

/** struct xfrm_userpolicy_id: | selector 56 | index 4 | dir 1 | */
function policyIdMessage(key: PolicyKey): Buffer {
  const body = Buffer.alloc(policyIdLength);
  writeSelector(body, key);
  body[60] = directions[key.direction];
  return Buffer.concat([body, typeAttribute(key), ...markAttribute(key)]);
}

function typeAttribute(key: PolicyKey): Buffer {
  return attribute(XFRMA_POLICY_TYPE, Buffer.from([types[key.type], 0, 0, 0, 0, 0]));
}

function markAttribute({ mark }: PolicyKey): Buffer[] {
  if (mark === undefined) return [];
  const value = Buffer.alloc(8);
  value.writeUInt32LE(mark >>> 0, 0);
  value.writeUInt32LE(everyBit, 4);
  return [attribute(XFRMA_MARK, value)];
}

/** Adds a state. Throws EEXIST when there is one for the same packets, EPROTONOSUPPORT on a kernel without Mobile IPv6. */
export function addState(netlink: Netlink, state: OptimisationState): void {
  netlink.request(XFRM_MSG_NEWSA, NLM_F_CREATE | NLM_F_EXCL, stateMessage(state), `add XFRM state ${wordsOf(state)}`);
}

/** Gives an existing state another care-of address: packets of established connections follow at once. Throws ESRCH when there is none. */
export function updateState(netlink: Netlink, state: OptimisationState): void {
  netlink.request(XFRM_MSG_UPDSA, NLM_F_CREATE, stateMessage(state), `change XFRM state ${wordsOf(state)}`);
}

/** Removes a state; false when there is none. */
export function deleteState(netlink: Netlink, key: StateKey): boolean {
  return netlink.attempt(XFRM_MSG_DELSA, 0, stateIdMessage(key), `remove XFRM state ${wordsOf(key)}`, ["ESRCH"]);
}

/** One state with its counts, or undefined. */
export function readState(netlink: Netlink, key: StateKey): ListedState | undefined {
  const answer = netlink.queryIfAny(XFRM_MSG_GETSA, stateIdMessage(key), `read XFRM state ${wordsOf(key)}`, ["ESRCH"]);
  return answer && parseState(answer);
}

/** Every route optimisation state that carries one of `tags`; other people's states are left out. */
export function listStates(netlink: Netlink, tags: readonly number[]): ListedState[] {
  return Object.values(headers).flatMap((protocol) =>
    netlink.dump(XFRM_MSG_GETSA, attribute(XFRMA_PROTO, Buffer.from([protocol])), "list XFRM states").flatMap((message) => {
      const state = parseState(message);
      return state && tags.includes(state.tag) ? [state] : [];
    }),
  );
}

function parseState(message: Buffer): ListedState | undefined {
  const header = Object.entries(headers).find(([, protocol]) => protocol === message[76])?.[0] as OptimisedHeader | undefined;
  if (message.length < stateLength || !header || message.readUInt16LE(212) !== AF_INET6) return undefined;
  return {
    header,
    source: addressAt(message, 80),
    destination: addressAt(message, 56),
    careOf: addressAt(parseAttributes(message, stateLength).get(XFRMA_COADDR), 0),
    tag: message.readUInt32LE(208),
    wildcard: ((message[216] as number) & XFRM_STATE_WILDRECV) !== 0,
    bytes: Number(message.readBigUInt64LE(160)),
    packets: Number(message.readBigUInt64LE(168)),
  };
}

/** The address there, or undefined for the unspecified one. */
function addressAt(bytes: Buffer | undefined, at: number): Address | undefined {
  if (!bytes || bytes.length < at + 16 || bytes.subarray(at, at + 16).every((byte) => byte === 0)) return undefined;
  return formatAddress(bytes, at);
}

/** Adds a policy, or replaces the one for the same packets: either way packets that flow already are looked at anew. EINVAL: no type sub here. */
export function putPolicy(netlink: Netlink, policy: Policy): void {
  netlink.request(XFRM_MSG_UPDPOLICY, NLM_F_CREATE, policyMessage(policy), `put XFRM policy ${wordsOf(policy)} ${policy.direction}`);
}

/** Adds a policy. Throws EEXIST when there is one for the same packets. */
export function addPolicy(netlink: Netlink, policy: Policy): void {
  netlink.request(XFRM_MSG_NEWPOLICY, NLM_F_CREATE | NLM_F_EXCL, policyMessage(policy), `add XFRM policy ${wordsOf(policy)} ${policy.direction}`);
}

/** Removes a policy; false when there is none. */
export function deletePolicy(netlink: Netlink, key: PolicyKey): boolean {
  return netlink.attempt(XFRM_MSG_DELPOLICY, 0, policyIdMessage(key), `remove XFRM policy ${wordsOf(key)} ${key.direction}`, ["ENOENT", "ESRCH", "EINVAL"]);
}

/** Every IPv6 policy whose template, if it has one, is of route optimisation: also other people's. */
export function listPolicies(netlink: Netlink): Policy[] {
  return netlink.dump(XFRM_MSG_GETPOLICY, Buffer.alloc(policyIdLength), "list XFRM policies").flatMap((message) => {
    const policy = parsePolicy(message);
    return policy ? [policy] : [];
  });
}

function parsePolicy(message: Buffer): Policy | undefined {
  if (message.length < policyLength || message.readUInt16LE(40) !== AF_INET6) return undefined;
  const attributes = parseAttributes(message, policyLength);
  const template = attributes.get(XFRMA_TMPL);
  const header = Object.entries(headers).find(([, protocol]) => protocol === template?.[20])?.[0] as OptimisedHeader | undefined;
  const direction = (["in", "out"] as const)[message[160] as number];
  if (!direction || (template && (!header || template.length !== templateLength))) return undefined;
  return {
    direction,
    type: attributes.get(XFRMA_POLICY_TYPE)?.[0] === types.sub ? "sub" : "main",
    source: message[43] === 128 ? addressAt(message, 16) : undefined,
    destination: message[42] === 128 ? addressAt(message, 0) : undefined,
    mark: attributes.get(XFRMA_MARK)?.readUInt32LE(0),
    priority: message.readUInt32LE(152),
    template: template && header ? { header, destination: addressAt(template, 0), source: addressAt(template, 28), tag: template.readUInt32LE(44) } : undefined,
  };
}

function wordsOf(key: { readonly source?: Address | undefined; readonly destination?: Address | undefined }): string {
  return `${key.source ?? "any"} -> ${key.destination ?? "any"}`;
}
