import { readFileSync } from "node:fs";
import { maximumBundleConnections } from "./bundle.ts";

/** TCP connections that are accepted at X; one more is reset. */
export interface ConnectionLimits {
  /** Of one client. */
  readonly each: number;
  readonly together: number;
}

const most = 65_536;
const fallbackDescriptors = 1024;

/**
 * A client may have as many as can move together. All together leave a quarter of the descriptors that a process may open to everything else: without any left
 * no handoff could come in, and a listening socket that cannot be accepted from stays readable for ever.
 */
export function connectionLimits(): ConnectionLimits {
  return { each: maximumBundleConnections, together: Math.min(most, Math.floor((descriptors() * 3) / 4)) };
}

function descriptors(): number {
  try {
    const [, soft] = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8")) ?? [];
    return soft === undefined ? most * 2 : Number(soft);
  } catch {
    return fallbackDescriptors;
  }
}
