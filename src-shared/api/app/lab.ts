import { z } from "zod";
import { service } from "../events.ts";
import { host } from "./host.ts";
import { address, count, durationMs, id, line, wallMs } from "./text.ts";

export const labKind = z.enum(["local", "vm", "fleet", "simulated"]);
export const labPhase = z.enum(["down", "starting", "up", "stopping", "failed"]);

/** A lab as a list shows it. `open` marks the one whose events this manager is sending. */
export const labSummary = z.object({ id, name: line, kind: labKind, phase: labPhase, hosts: count, detail: line.nullable(), shipped: z.boolean() });
export type LabSummary = z.infer<typeof labSummary>;

export const site = z.object({ id, name: line });
export type Site = z.infer<typeof site>;

/** One direction of a link, at the sender's egress. */
export const linkQuality = z.object({
  delayMs: durationMs.max(60_000),
  jitterMs: durationMs.max(60_000),
  lossPercent: z.number().min(0).max(100),
  rateMbit: z.number().positive().max(1_000_000).nullable(),
});
export type LinkQuality = z.infer<typeof linkQuality>;

/** Between two sites. `there` is a to b, `back` is b to a; `settable` where we emulate it, else it is only measured. */
export const link = z.object({ id, a: id, b: id, there: linkQuality, back: linkQuality, settable: z.boolean(), changed: z.boolean() });
export type Link = z.infer<typeof link>;

export const member = z.object({
  name: id,
  host: id,
  state: z.enum(["joining", "up", "down", "leaving"]),
  clients: count,
});
export type Member = z.infer<typeof member>;

/** An anycast group. `home` is the anycast address X; `epoch` the view that the home agent accepts. */
export const group = z.object({
  id,
  home: address,
  homeAgent: id.nullable(),
  contact: id,
  backups: z.array(id).max(64),
  members: z.array(member).max(64),
  services: z.array(z.object({ name: line, kind: line, port: count })).max(50),
  epoch: count,
  registered: z.boolean(),
});
export type Group = z.infer<typeof group>;

/** A correspondent node that talks to a group. `servedBy` is a member's name; `host` is set where the client is a host of the lab. */
export const client = z.object({
  id,
  name: line,
  address,
  site: id,
  host: id.nullable(),
  group: id,
  servedBy: id.nullable(),
  how: service,
  why: line,
  connections: count,
});
export type Client = z.infer<typeof client>;

/** Something that we changed and that "Stop all" takes back. `expiresAt` where the host itself takes it back at a time. */
export const fault = z.object({ id, label: line, since: wallMs, expiresAt: wallMs.nullable() });
export type Fault = z.infer<typeof fault>;

export const capture = z.object({ id, hosts: z.array(id).max(200), file: line, since: wallMs, packets: count, bytes: count, state: z.enum(["running", "stopped", "failed"]), detail: line.nullable() });
export type Capture = z.infer<typeof capture>;

/** Everything the screens show about the open lab. `revision` counts changes; a patch carries the revision that it leads to. */
export const labState = labSummary.extend({
  revision: count,
  sites: z.array(site).max(500),
  hosts: z.array(host).max(1000),
  links: z.array(link).max(20_000),
  groups: z.array(group).max(100),
  clients: z.array(client).max(20_000),
  faults: z.array(fault).max(1000),
  captures: z.array(capture).max(100),
});
export type LabState = z.infer<typeof labState>;

/** Whole objects that are new or changed, and ids of those gone; what is absent stayed as it was. */
export const labPatch = z.object({
  lab: id,
  revision: count,
  phase: labPhase.optional(),
  detail: line.nullable().optional(),
  sites: z.array(site).optional(),
  hosts: z.array(host).optional(),
  links: z.array(link).optional(),
  groups: z.array(group).optional(),
  clients: z.array(client).optional(),
  faults: z.array(fault).optional(),
  captures: z.array(capture).optional(),
  gone: z.array(id).optional(),
});
export type LabPatch = z.infer<typeof labPatch>;
