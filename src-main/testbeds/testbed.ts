import type { Duplex } from "node:stream";
import type { Address } from "../../src-shared/net/address.ts";
import type { DataPlaneChoice, LabRole, LinkChange, LinkQuality, LinkRef, Lateness, PairCounters } from "../../src-shared/api/lab.ts";
import type { SshTarget } from "../ssh/target.ts";

/** How the login of a host becomes root. `password` is the testbed's own, never a person's. */
export type Sudo = { readonly kind: "nopasswd" } | { readonly kind: "password"; readonly password: string } | { readonly kind: "none" } | { readonly kind: "ask" };

/** One host of a testbed: where it is, what it is for, and how to log in. */
export interface HostHandle {
  readonly name: string;
  readonly site: string;
  readonly roles: readonly LabRole[];
  /** Its address on the data network, and the interface that has it; unknown on a fleet until asked. */
  readonly address: Address | undefined;
  readonly interface: string | undefined;
  readonly ssh: SshTarget;
  readonly sudo: Sudo;
  /** A Node that the host may use although its login would not find it, such as ours where the host shares our file system. */
  readonly nodePath?: string;
  /** How many times longer than elsewhere programs may take there before we give them up; 1 unless set. */
  readonly patience?: number;
  /** In a virtual machine of the lab. */
  readonly virtualMachine?: boolean;
  /** What its agent shall carry packets by, where nobody says otherwise; `auto` unless set. */
  readonly dataPlane?: DataPlaneChoice;
  /** False where, as a client, it shall be an ordinary host without Mobile IPv6. */
  readonly mobileIpv6?: boolean;
}

/** What a person asks for: one link, in one direction or both, and what to change about it. */
export interface LinkSetting {
  readonly link: LinkRef;
  readonly bothWays: boolean;
  readonly change: LinkChange;
}

/** One direction of a link as it is now. `changed` where it differs from what the lab file says. */
export interface LinkStatus extends LinkRef {
  readonly kind: "path" | "pair" | "access";
  readonly quality: LinkQuality;
  readonly changed: boolean;
}

export interface TestbedStatus {
  readonly name: string;
  readonly kind: Testbed["kind"];
  readonly up: boolean;
  /** Wall-clock ms since 1970; undefined where the testbed was always there. */
  readonly since: number | undefined;
  readonly hosts: readonly { readonly name: string; readonly up: boolean; readonly detail: string }[];
  readonly links: readonly LinkStatus[];
  readonly traffic: readonly PairCounters[];
  /** The emulator's own error since the last status, packets it could not attribute to a pair, by reason, and packets under way; undefined where links are real. */
  readonly emulator: { readonly lateness: Lateness; readonly drops: Readonly<Record<string, number>>; readonly waiting: number; readonly waitingBytes: number } | undefined;
}

/** A set of hosts with links between them: made by us (`local`; `vm` with virtual machines) or found (`fleet`). Every rejection is a Problem. */
export interface Testbed {
  readonly kind: "local" | "vm" | "fleet";
  readonly name: string;
  /** The home prefix and the host it is routed to, where the testbed knows. */
  readonly home: { readonly prefix: string; readonly host: string } | undefined;
  hosts(): readonly HostHandle[];
  /** A fresh byte stream to the host's sshd; what `ssh.stream` of its handle calls. */
  connect(host: string): Promise<Duplex>;
  status(): Promise<TestbedStatus>;
  /** In force when it resolves; all settings or none. Code `testbed.linksFixed` where the links are real. */
  linkSet(settings: readonly LinkSetting[]): Promise<void>;
  /** All links as the lab file says. */
  linkReset(): Promise<void>;
  /** Ends every process of a host at once, as a power cut would; its files stay. Code `testbed.hostsFixed` where we may not. */
  stopHost(host: string): Promise<void>;
  /** Starts a stopped host again; resolves when its sshd answers. */
  startHost(host: string): Promise<void>;
  /** Takes down what this testbed made; hosts that were there before stay as they are. Safe to call twice. */
  down(): Promise<void>;
}
