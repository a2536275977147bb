import { SystemCallError } from "../../linux/libc.ts";
import { Netlink, NETLINK_XFRM } from "../../linux/netlink.ts";
import { deletePolicy, deleteState, listPolicies, listStates, type Policy } from "../../linux/xfrm.ts";
import { names } from "../names.ts";

const { bound, unbound, priority, signallingPriority } = names.xfrm;

/** Removes every XFRM policy and state of ours from this network namespace; nothing where the kernel has no XFRM. Other people's stay. */
export function removeOptimisation(): void {
  let netlink: Netlink;
  try {
    netlink = new Netlink(NETLINK_XFRM);
  } catch (error) {
    if (error instanceof SystemCallError && error.code === "EPROTONOSUPPORT") return;
    throw error;
  }
  try {
    for (const policy of listPolicies(netlink)) if (isOurs(policy)) deletePolicy(netlink, policy);
    for (const state of listStates(netlink, [bound, unbound])) deleteState(netlink, state);
  } finally {
    netlink.close();
  }
}

/** Ours lead to states of ours, or let packets with our mark pass. */
function isOurs(policy: Policy): boolean {
  if (policy.template) return policy.priority === priority && policy.template.tag === bound;
  return policy.priority === signallingPriority && policy.mark === names.mark;
}
