import { type Address, addressBytes, formatAddress } from "../../src-shared/net/address.ts";
import { attribute, attributeText, NLM_F_CREATE, NLM_F_EXCL, parseAttributes, textAttribute, u32Attribute, type Netlink } from "./netlink.ts";
import { ownProtocol } from "./routes.ts";

const RTM_NEWRULE = 32;
const RTM_DELRULE = 33;
const RTM_GETRULE = 34;
const AF_INET6 = 10;
const FRA_SRC = 2;
const FRA_IIFNAME = 3;
const FRA_GOTO = 4;
const FRA_PRIORITY = 6;
const FRA_FWMARK = 10;
const FRA_TABLE = 15;
const FRA_FWMASK = 16;
const FRA_PROTOCOL = 21;
const FR_ACT_TO_TBL = 1;
const FR_ACT_GOTO = 2;
const FR_ACT_NOP = 3;

/** A policy routing rule of ours. Exactly one of `table`, `goto` and `nothing`. */
export interface Rule {
  readonly priority: number;
  readonly source?: Address;
  readonly mark?: number;
  readonly incoming?: string;
  readonly action: { readonly table: number } | { readonly goto: number } | "nothing";
}

function ruleMessage(rule: Rule): Buffer {
  const head = Buffer.alloc(12);
  head[0] = AF_INET6;
  head[2] = rule.source ? 128 : 0;
  const attributes = [u32Attribute(FRA_PRIORITY, rule.priority), attribute(FRA_PROTOCOL, Buffer.from([ownProtocol]))];
  if (rule.source) attributes.push(attribute(FRA_SRC, addressBytes(rule.source)));
  if (rule.incoming) attributes.push(textAttribute(FRA_IIFNAME, rule.incoming));
  if (rule.mark !== undefined) attributes.push(u32Attribute(FRA_FWMARK, rule.mark), u32Attribute(FRA_FWMASK, 0xffffffff));
  if (rule.action === "nothing") head[7] = FR_ACT_NOP;
  else if ("goto" in rule.action) {
    head[7] = FR_ACT_GOTO;
    attributes.push(u32Attribute(FRA_GOTO, rule.action.goto));
  } else {
    head[7] = FR_ACT_TO_TBL;
    attributes.push(u32Attribute(FRA_TABLE, rule.action.table));
  }
  return Buffer.concat([head, ...attributes]);
}

/** Adds a rule; nothing when the same one exists. */
export function addRule(netlink: Netlink, rule: Rule): void {
  netlink.attempt(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, ruleMessage(rule), `add routing rule ${rule.priority}`, ["EEXIST"]);
}

/** Removes a rule; false when there is none like it. */
export function deleteRule(netlink: Netlink, rule: Rule): boolean {
  return netlink.attempt(RTM_DELRULE, 0, ruleMessage(rule), `remove routing rule ${rule.priority}`, ["ENOENT", "ESRCH", "EAFNOSUPPORT"]);
}

/** The IPv6 rules that carry our protocol number, also those of an earlier process. */
export function listOwnRules(netlink: Netlink): Rule[] {
  const head = Buffer.alloc(12);
  head[0] = AF_INET6;
  return netlink.dump(RTM_GETRULE, head, "list routing rules").flatMap((message) => {
    const attributes = parseAttributes(message, 12);
    if (attributes.get(FRA_PROTOCOL)?.[0] !== ownProtocol) return [];
    const number = (type: number) => attributes.get(type)?.readUInt32LE(0);
    const source = attributes.get(FRA_SRC);
    const incoming = attributeText(attributes.get(FRA_IIFNAME));
    const mark = number(FRA_FWMARK);
    const rule: Rule = {
      priority: number(FRA_PRIORITY) ?? 0,
      ...(source?.length === 16 ? { source: formatAddress(source) } : {}),
      ...(incoming ? { incoming } : {}),
      ...(mark ? { mark } : {}),
      action: message[7] === FR_ACT_NOP ? "nothing" : message[7] === FR_ACT_GOTO ? { goto: number(FRA_GOTO) ?? 0 } : { table: number(FRA_TABLE) ?? 0 },
    };
    return [rule];
  });
}
