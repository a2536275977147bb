import type { LabPlan, PlannedHost } from "../../../src-shared/api/labPlan.ts";
import { managementAddress } from "./network.ts";

/** A file of a host's own, below /etc. */
export interface HostFile {
  readonly path: string;
  readonly text: string;
  readonly mode: number;
}

export const loginUser = "lab";
const loginId = 1000;

/** Under which name a lab host's key is on file: hosts of different labs are different hosts. */
export function knownHostName(lab: string, host: string): string {
  return `${host}.${lab}.lab`;
}

/** What every host takes over from the machine's /etc: what programs need to run, nothing private. Missing ones are left out. */
export const sharedEtc: readonly string[] = `
  alternatives bash.bashrc ca-certificates.conf debian_version gai.conf host.conf inputrc iproute2 ld.so.cache ld.so.conf ld.so.conf.d
  locale.alias localtime login.defs lsb-release mime.types nsswitch.conf os-release profile profile.d protocols python3 rpc security services
  skel ssl/certs ssl/openssl.cnf terminfo timezone`.trim().split(/\s+/);

/** Everything under /etc that makes a host that host. `clientKey` is the public key that may log in. */
export function hostFiles(plan: LabPlan, index: number, clientKey: string): HostFile[] {
  const host = plan.hosts[index] as PlannedHost;
  const file = (path: string, text: string, mode = 0o644): HostFile => ({ path, text, mode });
  return [
    file("hostname", `${host.name}\n`),
    file("hosts", ["127.0.0.1 localhost", "::1 localhost ip6-localhost", ...plan.hosts.map((other) => `${other.address} ${other.name}`), ""].join("\n")),
    file("resolv.conf", ""),
    file("fstab", ""),
    file("passwd", accounts()),
    file("group", ["root:x:0:", "tty:x:5:", "www-data:x:33:", `${loginUser}:x:${loginId}:`, "nogroup:x:65534:", ""].join("\n")),
    file("shadow", ["root", "daemon", "www-data", "sshd", "nobody", loginUser].map((user) => `${user}:*:19000:0:99999:7:::\n`).join(""), 0o600),
    file("shells", "/bin/sh\n/bin/bash\n"),
    file("sudo.conf", ""),
    file("sudoers", sudoers(host), 0o440),
    file("pam.d/sudo", pam),
    file("pam.d/other", pam),
    file("ssh/sshd_config", sshdConfig(index)),
    file(`ssh/authorized_keys/${loginUser}`, `${clientKey.trim()}\n`),
  ];
}

function accounts(): string {
  return [
    "root:x:0:0:root:/root:/bin/bash",
    "daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin",
    "www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin",
    "sshd:x:100:65534::/run/sshd:/usr/sbin/nologin",
    "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin",
    `${loginUser}:x:${loginId}:${loginId}:lab:/home/${loginUser}:/bin/bash`,
    "",
  ].join("\n");
}

function sudoers(host: PlannedHost): string {
  const defaults = 'Defaults env_reset, lecture=never, secure_path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"\nroot ALL=(ALL:ALL) ALL\n';
  const rules = { nopasswd: `${loginUser} ALL=(ALL:ALL) NOPASSWD: ALL\n`, password: `${loginUser} ALL=(ALL:ALL) ALL\n`, none: "" };
  return defaults + rules[host.sudo];
}

const pam = ["auth required pam_unix.so", "account required pam_unix.so", "password required pam_unix.so", "session required pam_permit.so", ""].join("\n");

function sshdConfig(index: number): string {
  return [
    `ListenAddress ${managementAddress(index)}`,
    "HostKey /etc/ssh/ssh_host_ed25519_key",
    "AuthorizedKeysFile /etc/ssh/authorized_keys/%u",
    "PasswordAuthentication no",
    "KbdInteractiveAuthentication no",
    "PermitRootLogin no",
    "UsePAM no",
    "UseDNS no",
    "PrintMotd no",
    "PidFile none",
    "MaxStartups 200:30:400",
    "MaxSessions 100",
    "AllowTcpForwarding yes",
    "AllowStreamLocalForwarding yes",
    "StreamLocalBindUnlink yes",
    "SetEnv PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "AcceptEnv LANG LC_*",
    "Subsystem sftp internal-sftp",
    "",
  ].join("\n");
}
