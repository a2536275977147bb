import { z } from "zod";
import { parseAddress } from "../net/address.ts";
import { formatPrefix, parsePrefix } from "../net/prefix.ts";
import { parseDuration, parseRate, parseShare, parseSize } from "./units.ts";

/** The lab file: hosts, sites and the links between them. docs/lab-file.md is its page for people; `labFileJsonSchema` its JSON Schema. */

/** A string in the file that `parse` turns into a value, or refuses with a RangeError that the reader is shown. */
function written<T>(parse: (text: string) => T, description: string, examples: readonly string[]) {
  return z
    .string({ error: `expected text such as "${examples[0]}"` })
    .transform((text, context) => {
      try {
        return parse(text);
      } catch (error) {
        context.issues.push({ code: "custom", message: (error as Error).message, input: text });
        return z.NEVER;
      }
    })
    .meta({ description, examples: [...examples] });
}

const name = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/, "a name has 1 to 32 lower-case letters, digits and inner hyphens")
  .meta({ description: "1 to 32 lower-case letters, digits and inner hyphens" });
const delay = written(parseDuration, "One-way delay of this direction", ["20 ms", "250 us"]);
const share = written(parseShare, "Share of packets lost at random", ["0.5 %"]);
const rate = written(parseRate, "Rate of this direction, counted in bits of IPv6 packets", ["100 Mbit/s"]);
const address = written(parseAddress, "IPv6 address", ["2001:db8:1::10"]);
const prefix = written((text) => formatPrefix(parsePrefix(text)), "IPv6 prefix", ["2001:db8:1::/64"]);

/** The longest backlog in front of a rate: what does not fit is dropped at the tail. As time at that rate, or as bytes. */
const queue = written((text) => (/[sS]$|min$|h$/.test(text.trim()) ? { ms: parseDuration(text) } : { bytes: parseSize(text) }), "Longest queue in front of the rate, as time at that rate or as bytes; the rest is dropped", ["50 ms", "256 KiB"]);
const mtu = z.number().int().min(1280).max(9000).meta({ description: "Largest IPv6 packet in bytes; larger ones are answered with Packet Too Big" });

/** What one direction of a link does to packets. Absent means: no effect (delay, jitter, loss), no limit (rate). */
const quality = {
  delay: delay.optional(),
  jitter: written(parseDuration, "Added delay, uniform between 0 and this; packets of one sender and receiver stay in order", ["2 ms"]).optional(),
  loss: share.optional(),
  rate: rate.optional(),
  queue: queue.optional(),
  mtu: mtu.optional(),
  up: z.boolean().optional().meta({ description: "False: nothing passes" }),
};

/** One direction of an access link. */
export const accessDirection = z.strictObject(quality);

/** A host's access link: both directions alike, then `egress` (host to network) and `ingress` (network to host) on top. */
export const access = z.strictObject({ ...quality, egress: accessDirection.optional(), ingress: accessDirection.optional() });

const pathEnd = z.union([name, z.literal("*")], { error: 'expected a name, or "*" for any other' });

/** Between two sites. `between` sets both directions, `from` with `to` one. Later entries win, setting by setting. "*" is any other site. */
export const path = z
  .strictObject({ between: z.tuple([pathEnd, pathEnd]).optional(), from: pathEnd.optional(), to: pathEnd.optional(), ...quality })
  .refine(
    (entry) => (entry.between === undefined) !== (entry.from === undefined) && (entry.from === undefined) === (entry.to === undefined),
    "expected either `between: [site, site]` (both directions) or `from: site` with `to: site` (one direction)",
  );
export type Path = z.infer<typeof path>;

/** The two ends that a path entry names. */
export function pathEnds(entry: Path): readonly [from: string, to: string] {
  return entry.between ?? [entry.from as string, entry.to as string];
}

export const labRole = z.enum(["homeAgent", "member", "client"]);
export type LabRole = z.infer<typeof labRole>;

/** `none`: the login has no sudo; `password`: sudo asks for the lab's own password; `nopasswd`: it does not ask. */
export const sudoKind = z.enum(["nopasswd", "password", "none"]);
export type SudoKind = z.infer<typeof sudoKind>;

/** Which data plane a host's agent uses; `auto` takes the best that the host has. */
export const dataPlaneChoice = z.enum(["auto", "kernel", "ebpf", "userspace"]);
export type DataPlaneChoice = z.infer<typeof dataPlaneChoice>;

/** `local`: hosts are namespaces on this machine's own kernel. `vm`: hosts are namespaces in virtual machines with a stock Debian kernel. */
export const labTestbed = z.enum(["local", "vm"]);

/** In place of a virtual machine's name: the host stays on this machine. */
export const noMachine = "none";

