import { SystemCallError } from "../linux/libc.ts";
import type { DataPlane } from "../ports.ts";
import type { DataPlaneContext } from "./context.ts";
import { EbpfDataPlane } from "./ebpf/plane.ts";
import { UserspaceDataPlane } from "./userspace/plane.ts";

/** What people may ask for: a kind, or the best that the host can do. */
export type DataPlanePreference = "auto" | DataPlane["kind"];

/** No data plane of the wanted kind can run here; the message says why and what to do. */
export class DataPlaneError extends Error {
  readonly code = "no-data-plane";
}

/**
 * Starts the data plane of the wanted kind; for `auto` eBPF, or the userspace one where the kernel or our rights do not allow eBPF. `reason` is
 * for people. Throws DataPlaneError.
 */
export function chooseDataPlane(preference: DataPlanePreference, context: DataPlaneContext): { plane: DataPlane; reason: string } {
  switch (preference) {
    case "kernel":
      throw new DataPlaneError("the kernel data plane is not part of this version: choose ebpf or userspace");
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

function best(context: DataPlaneContext): { plane: DataPlane; reason: string } {
  let why: string;
  try {
    const plane = new EbpfDataPlane(context);
    return { plane, reason: `the kernel takes eBPF programs; attached by ${plane.attached}` };
  } catch (error) {
    why = explain(error);
  }
  return { plane: start(() => new UserspaceDataPlane(context), "userspace"), reason: `eBPF cannot be used here: ${why}` };
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
  if (error.code === "EPERM" && error.message.startsWith("bpf(")) return `${error.message} (the agent lacks CAP_BPF, or is in a user namespace)`;
  if (error.code === "EPERM") return `${error.message} (the agent needs CAP_NET_ADMIN and CAP_NET_RAW)`;
  if (error.code === "ENOSYS") return `${error.message} (this kernel has no eBPF)`;
  return error.message;
}
