import { z } from "zod";
import { lateness, linkQuality, pairCounters } from "./lab.ts";

/** Supervisor <-> link emulator, one JSON object per line on the emulator's stdin and stdout. The first line is `emulatorConfig`. */

const name = z.string().min(1).max(64);
const mac = z.string().regex(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/);
const index = z.number().int().nonnegative();

/** What every direction of every link does. `pathOf[from][to]` is the index in `paths` of the path between two hosts, by host index. */
export const linkTable = z.strictObject({
  access: z.array(z.strictObject({ egress: linkQuality, ingress: linkQuality })),
  paths: z.array(z.strictObject({ name: z.string(), quality: linkQuality })),
  pathOf: z.array(z.array(index)),
});
export type LinkTable = z.infer<typeof linkTable>;

/** `interface` is the host's peer in the emulator's network namespace; `gateway` the source of ICMP errors towards that host. */
export const emulatorHost = z.strictObject({ name, interface: z.string().min(1).max(15), mac, gateway: z.string() });

export const emulatorConfig = z.strictObject({
  hosts: z.array(emulatorHost).min(1).max(250),
  gatewayMac: mac,
  /** Longest prefix wins. */
  routes: z.array(z.strictObject({ prefix: z.string(), host: index })),
  links: linkTable,
  /** Seed of loss and jitter. */
  seed: z.number().int(),
  /** Most bytes of packets under way; what comes on top is dropped and counted. */
  memoryBytes: z.number().int().min(1 << 20).default(256 << 20),
});
export type EmulatorConfig = z.infer<typeof emulatorConfig>;

export const emulatorRequest = z.discriminatedUnion("op", [
  z.strictObject({ op: z.literal("links"), id: index, links: linkTable }),
  /** Hosts' peers were plugged in or pulled out: look their interfaces up again. */
  z.strictObject({ op: z.literal("interfaces"), id: index }),
  z.strictObject({ op: z.literal("report"), id: index }),
]);
export type EmulatorRequest = z.infer<typeof emulatorRequest>;

/** `pairs` has those that saw a packet. `drops` are packets that belong to no pair. Lateness covers the time since the last report. */
export const emulatorReport = z.strictObject({ pairs: z.array(pairCounters), drops: z.record(z.string(), index), lateness, waiting: index, waitingBytes: index });
export type EmulatorReport = z.infer<typeof emulatorReport>;

export const emulatorReply = z.union([
  z.strictObject({ ready: z.literal(true) }),
  z.strictObject({ id: index, ok: z.literal(true), report: emulatorReport.optional() }),
  z.strictObject({ id: index, ok: z.literal(false), error: z.string() }),
]);
export type EmulatorReply = z.infer<typeof emulatorReply>;