/** A virtual machine of the lab; without a word about it, it has what its hosts need. */
export const labMachine = z.strictObject({
  memory: written(parseSize, "Its memory; enough for its hosts unless set", ["1 GiB"]).optional(),
  cpus: z.number().int().min(1).max(16).optional().meta({ description: "Its processors; 2 unless set, or as many as this machine has" }),
  bootTimeout: written(parseDuration, "How long it may take to boot", ["90 s"]).optional(),
});

export const labSite = z.strictObject({ prefix: prefix.optional() });

export const labHost = z.strictObject({
  site: name,
  roles: z.array(labRole).default([]).meta({ description: "What the host is meant for; a hint to scenarios and to people" }),
  address: address.optional(),
  access: access.optional(),
  sudo: sudoKind.optional(),
  clockOffset: written(parseDuration, "How far this host's monotonic clock is ahead of the machine's; each host has its own unless set", ["1000 s"]).optional(),
  vm: name.optional().meta({ description: `The virtual machine that the host is in; "${noMachine}" for this machine. With testbed vm, all hosts that do not say are in one named "vm"` }),
  dataPlane: dataPlaneChoice.optional().meta({ description: "Which data plane its agent uses; the best that the host has unless set" }),
  mobileIpv6: z.boolean().optional().meta({ description: "False: as a client, it is an ordinary host without Mobile IPv6: its agent does not act as a correspondent node" }),
  disk: written(parseSize, "Size of the host's writable file systems, to try a full disk; without it the lab's disk is the limit", ["20 MB"]).optional(),
});

export const labFile = z.strictObject({
  $schema: z.string().optional(),
  name,
  description: z.string().max(2000).optional(),
  mtu: mtu.default(1500),
  sudo: sudoKind.default("nopasswd"),
  testbed: labTestbed.default("local"),
  /** Virtual machines that need more or less than usual. */
  vms: z.record(name, labMachine).default({}),
  /** All anycast addresses come from `prefix`; packets for it are routed to `host`, the home agent. */
  home: z.strictObject({ prefix, host: name }).optional(),
  sites: z.record(name, labSite.nullable().transform((site) => site ?? {})),
  paths: z.array(path).default([]),
  /** Access links of hosts that have none of their own, by role; `default` for the rest. */
  access: z.partialRecord(z.enum([...labRole.options, "default"]), access).default({}),
  hosts: z.record(name, labHost),
});
/** A lab file as read: quantities are numbers (ms, bits per second, shares, bytes), names are not yet checked against each other. */
export type LabFile = z.infer<typeof labFile>;
export type LabFileInput = z.input<typeof labFile>;
export type Access = z.infer<typeof access>;
export type AccessDirection = z.infer<typeof accessDirection>;

/** The lab file's JSON Schema (2020-12), for editors. */
export function labFileJsonSchema(): Record<string, unknown> {
  return z.toJSONSchema(labFile, { io: "input" }) as Record<string, unknown>;
}

/** One direction of a link in force. Times in ms, `loss` in 0..1, `rate` in bit/s or null for no limit. */
export const linkQuality = z.strictObject({
  delayMs: z.number().min(0).max(60_000),
  jitterMs: z.number().min(0).max(60_000),
  loss: z.number().min(0).max(1),
  rate: z.number().positive().nullable(),
  /** The backlog allowed in front of `rate`; always room for one packet. */
  queue: z.union([z.strictObject({ ms: z.number().nonnegative() }), z.strictObject({ bytes: z.number().int().nonnegative() })]),
  mtu: z.number().int().min(1280).max(65535),
  up: z.boolean(),
});
export type LinkQuality = z.infer<typeof linkQuality>;

/** What a change sets; what is absent stays. */
export const linkChange = linkQuality.partial();
export type LinkChange = z.infer<typeof linkChange>;

/**
 * One direction that a change or a report is about. `from` and `to` name two sites (the path between them), two hosts (that pair alone, in
 * place of the path of their sites), or a host and `*` (its access link: `from: host` is egress, `to: host` ingress).
 */
export const linkRef = z.strictObject({ from: z.string(), to: z.string() });
export type LinkRef = z.infer<typeof linkRef>;

/** What has passed from one host to another since the lab came up, and what did not, by reason. */
export const pairCounters = z.strictObject({
  from: z.string(),
  to: z.string(),
  /** One-way delay in force without jitter and queues, ms. */
  delayMs: z.number(),
  packets: z.number().int(),
  bytes: z.number().int(),
  drops: z.record(z.string(), z.number().int()),
});
export type PairCounters = z.infer<typeof pairCounters>;

/** The emulator's own error: how much later than due packets left it, in microseconds, since the last report. */
export const lateness = z.strictObject({ p50Us: z.number(), p99Us: z.number(), maxUs: z.number(), samples: z.number().int() });
export type Lateness = z.infer<typeof lateness>;
