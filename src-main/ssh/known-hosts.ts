import { createHmac, randomBytes } from "node:crypto";
import { type HostKey, hostKeyFromBlob } from "./host-key.ts";

/** One line of a known_hosts file (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT). */
export interface KnownHost {
  readonly file: string;
  readonly line: number;
  readonly marker: "none" | "revoked" | "cert-authority";
  /** The hosts field as written: comma-separated patterns, or one hashed name. */
  readonly hosts: string;
  readonly key: HostKey;
}

/** What the files say about a key offered by a host. All but `known` refuse the connection. */
export type HostKeyVerdict =
  | { readonly is: "known"; readonly entry: KnownHost }
  | { readonly is: "unknown" }
  | { readonly is: "changed"; readonly entries: readonly KnownHost[] }
  | { readonly is: "revoked"; readonly entry: KnownHost }
  | { readonly is: "authorityOnly"; readonly entry: KnownHost };

/** Reads a known_hosts file. Lines that are not understood are skipped, as OpenSSH does: they can only make a host less known. */
export function parseKnownHosts(text: string, file: string): KnownHost[] {
  return text.split("\n").flatMap((raw, index) => {
    const line = raw.trim();
    if (line === "" || line.startsWith("#")) return [];
    const fields = line.split(/[ \t]+/);
    const marker = fields[0]?.startsWith("@") ? (fields.shift() as string).slice(1) : "none";
    const [hosts, type, base64] = fields;
    if (!hosts || !type || !base64 || (marker !== "none" && marker !== "revoked" && marker !== "cert-authority")) return [];
    try {
      const key = hostKeyFromBlob(Buffer.from(base64, "base64"));
      return key.type === type ? [{ file, line: index + 1, marker, hosts, key }] : [];
    } catch {
      return [];
    }
  });
}

/** The name under which a host is looked up: bare on port 22, else `[host]:port`; lower case as in OpenSSH. */
export function knownHostName(hostname: string, port: number): string {
  const name = hostname.toLowerCase();
  return port === 22 ? name : `[${name}]:${port}`;
}

/** The names to look a host up by: `name` counts; a key on file under `withoutPort` is accepted too, as OpenSSH does for ports other than 22. */
export interface HostNames {
  readonly name: string;
  readonly withoutPort?: string;
}

/** The names of a host; an alias (HostKeyAlias) stands alone. */
export function hostNames(hostname: string, port: number, alias?: string): HostNames {
  if (alias) return { name: alias.toLowerCase() };
  return { name: knownHostName(hostname, port), ...(port !== 22 && { withoutPort: hostname.toLowerCase() }) };
}

/** Judges the key that a host has offered. A revoked key stays revoked whatever else is written; any other key of that host means `changed`. */
export function judgeHostKey(entries: readonly KnownHost[], names: HostNames, offered: HostKey): HostKeyVerdict {
  const verdict = judgeByName(entries, names.name, offered);
  if (verdict.is === "revoked" || !names.withoutPort) return verdict;
  const bare = judgeByName(entries, names.withoutPort, offered);
  return bare.is === "revoked" || (verdict.is === "unknown" && bare.is === "known") ? bare : verdict;
}

function judgeByName(entries: readonly KnownHost[], name: string, offered: HostKey): HostKeyVerdict {
  const about = entries.filter((e) => matchesHosts(e.hosts, name));
  const same = (e: KnownHost) => e.key.blob.equals(offered.blob);
  const revoked = about.find((e) => e.marker === "revoked" && same(e));
  if (revoked) return { is: "revoked", entry: revoked };
  const plain = about.filter((e) => e.marker === "none");
  const known = plain.find(same);
  if (known) return { is: "known", entry: known };
  if (plain.length > 0) return { is: "changed", entries: plain };
  const authority = about.find((e) => e.marker === "cert-authority");
  return authority ? { is: "authorityOnly", entry: authority } : { is: "unknown" };
}

/** The key types already known for a host, so that the key exchange can ask for one that can be checked. */
export function knownKeyTypes(entries: readonly KnownHost[], names: HostNames): string[] {
  const typesOf = (name: string) => [...new Set(entries.filter((e) => e.marker === "none" && matchesHosts(e.hosts, name)).map((e) => e.key.type))];
  const exact = typesOf(names.name);
  return exact.length > 0 || !names.withoutPort ? exact : typesOf(names.withoutPort);
}

/** A new line for a known_hosts file; hashed as `HashKnownHosts yes` does (HMAC-SHA1 of the name under a random salt). */
export function knownHostLine(name: string, key: HostKey, hash: boolean): string {
  const salt = hash ? randomBytes(20) : undefined;
  const hosts = salt ? `|1|${salt.toString("base64")}|${hashName(salt, name).toString("base64")}` : name;
  return `${hosts} ${key.type} ${key.blob.toString("base64")}\n`;
}

function hashName(salt: Buffer, name: string): Buffer {
  return createHmac("sha1", salt).update(name).digest();
}

/** Whether a hosts field covers the name: hashed, or patterns with * and ?, where a matching `!pattern` excludes. */
function matchesHosts(hosts: string, name: string): boolean {
  if (hosts.startsWith("|")) {
    const [, version, salt, hash] = hosts.split("|");
    return version === "1" && !!salt && !!hash && hashName(Buffer.from(salt, "base64"), name).equals(Buffer.from(hash, "base64"));
  }
  const patterns = hosts.toLowerCase().split(",");
  if (patterns.some((p) => p.startsWith("!") && matchesPattern(p.slice(1), name))) return false;
  return patterns.some((p) => !p.startsWith("!") && matchesPattern(p, name));
}

function matchesPattern(pattern: string, name: string): boolean {
  const source = pattern.replaceAll(/[.+^${}()|[\]\\]/g, String.raw`\$&`).replaceAll("*", ".*").replaceAll("?", ".");
  return new RegExp(`^${source}$`).test(name);
}
