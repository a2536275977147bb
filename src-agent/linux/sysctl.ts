import { readFileSync, writeFileSync } from "node:fs";

/**
 * Sets a kernel variable of this network namespace, e.g. `net.ipv4.tcp_slow_start_after_idle`; returns what puts the old value back. CAP_NET_ADMIN
 * suffices. Throws the file system's error, which names the file.
 */
export function setSysctl(name: string, value: string): () => void {
  const path = `/proc/sys/${name.replaceAll(".", "/")}`;
  const before = readFileSync(path, "utf8").trim();
  if (before === value) return () => {};
  writeFileSync(path, value);
  return () => writeFileSync(path, before);
}
