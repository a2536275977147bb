import type { PlannedHost } from "../../../src-shared/api/labPlan.ts";
import { hostSettings } from "./network.ts";
import { loginUser } from "./hostFiles.ts";

/** What the supervisor prepares for a host: files for its /etc, and where its writable folders are. */
export interface HostPlaces {
  /** Our own files for /etc, in the supervisor's view. */
  readonly etc: string;
  /** The machine's part of /etc. */
  readonly sharedEtc: string;
  /** An empty folder, to become the host's root. */
  readonly root: string;
  /** On disk: home, root, tmp, var. */
  readonly data: string;
  /** `ip -batch` commands. */
  readonly network: string;
}

/** Folders of the machine that hosts see, read-only. Where one is a link (merged /usr), the host has the same link. */
const sharedFolders = ["usr", "opt", "nix", "gnu", "bin", "sbin", "lib", "lib32", "lib64", "libx32"];
const devices = ["null", "zero", "full", "random", "urandom", "tty", "net/tun"];
/** What root on a lab host may not do to the machine when the lab is not in a user namespace. */
const withheld = ["sys_module", "sys_rawio", "sys_boot", "sys_time", "mknod", "linux_immutable", "mac_admin", "mac_override"];

/**
 * The shell script that is process 1 of a host, started in new mount, pid, uts, ipc and time namespaces and in the host's network
 * namespace. It builds the host's root, moves there and becomes sshd, which also reaps orphans.
 */
export function hostScript(host: PlannedHost, places: HostPlaces, options: { readonly rootless: boolean; readonly password: string | undefined }): string {
  return [
    "set -eu",
    `mount -t tmpfs -o mode=755 root ${places.root}`,
    `cd ${places.root}`,
    "mkdir proc sys dev run etc home root tmp var mnt media srv .machine",
    ...sharedFolders.map(shareFolder),
    `cp -r --preserve=mode,links ${places.sharedEtc}/. etc/`,
    `cp -r --preserve=mode,links ${quote(places.etc)}/. etc/`,
    ...writableFolders(host, quote(places.data)),
    ...deviceFolder,
    "mount -t tmpfs -o mode=755 run run",
    "mkdir -p run/sshd run/lock && chmod 1777 run/lock",
    "mount -t proc -o nosuid,nodev,noexec proc proc",
    "mount -t sysfs -o ro,nosuid,nodev,noexec sys sys 2>/dev/null || mount --rbind /sys sys",
    ...(options.rootless ? [] : ["mount -t bpf bpf sys/fs/bpf 2>/dev/null || true"]),
    ...hostSettings.map(([key, value]) => `if [ -e proc/sys/${key} ]; then echo "${value}" > proc/sys/${key}; fi`),
    `hostname ${host.name}`,
    `ip -batch ${quote(places.network)}`,
    "mount --bind proc/sys proc/sys && mount --bind proc/sys/net proc/sys/net && mount -o remount,bind,ro proc/sys",
    ...(options.rootless ? [] : ["mount --bind proc/sysrq-trigger proc/sysrq-trigger && mount -o remount,bind,ro proc/sysrq-trigger"]),
    "pivot_root . .machine",
    "cd /",
    "umount -l /.machine && rmdir /.machine",
    ...(options.password === undefined ? [] : [`echo "${loginUser}:${options.password}" | chpasswd -c SHA512`]),
    options.rootless ? "exec /usr/sbin/sshd -D -e" : `exec setpriv --bounding-set ${withheld.map((name) => `-${name}`).join(",")} /usr/sbin/sshd -D -e`,
    "",
  ].join("\n");
}

function shareFolder(name: string): string {
  return `if [ -L /${name} ]; then ln -s "$(readlink /${name})" ${name}; elif [ -d /${name} ]; then mkdir ${name}; mount --rbind /${name} ${name}; mount -o remount,bind,ro ${name} 2>/dev/null || true; fi`;
}

/** On the lab's disk, or on a file system of a stated size to try a full one. */
function writableFolders(host: PlannedHost, data: string): string[] {
  const own = ["home", "root", "tmp", "var"];
  return [
    ...(host.diskBytes === undefined ? [] : [`mount -t tmpfs -o mode=755,size=${host.diskBytes} disk ${data}`]),
    `for d in ${own.join(" ")}; do mkdir -p ${data}/$d; mount --bind ${data}/$d $d; done`,
    "chmod 1777 tmp; chmod 700 root",
    "mkdir -p var/log/nginx var/lib/nginx var/cache var/spool var/tmp && chmod 1777 var/tmp && ln -sfn /run var/run && ln -sfn /run/lock var/lock",
    `mkdir -p home/${loginUser} && chown 1000:1000 home/${loginUser}`,
  ];
}

const deviceFolder = [
  "mount -t tmpfs -o mode=755 dev dev",
  "mkdir dev/net dev/pts dev/shm",
  ...devices.map((name) => `if [ -e /dev/${name} ]; then : > dev/${name}; mount --bind /dev/${name} dev/${name}; fi`),
  "mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts dev/pts",
  "mount -t tmpfs -o mode=1777 shm dev/shm",
  "ln -s pts/ptmx dev/ptmx; ln -s /proc/self/fd dev/fd; ln -s /proc/self/fd/0 dev/stdin; ln -s /proc/self/fd/1 dev/stdout; ln -s /proc/self/fd/2 dev/stderr",
];

/** A word for the shell, whatever it holds. */
function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
