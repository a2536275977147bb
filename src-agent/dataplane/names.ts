/**
 * Every name and number under which a data plane leaves something in the kernel. Rules and routes also carry protocol 135 (see
 * src-agent/linux/routes.ts), so that people can tell them apart: `ip -6 -N rule`.
 */
export const names = {
  /** Abstract Unix socket, one per network namespace: held while a data plane runs. */
  lock: "anycast-lab-data-plane",
  stackEnd: "alab0",
  agentEnd: "alab1",
  /** Packet mark that leads past our own routing rules. */
  mark: 0x616c_6162,
  tables: { toAway: 7135, fromHome: 7136 },
  priorities: { bypass: 7133, fromHome: 7134, toAway: 7135, end: 7139 },
  /** Priorities of the rules that only note what was done to the data interface, or to the network namespace (xfrm). */
  notes: { xfrm: 7129, filters: 7130, clsact: 7131, tunnelOffload: 7132 },
  /**
   * XFRM states and the policies that use them carry one of these as reqid: `bound` what translates, `unbound` what only catches packets without a
   * binding. The priorities are those of policies: our signalling (by its mark) passes before anything is translated.
   */
  xfrm: { bound: 7135, unbound: 7136, signallingPriority: 7134, priority: 7135 },
  filterPreference: 7135,
  /** An nftables table (family ip6), see userspace/inPlace.ts. */
  arrivingTable: "anycast-lab-arriving",
  tunnelOffload: "tx-ipxip6-segmentation",
} as const;
