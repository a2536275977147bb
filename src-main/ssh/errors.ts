import { Problem, type ProblemText } from "../problem.ts";
import { describeHostKey, fingerprint, type HostKey } from "./host-key.ts";
import type { KnownHost } from "./known-hosts.ts";

/** Why an SSH connection or something done over it failed. */
export type SshErrorCode =
  | "ssh.unreachable"
  | "ssh.refused"
  | "ssh.unresolved"
  | "ssh.timeout"
  | "ssh.hostKeyUnknown"
  | "ssh.hostKeyChanged"
  | "ssh.hostKeyRevoked"
  | "ssh.hostKeyAuthority"
  | "ssh.authentication"
  | "ssh.keyFile"
  | "ssh.handshake"
  | "ssh.lost"
  | "ssh.forwardingOff"
  | "ssh.channel"
  | "ssh.unsupported"
  | "ssh.config";

export class SshError extends Problem {
  override readonly name: string = "SshError";
  override readonly code: SshErrorCode;
  constructor(text: ProblemText & { readonly code: SshErrorCode; readonly host: string }) {
    super(text);
    this.code = text.code;
  }
}

/** The host is not in the known_hosts files: a person has to compare the fingerprint. Carries the key so that it can be accepted. */
export class UnknownHostKeyError extends SshError {
  override readonly name = "UnknownHostKeyError";
  readonly key: HostKey;
  readonly knownHostName: string;
  constructor(host: string, name: string, key: HostKey) {
    super({
      code: "ssh.hostKeyUnknown",
      host,
      what: `its host key is not known yet (${describeHostKey(key)})`,
      remedy: "Compare the fingerprint with the one on the host (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub); if it is the same, accept it.",
      details: { fingerprint: fingerprint(key), keyType: key.type, name },
    });
    this.key = key;
    this.knownHostName = name;
  }
}

/** The host offered another key than the one on file. Never accepted silently: it may be someone in the middle. */
export class ChangedHostKeyError extends SshError {
  override readonly name = "ChangedHostKeyError";
  readonly offered: HostKey;
  readonly known: readonly KnownHost[];
  constructor(host: string, name: string, offered: HostKey, known: readonly KnownHost[]) {
    const on = known.map((k) => `${describeHostKey(k.key)} (${k.file}:${k.line})`).join(", ");
    super({
      code: "ssh.hostKeyChanged",
      host,
      what: `its host key has changed: offered ${describeHostKey(offered)}, known ${on}`,
      remedy: `Someone may be listening in. If the host was reinstalled, remove the old key on purpose: ssh-keygen -R '${name}' -f ${known[0]?.file ?? "~/.ssh/known_hosts"}`,
      details: { offered: fingerprint(offered), known: known.map((k) => ({ fingerprint: fingerprint(k.key), file: k.file, line: k.line })), name },
    });
    this.offered = offered;
    this.known = known;
  }
}

export function revokedHostKey(host: string, offered: HostKey, entry: KnownHost): SshError {
  return new SshError({
    code: "ssh.hostKeyRevoked",
    host,
    what: `its host key ${describeHostKey(offered)} is marked @revoked in ${entry.file}:${entry.line}`,
    remedy: "Do not connect. Give the host a new key and remove the revoked one from it.",
    details: { offered: fingerprint(offered) },
  });
}

export function authorityOnly(host: string, offered: HostKey, entry: KnownHost): SshError {
  return new SshError({
    code: "ssh.hostKeyAuthority",
    host,
    what: `only a certificate authority is on file for it (@cert-authority, ${entry.file}:${entry.line}); host certificates are not supported, and it offered the plain key ${describeHostKey(offered)}`,
    remedy: "Add the host's plain key to known_hosts after comparing its fingerprint.",
    details: { offered: fingerprint(offered) },
  });
}
