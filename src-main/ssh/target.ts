import type { Duplex } from "node:stream";
import type { HostNames } from "./known-hosts.ts";

/** Which host keys are accepted for a host. There is no way to say "any". */
export interface HostTrust {
  readonly names: HostNames;
  /** known_hosts files, all read; missing ones count as empty. A lab has its own file and never reads the user's. */
  readonly files: readonly string[];
}

/** Asks a person for a secret; undefined when they decline. Called only when it is needed. */
export type AskSecret = (question: string) => Promise<string | undefined>;

/** What may be tried to log in, in this order: SSH agent, key files, password. */
export interface Credentials {
  /** Path of an SSH agent's socket (SSH_AUTH_SOCK). */
  readonly agentSocket?: string;
  readonly keyFiles: readonly string[];
  /** For an encrypted key file. */
  readonly passphrase?: AskSecret;
  readonly password?: AskSecret;
}

/** Everything needed to connect to one host. */
export interface SshTarget {
  /** The name that people use; it stands in every error. */
  readonly host: string;
  readonly user: string;
  readonly hostname: string;
  readonly port: number;
  readonly trust: HostTrust;
  readonly credentials: Credentials;
  /** Reached through this one (ProxyJump). */
  readonly jump?: SshTarget;
  /** Reached over this stream instead of TCP; `hostname` and `port` then only name it. */
  readonly stream?: () => Promise<Duplex>;
}
