import { createHash } from "node:crypto";

/** The kernel that virtual machines run: Debian's own for clouds, whose Mobile IPv6 is built in. */
export const kernelPackage = "linux-image-cloud-amd64";

/** What else is in an image, each with all that it needs. A host sees it as its /usr; nothing of it is started but the hosts' own sshd. */
export const userPackages: readonly string[] = `
  bash coreutils curl dash findutils grep gzip hostname iproute2 iputils-ping kmod libc-bin libstdc++6 mawk mount netbase nftables nginx-light
  openssh-client openssh-server openssh-sftp-server passwd procps sed sudo tar util-linux`.trim().split(/\s+/);

/** What only people and package management would read, and firmware of which a virtual machine has none. */
export const leftOut: readonly string[] = ["usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian", "usr/share/bash-completion", "usr/share/zoneinfo", "usr/lib/systemd", "usr/lib/udev", "boot"];

/** Without these in the kernel there is nothing to boot from, for we bring no initial file system; or nothing to boot for. */
export const requiredOptions: readonly string[] = ["BLK_DEV_NVME", "EXT4_FS", "SERIAL_8250_CONSOLE", "IPV6_MIP6"];

/** Where an image has its programs that are ours. */
export const firstProgram = "usr/sbin/anycast-lab-init";
export const nodeProgram = "usr/local/bin/node";

/**
 * The machine's first program: it unpacks what the lab has for this machine, from the third disk, and goes on as the script in there. So an
 * image holds nothing of a lab, and need not be made anew when ours changes.
 */
export const firstScript = `#!/bin/sh
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs -o mode=755 run /run
mkdir /run/lab
tar -C /run/lab -xf /dev/nvme0n3 && exec /bin/sh /run/lab/init </dev/null >/dev/console 2>&1
echo "no lab for this machine on the third disk" >/dev/console
`;

/** Folders that an image's root needs and no package has. */
export const emptyFolders: readonly string[] = ["dev", "proc", "sys", "run", "tmp", "root", "home", "data", "opt", "srv", "mnt", "media"];

/** What makes two images the same to us, before packages have versions: images made for another recipe are not used. `node` is the digest of the Node that goes in. */
export function recipeDigest(release: string, node: string): string {
  return createHash("sha256").update(JSON.stringify([release, kernelPackage, userPackages, leftOut, firstScript, emptyFolders, node])).digest("hex").slice(0, 16);
}
