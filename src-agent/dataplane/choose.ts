import { SystemCallError } from "../linux/libc.ts";
import type { DataPlane } from "../ports.ts";
import type { DataPlaneContext } from "./context.ts";
import { EbpfDataPlane } from "./ebpf/plane.ts";
import { probeOptimisation } from "./kernel/optimisation.ts";
import { KernelDataPlane } from "./kernel/plane.ts";
import { UserspaceDataPlane } from "./userspace/plane.ts";

/** What people may ask for: a kind, or the best that the host can do. */
export type DataPlanePreference = "auto" | DataPlane["kind"];

/** No data plane of the wanted kind can run here; the message says why and what to do. */
export class DataPlaneError extends Error {
  readonly code = "no-data-plane";
}

interface Choice {
  readonly plane: DataPlane;
  /** For people. */
  readonly reason: string;
}

/**
 * Starts the data plane of the wanted kind; for `auto` the kernel's own, eBPF, or the userspace one, whichever is the first that kernel and rights allow.
 * Throws DataPlaneError.
 */
export function chooseDataPlane(preference: DataPlanePreference, context: DataPlaneContext): Choice {
  switch (preference) {
    case "kernel": {
      const { plane, reason } = start(() => kernel(context), "kernel");
      return { plane, reason: `asked for; ${reason}` };
    }
    case "userspace":
      return { plane: start(() => new UserspaceDataPlane(context), "userspace"), reason: "asked for" };
    case "ebpf": {
      const plane = start(() => new EbpfDataPlane(context), "eBPF");
      return { plane, reason: `asked for; attached by ${plane.attached}` };
    }
    case "auto":
      return best(context);
  }
}

function best(context: DataPlaneContext): Choice {
  const why: string[] = [];
  try {
    const { plane, reason } = kernel(context);
    return { plane, reason: `the kernel does Mobile IPv6 itself; ${reason}` };
  } catch (error) {
    why.push(`not the kernel's own Mobile IPv6: ${explain(error)}`);
  }
  try {
    const plane = new EbpfDataPlane(context);
    return { plane, reason: `the kernel takes eBPF programs; attached by ${plane.attached}; ${why.join("; ")}` };
  } catch (error) {
    why.push(`eBPF cannot be used here: ${explain(error)}`);
  }
  return { plane: start(() => new UserspaceDataPlane(context), "userspace"), reason: why.toReversed().join("; ") };
}

/** Translation by the kernel; tunnels by eBPF, or in userspace where that cannot be. */
function kernel(context: DataPlaneContext): Choice {
  probeOptimisation();
  let reason = "";
  const plane = new KernelDataPlane(context, (inner) => {
    try {
      const tunnels = new EbpfDataPlane(inner);
      reason = `tunnels by eBPF, attached by ${tunnels.attached}`;
      return tunnels;
    } catch (error) {
      reason = `tunnels in userspace (eBPF cannot be used here: ${explain(error)})`;
      return new UserspaceDataPlane(inner);
    }
  });
  return { plane, reason };
}

function start<T>(make: () => T, kind: string): T {
  try {
    return make();
  } catch (error) {
    throw new DataPlaneError(`the ${kind} data plane cannot run here: ${explain(error)}`, { cause: error });
  }
}

function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (!(error instanceof SystemCallError)) return error.message;
  if (error.code === "EPROTONOSUPPORT") return `this kernel is built without CONFIG_IPV6_MIP6 or XFRM (${error.code})`;
  if (error.code === "EEXIST" && error.message.includes("XFRM")) return `${error.message} (another Mobile IPv6 program uses the kernel's: see ip xfrm state, ip xfrm policy)`;
  if (error.code === "EPERM" && error.message.startsWith("bpf(")) return `${error.message} (the agent lacks CAP_BPF, or is in a user namespace)`;
  if (error.code === "EPERM") return `${error.message} (the agent needs CAP_NET_ADMIN and CAP_NET_RAW)`;
  if (error.code === "ENOSYS") return `${error.message} (this kernel has no eBPF)`;
  return error.message;
}
