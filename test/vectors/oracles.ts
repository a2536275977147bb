import { spawnSync } from "node:child_process";

/** A python3 that has scapy, or why there is none. The first one on PATH need not be the system's, which has the Debian package. */
export function findScapy(): { readonly python: string } | { readonly missing: string } {
  const python = ["python3", "/usr/bin/python3"].find((path) => spawnSync(path, ["-c", "import scapy.layers.inet6"]).status === 0);
  return python === undefined ? { missing: "no python3 with scapy (Debian package python3-scapy)" } : { python };
}

/** tshark on PATH, or why not. */
export function findTshark(): { readonly tshark: string } | { readonly missing: string } {
  return spawnSync("tshark", ["--version"]).status === 0 ? { tshark: "tshark" } : { missing: "no tshark (Debian package tshark)" };
}

/** Runs an oracle to its end and returns what it printed. Throws with its complaint when it fails. */
export function ask(command: string, args: readonly string[], input: string | Uint8Array = ""): string {
  const ran = spawnSync(command, args, { input, encoding: "utf8", maxBuffer: 1 << 28 });
  if (ran.error) throw ran.error;
  if (ran.status !== 0) throw new Error(`${command} ended with ${ran.status}: ${ran.stderr}`);
  return ran.stdout;
}

/** A pcap file of raw IPv6 packets (LINKTYPE_RAW), one a millisecond. */
export function pcapOf(packets: readonly Uint8Array[]): Uint8Array {
  const words = (...values: number[]) => new Uint8Array(Uint32Array.from(values).buffer);
  const magic = 0xa1b2c3d4;
  const header = words(magic, (4 << 16) | 2, 0, 0, 0xffff, 101);
  return Buffer.concat([header, ...packets.flatMap((packet, i) => [words(0, 1000 * i, packet.length, packet.length), packet])]);
}
