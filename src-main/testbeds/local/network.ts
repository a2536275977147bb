import type { LabPlan, PlannedHost } from "../../../src-shared/api/labPlan.ts";
import type { EmulatorConfig } from "../../../src-shared/api/linkemu.ts";
import { linkTable } from "../links.ts";

/**
 * Two networks, both only inside the lab. Management: a bridge in the supervisor's namespace, IPv4, so that hosts have one IPv6 interface
 * only; its ports are isolated, so that no traffic between hosts can avoid the links. Data: each host's eth0, whose peer is in the
 * namespace `wire` with the link emulator.
 */
export const wireNamespace = "wire";
export const dataInterface = "eth0";
const managementPrefix = "10.79";
const gatewayMac = "02:4c:ab:00:00:01";
/** The default router on every host's link; a permanent neighbour, so that no neighbour discovery takes part in timings. */
const gatewayLinkLocal = "fe80::1";

export const hostNamespace = (host: PlannedHost) => `host-${host.name}`;
/** Of a virtual machine's management card, which is a port of the lab's management bridge. */
export const machineMac = (machine: number) => `02:4c:ab:03:00:${(machine + 1).toString(16).padStart(2, "0")}`;
export const machineTap = (machine: number) => `v${machine}`;

/** `ip -batch` input for the supervisor's namespace: plugs in a machine whose card is in the emulator's namespace, where QEMU found it. Hosts are isolated from each other as on this machine. */
export function plugMachineCommands(machine: number): string {
  return [`link set ${machineTap(machine)} master mgmt up`, `link set ${machineTap(machine)} type bridge_slave isolated on`, ""].join("\n");
}

export const managementAddress = (index: number) => `${managementPrefix}.1.${index + 1}`;
/** Fixed, so that neighbour entries stay right when a host is started again. */
export const hostMac = (index: number) => `02:4c:ab:01:00:${(index + 1).toString(16).padStart(2, "0")}`;
export const managementMac = (index: number) => hostMac(index).replace("02:4c:ab:01", "02:4c:ab:02");

/** `ip -batch` input for the supervisor's namespace: the two networks without hosts. */
export const coreCommands = [`netns add ${wireNamespace}`, "link set lo up", "link add mgmt type bridge stp_state 0 forward_delay 0", `addr add ${managementPrefix}.0.1/16 dev mgmt`, "link set mgmt up", ""].join("\n");

/** `ip -batch` input for the supervisor's namespace: plugs in one host, in a fresh network namespace. */
export function plugCommands(plan: LabPlan, index: number): string {
  const namespace = hostNamespace(plan.hosts[index] as PlannedHost);
  return [
    `netns add ${namespace}`,
    `link add m${index} type veth peer name mgmt address ${managementMac(index)} netns ${namespace}`,
    `link set m${index} master mgmt up`,
    `link set m${index} type bridge_slave isolated on`,
    `link add w${index} mtu ${plan.mtu} netns ${wireNamespace} type veth peer name ${dataInterface} address ${hostMac(index)} mtu ${plan.mtu} netns ${namespace}`,
    "",
  ].join("\n");
}

/** The emulator's device for a host: the peer of its eth0, or the tap device of its network card where it is in a virtual machine. */
export const wireDevice = (index: number) => `w${index}`;

/** `ip -batch` input for the emulator's namespace: the tap device of a host in a virtual machine. It outlives the host, not the lab. */
export function tapCommands(plan: LabPlan, index: number): string {
  return [`tuntap add dev ${wireDevice(index)} mode tap vnet_hdr`, `link set ${wireDevice(index)} mtu ${plan.mtu}`, ""].join("\n");
}

/** `ip -batch` input for the emulator's namespace: the peers of these hosts. */
export function wireCommands(indexes: readonly number[]): string {
  return indexes.map((index) => `link set w${index} up\n`).join("");
}

/** `ip -batch` input for a host's namespace. The address has no on-link route: hosts of one site, too, talk through the emulator. */
export function hostCommands(plan: LabPlan, index: number): string {
  const { address } = plan.hosts[index] as PlannedHost;
  return [
    "link set lo up",
    `addr add ${managementAddress(index)}/16 dev mgmt`,
    "link set mgmt up",
    `link set ${dataInterface} up`,
    `addr add ${address}/64 dev ${dataInterface} nodad noprefixroute`,
    `neigh add ${gatewayLinkLocal} lladdr ${gatewayMac} dev ${dataInterface} nud permanent`,
    `route add default via ${gatewayLinkLocal} dev ${dataInterface}`,
    "",
  ].join("\n");
}

/** What a host's kernel must not do by itself: wait for duplicates, ask for routers, or have IPv6 on the management interface. */
export const hostSettings: readonly (readonly [key: string, value: string])[] = [
  ...["all", "default", dataInterface].flatMap((scope) =>
    (
      [
        ["accept_dad", "0"],
        ["dad_transmits", "0"],
        ["accept_ra", "0"],
        ["autoconf", "0"],
        ["router_solicitations", "0"],
      ] as const
    ).map(([key, value]) => [`net/ipv6/conf/${scope}/${key}`, value] as const),
  ),
  ["net/ipv6/conf/mgmt/disable_ipv6", "1"],
  ["net/ipv4/ping_group_range", "0 65535"],
];

export function emulatorConfigOf(plan: LabPlan, seed: number): EmulatorConfig {
  const indexOf = (name: string) => plan.hosts.findIndex((host) => host.name === name);
  return {
    hosts: plan.hosts.map((host, i) => ({ name: host.name, interface: `w${i}`, mac: hostMac(i), gateway: host.gateway })),
    gatewayMac,
    routes: [...plan.hosts.map((host, i) => ({ prefix: `${host.address}/128`, host: i })), ...(plan.home ? [{ prefix: plan.home.prefix, host: indexOf(plan.home.host) }] : [])],
    links: linkTable(plan, plan.links),
    seed,
    memoryBytes: 256 << 20,
  };
}
