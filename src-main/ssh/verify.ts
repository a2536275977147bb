import { appendFile, mkdir, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { authorityOnly, ChangedHostKeyError, revokedHostKey, type SshError, UnknownHostKeyError } from "./errors.ts";
import type { HostKey } from "./host-key.ts";
import { judgeHostKey, type KnownHost, knownHostLine, knownKeyTypes, parseKnownHosts } from "./known-hosts.ts";
import type { HostTrust } from "./target.ts";

/** Host keys that a host may use, best first; SHA-1 and DSA are left out. */
const hostKeyAlgorithms = ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "rsa-sha2-512", "rsa-sha2-256"] as const;
type HostKeyAlgorithm = (typeof hostKeyAlgorithms)[number];

/** Reads all known_hosts files of a host. A file that is missing is empty; one that cannot be read is an error, for its keys may say no. */
export async function readTrust(trust: HostTrust): Promise<KnownHost[]> {
  const files = trust.files.map(async (file) => {
    try {
      return parseKnownHosts(await readFile(file, "utf8"), file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
      throw error;
    }
  });
  return (await Promise.all(files)).flat();
}

/** The algorithms to ask for: those of keys on file first, so that a host with several keys offers one that can be checked. */
export function preferredAlgorithms(entries: readonly KnownHost[], trust: HostTrust): HostKeyAlgorithm[] {
  const known = knownKeyTypes(entries, trust.names);
  const isKnown = (algorithm: HostKeyAlgorithm) => known.includes(algorithm.startsWith("rsa-") ? "ssh-rsa" : algorithm);
  return [...hostKeyAlgorithms.filter(isKnown), ...hostKeyAlgorithms.filter((a) => !isKnown(a))];
}

/** Undefined when the offered key is the host's; otherwise the reason to refuse. */
export function refusal(host: string, entries: readonly KnownHost[], trust: HostTrust, offered: HostKey): SshError | undefined {
  const verdict = judgeHostKey(entries, trust.names, offered);
  switch (verdict.is) {
    case "known":
      return undefined;
    case "unknown":
      return new UnknownHostKeyError(host, trust.names.name, offered);
    case "changed":
      return new ChangedHostKeyError(host, trust.names.name, offered, verdict.entries);
    case "revoked":
      return revokedHostKey(host, offered, verdict.entry);
    case "authorityOnly":
      return authorityOnly(host, offered, verdict.entry);
  }
}

/** Adds a key that a person has accepted to a known_hosts file, creating it (0600) when missing. */
export async function acceptHostKey(file: string, name: string, key: HostKey, hash = false): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const text = await readFile(file, "utf8").catch(() => "");
  const line = knownHostLine(name, key, hash);
  await appendFile(file, text === "" || text.endsWith("\n") ? line : `\n${line}`, { mode: 0o600 });
}
