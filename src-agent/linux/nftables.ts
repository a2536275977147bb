import { attribute, nestedAttribute, Netlink, NETLINK_NETFILTER, NLM_F_APPEND, NLM_F_CREATE, parseAttributes, textAttribute } from "./netlink.ts";
import { SystemCallError } from "./libc.ts";

const NFNL_SUBSYS_NFTABLES = 10;
const message = (type: number): number => (NFNL_SUBSYS_NFTABLES << 8) | type;
const NEWTABLE = message(0);
const DELTABLE = message(2);
const NEWCHAIN = message(3);
const NEWRULE = message(6);
const GETRULE = message(7);
const DELRULE = message(8);
const NFPROTO_IPV6 = 10;
const PRE_ROUTING = 0;
const NETWORK_HEADER = 1;
const META_IIF = 4;
/** A register of 16 bytes. */
const register = 1;
const chainName = "arriving";

/** struct nfgenmsg. */
const family = Buffer.of(NFPROTO_IPV6, 0, 0, 0);

/** One step of a rule. */
export type Expression = Buffer;

function big32(type: number, value: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeInt32BE(value | 0);
  return attribute(type, payload);
}

function expression(name: string, attributes: readonly Buffer[]): Expression {
  return nestedAttribute(1, [textAttribute(1, name), nestedAttribute(2, attributes)]);
}

const data = (type: number, value: Uint8Array): Buffer => nestedAttribute(type, [attribute(1, value)]);

/** Goes on only with what arrived at the device with this index. */
export function arrivedAt(device: number): Expression[] {
  const index = Buffer.alloc(4);
  index.writeUInt32LE(device);
  return [expression("meta", [big32(1, register), big32(2, META_IIF)]), expression("cmp", [big32(1, register), big32(2, 0), data(3, index)])];
}

/** Goes on only with packets that have `value` (at most 16 bytes) at byte `offset` of the IPv6 header. */
export function has(offset: number, value: Uint8Array): Expression[] {
  return [
    expression("payload", [big32(1, register), big32(2, NETWORK_HEADER), big32(3, offset), big32(4, value.length)]),
    expression("cmp", [big32(1, register), big32(2, 0), data(3, value)]),
  ];
}

/** Writes `value` (at most 16 bytes) at byte `offset` of the IPv6 header. Checksums stay as they are. */
export function put(offset: number, value: Uint8Array): Expression[] {
  return [
    expression("immediate", [big32(1, register), data(2, value)]),
    expression("payload", [big32(5, register), big32(2, NETWORK_HEADER), big32(3, offset), big32(4, value.length)]),
  ];
}

/** What a rule has done. `handle` names it to the kernel. */
export interface RuleCount {
  readonly handle: Buffer;
  readonly packets: number;
  readonly bytes: number;
}

/** An nftables table of our own for arriving IPv6 packets, before routing and connection tracking. Needs CAP_NET_ADMIN. */
export class ArrivingRules {
  readonly #netlink = new Netlink(NETLINK_NETFILTER);
  readonly #table: string;

  /** Throws a SystemCallError when the kernel has no nftables. */
  constructor(table: string) {
    this.#table = table;
    const priority = -310;
    const hook = nestedAttribute(4, [big32(1, PRE_ROUTING), big32(2, priority)]);
    try {
      this.#do("make an nftables table", [
        { type: NEWTABLE, flags: NLM_F_CREATE, body: Buffer.concat([family, textAttribute(1, table)]) },
        { type: NEWCHAIN, flags: NLM_F_CREATE, body: Buffer.concat([family, textAttribute(1, table), textAttribute(3, chainName), hook, textAttribute(7, "filter")]) },
      ]);
    } catch (error) {
      this.#netlink.close();
      throw error;
    }
  }

  /** A rule that counts what went through all of its expressions. `comment` (at most 100 characters, its own for each rule) names it. */
  add(comment: string, expressions: readonly Expression[]): void {
    const counter = expression("counter", []);
    const text = Buffer.from(`${comment}\0`);
    const body = Buffer.concat([...this.#chain(), nestedAttribute(4, [...expressions, counter]), attribute(7, Buffer.concat([Buffer.of(0, text.length), text]))]);
    this.#do(`add nftables rule ${comment}`, [{ type: NEWRULE, flags: NLM_F_CREATE | NLM_F_APPEND, body }]);
  }

  remove(handle: Buffer): void {
    this.#do("remove nftables rule", [{ type: DELRULE, flags: 0, body: Buffer.concat([...this.#chain(), attribute(3, handle)]) }]);
  }

  /** What each rule has done so far, by its comment. */
  counts(): Map<string, RuleCount> {
    const counts = new Map<string, RuleCount>();
    for (const rule of this.#netlink.dump(GETRULE, Buffer.concat(this.#chain()), "list nftables rules")) {
      const attributes = parseAttributes(rule, 4);
      const comment = attributes.get(7)?.toString("latin1", 2).replace("\0", "");
      const handle = attributes.get(3);
      // Of expressions in a list, the last one is found: the counter.
      const last = parseAttributes(attributes.get(4) ?? Buffer.alloc(0)).get(1);
      const counter = last && parseAttributes(parseAttributes(last).get(2) ?? Buffer.alloc(0));
      const [bytes, packets] = [counter?.get(1), counter?.get(2)];
      if (comment !== undefined && handle && bytes && packets) counts.set(comment, { handle, packets: Number(packets.readBigUInt64BE()), bytes: Number(bytes.readBigUInt64BE()) });
    }
    return counts;
  }

  /** Removes the table with all its rules. */
  close(): void {
    try {
      this.#do("remove nftables table", [{ type: DELTABLE, flags: 0, body: Buffer.concat([family, textAttribute(1, this.#table)]) }]);
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
    } finally {
      this.#netlink.close();
    }
  }

  #chain(): Buffer[] {
    return [family, textAttribute(1, this.#table), textAttribute(2, chainName)];
  }

  #do(what: string, messages: readonly { type: number; flags: number; body: Buffer }[]): void {
    this.#netlink.transact(NFNL_SUBSYS_NFTABLES, messages, what);
  }
}

/** Removes a table that a killed process left; nothing when there is none, or no nftables. */
export function removeTable(table: string): void {
  let netlink: Netlink | undefined;
  try {
    netlink = new Netlink(NETLINK_NETFILTER);
    netlink.transact(NFNL_SUBSYS_NFTABLES, [{ type: DELTABLE, flags: 0, body: Buffer.concat([family, textAttribute(1, table)]) }], "remove nftables table");
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error;
  } finally {
    netlink?.close();
  }
}
