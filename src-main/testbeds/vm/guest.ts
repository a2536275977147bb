import type { LabPlan, PlannedHost, PlannedMachine } from "../../../src-shared/api/labPlan.ts";
import { hostMac, hostNamespace, machineMac, managementMac, dataInterface } from "../local/network.ts";

/** Where a machine has what the lab gave it, and where its hosts write. */
export const guestFolder = "/run/lab";
export const guestHost = (name: string) => `${guestFolder}/hosts/${name}`;
export const guestData = (name: string) => `/data/hosts/${name}`;

/** What the supervisor says to a machine on its control line. */
export type GuestOrder = `start ${string}` | `stop ${string}`;

/** What a machine says. `ended`: the host's first process is gone without having been stopped. */
export type GuestWord = { readonly word: "ready" } | { readonly word: "failed"; readonly what: string } | { readonly word: "stopped" | "ended"; readonly host: string; readonly detail: string };

/** One line of a machine; undefined for what is none of ours, such as noise on the line. */
export function readGuestWord(line: string): GuestWord | undefined {
  const [, word, rest = ""] = /^(ready|failed|stopped|ended)(?: (.*))?$/.exec(line.trim()) ?? [];
  if (word === "ready") return { word };
  if (word === "failed") return { word, what: rest };
  const [, host, detail = ""] = /^([a-z0-9-]+)(?: (.*))?$/.exec(rest) ?? [];
  return (word === "stopped" || word === "ended") && host !== undefined ? { word, host, detail } : undefined;
}

/**
 * The machine's process 1 after its first program: a shell that takes orders on the second serial line. A host is what it is on a machine of its
 * own account (hostScript.ts): namespaces with an sshd, here with one of the machine's network cards as eth0.
 */
export function guestScript(lab: LabPlan, machine: PlannedMachine, number: number): string {
  const hosts = machine.hosts.map((name) => lab.hosts.findIndex((host) => host.name === name));
  return `
stty -F /dev/ttyS1 raw -echo && exec 3<>/dev/ttyS1 || exit 1
say() { echo "$*" >&3; }
fail() { say "failed $*"; while :; do sleep 1000; done; }
card() { for d in /sys/class/net/*; do if [ "$(cat "$d/address")" = "$1" ]; then echo "\${d##*/}"; return 0; fi; done; return 1; }
await_card() { n=0; until card "$1"; do n=$((n+1)); [ $n -lt 100 ] || return 1; sleep 0.1; done; }

modprobe -a virtio_pci virtio_net veth bridge tun || fail "modules cannot be loaded"
chmod 666 /dev/net/tun # as udev has it: opening it gives no rights by itself
mount -t tmpfs -o mode=1777 tmp /tmp
mount -t ext4 -o noatime /dev/nvme0n2 /data || fail "the disk for data cannot be mounted"
mkdir -p /data/hosts /run/netns
for s in all default; do echo 1 >/proc/sys/net/ipv6/conf/$s/disable_ipv6; done
ip link set lo up
ip link add mgmt type bridge stp_state 0 forward_delay 0 && ip link set mgmt up || fail "no bridge for management"
port=$(await_card ${machineMac(number)}) && ip link set "$port" name uplink && ip link set uplink master mgmt up || fail "the management card is missing"

address() { case $1 in
${hosts.map((i) => `${(lab.hosts[i] as PlannedHost).name}) number=${i} namespace=${hostNamespace(lab.hosts[i] as PlannedHost)} mac=${hostMac(i)} mgmt_mac=${managementMac(i)} offset=${(lab.hosts[i] as PlannedHost).clockOffsetSeconds};;`).join("\n")}
*) return 1;; esac; }

plug() {
  device=$(await_card $mac) || return 1
  ip -batch - <<EOF
netns add $namespace
link add m$number type veth peer name mgmt address $mgmt_mac netns $namespace
link set m$number master mgmt up
link set m$number type bridge_slave isolated on
link set $device mtu ${lab.mtu}
link set $device netns $namespace name ${dataInterface}
EOF
}

start() {
  address "$1" || return
  mkdir -p /run/lab/pid "/data/hosts/$1"
  plug || { say "ended $1 its network cannot be plugged in"; return; }
  nsenter --net=/run/netns/$namespace unshare --mount --pid --uts --ipc --time --monotonic $offset --boottime $offset --fork --kill-child sh /run/lab/hosts/$1/start 3<&- &
  echo $! >/run/lab/pid/$1
  wait $!
  code=$?
  if [ -e /run/lab/pid/$1 ]; then rm /run/lab/pid/$1; say "ended $1 ended by itself (exit code $code)"; fi
}

stop() {
  address "$1" || return
  pid=$(cat /run/lab/pid/$1 2>/dev/null) && rm /run/lab/pid/$1 && kill -KILL $pid
  ip link delete m$number 2>/dev/null
  ip netns delete $namespace 2>/dev/null
  await_card $mac >/dev/null
  say "stopped $1"
}

say ready
while :; do
  while read -r verb name; do
    case $verb in start) start "$name" & ;; stop) stop "$name" & ;; esac
  done <&3
  sleep 1
done
`;
}
