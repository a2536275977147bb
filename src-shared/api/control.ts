import { z } from "zod";
import { agentEvent } from "./events.ts";
import { handoffMode } from "./handoff.ts";

/**
 * Manager <-> agent. One JSON object per line on a stream (an SSH-forwarded Unix socket, or stdio over exec).
 * Manager: {id, call, args}. Agent: {id, ok: true, value} | {id, ok: false, error: {code, message}} | {event: AgentEvent}.
 */
export const controlProtocolVersion = 1;

const address = z.string().min(2).max(45);
const name = z.string().regex(/^[a-z0-9]([a-z0-9-]{0,62})$/);
/** 32 random bytes, base64. Never logged, never written to a file on a host. */
const key = z.string().regex(/^[A-Za-z0-9+/]{43}=$/);

export const dataPlaneKind = z.enum(["kernel", "ebpf", "userspace"]);

/** A service that X offers. `echo`, `udp-echo` (over UDP, at any member, without state) and `upload` are built in; `http` fronts an unmodified server at `origin`. */
export const serviceConfig = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("echo"), name, port: z.number().int().min(1).max(65535) }),
  z.object({ kind: z.literal("udp-echo"), name, port: z.number().int().min(1).max(65535) }),
  z.object({ kind: z.literal("http"), name, port: z.number().int().min(1).max(65535), origin: z.url() }),
  /** Keeps what is PUT to it in files below `directory` on the host. */
  z.object({ kind: z.literal("upload"), name, port: z.number().int().min(1).max(65535), directory: z.string().min(1) }),
]);
export type ServiceConfig = z.infer<typeof serviceConfig>;

export const memberAddress = z.object({ name, address, port: z.number().int().min(1).max(65535) });

export const groupConfig = z.object({
  id: name,
  homeAddress: address,
  homeAgent: address,
  self: name,
  contact: name,
  backups: z.array(name),
  members: z.array(memberAddress).min(1).max(64),
  services: z.array(serviceConfig),
  /** Epoch of this view of the group; with it go the SPI and the key of the RFC 4285 option. Only contact and backups get `registration`. */
  epoch: z.number().int().min(1),
  registration: z.object({ spi: z.number().int().min(256).max(0xffffffff), key }).optional(),
  /** PEM; `certificate` is for the key the agent made itself (`memberKey`). */
  authority: z.string(),
  certificate: z.string(),
  /** How many times longer than usual members wait for each other, their services and clients: for hosts on emulated processors. The same for every member. Default 1. */
  patience: z.number().min(1).max(10).optional(),
});
export type GroupConfig = z.infer<typeof groupConfig>;

export const homeConfig = z.object({
  homeAddress: address,
  /** Valid registrations by epoch: an SPI below the newest one accepted is refused. */
  associations: z.array(z.object({ spi: z.number().int().min(256), key })).min(1),
  maxLifetimeSeconds: z.number().int().min(8).max(65535 * 4),
  /**
   * Where packets for the home address are: `onLink`, on the link of the home agent's data interface, which then has to defend it there (RFC 6275
   * §10.4.1); `routed`, sent to the home agent by a router. `auto`: on the link when a prefix of that interface covers it.
   */
  homeLink: z.enum(["auto", "onLink", "routed"]).default("auto"),
});
export type HomeConfig = z.infer<typeof homeConfig>;

const empty = z.object({});
const call = <A extends z.ZodType, V extends z.ZodType>(args: A, value: V) => ({ args, value });

export const handoffRequest = z.object({ home: address, client: address, acceptor: name, mode: handoffMode, id: z.string().max(64), drain: z.boolean().default(false) });
export type HandoffRequest = z.infer<typeof handoffRequest>;

export const agentHello = z.object({
  protocol: z.number().int(),
  version: z.string(),
  host: z.string(),
  node: z.string(),
  kernel: z.string(),
  architecture: z.string(),
  capabilities: z.array(z.string()),
  dataPlane: z.object({ kind: dataPlaneKind, reason: z.string() }),
  address,
  interface: z.string(),
});
export type AgentHello = z.infer<typeof agentHello>;

/** Every call once: name -> arguments and value. Both ends validate both. */
export const agentCalls = {
  hello: call(empty, agentHello),
  /** For the clock offset: answered with the agent's clocks as soon as it is read. */
  clock: call(empty, z.object({ mono: z.number(), wall: z.number() })),
  /** Makes the group key on this host if there is none yet; answers its public half (SPKI, PEM). */
  memberKey: call(z.object({ group: name }), z.object({ publicKey: z.string() })),
  /** `maxLifetimeSeconds`: the longest binding to grant; default and most 420 (RFC 6275 §12). */
  serveCorrespondent: call(z.object({ maxLifetimeSeconds: z.number().int().min(4).max(420).optional() }), empty),
  /** Ends what `serveCorrespondent` began: its bindings are forgotten, in the data plane too. Nothing where it was not begun. */
  retireCorrespondent: call(empty, empty),
  serveHome: call(homeConfig, empty),
  retireHome: call(z.object({ homeAddress: address }), empty),
  join: call(groupConfig, empty),
  leave: call(z.object({ group: name }), empty),
  /** To the contact. Resolves when the acceptor serves the client; rejects with the step that failed. */
  handOver: call(handoffRequest, z.object({ connections: z.number().int() })),
  /** To the contact: fetch (and keep fresh) a client's home token, or throw it away. */
  prepare: call(z.object({ home: address, client: address }), empty),
  discardTokens: call(z.object({ home: address, client: address }), empty),
  /** To the contact: optimise the route to itself, without handing over. */
  optimise: call(z.object({ home: address, client: address }), empty),
  /** The whole state for people and `lab inspect --json`: bindings, clients, members, tokens' ages (never their values). */
  inspect: call(empty, z.record(z.string(), z.unknown())),
  counters: call(empty, z.record(z.string(), z.unknown())),
  /** What the Prometheus endpoint says (docs/metrics.md), whether it is on or not. */
  metrics: call(empty, z.object({ text: z.string() })),
  stop: call(empty, empty),
} as const;
export type AgentCallName = keyof typeof agentCalls;
export type AgentArgs<N extends AgentCallName> = z.input<(typeof agentCalls)[N]["args"]>;
export type AgentValue<N extends AgentCallName> = z.infer<(typeof agentCalls)[N]["value"]>;

export const controlError = z.object({ code: z.string(), message: z.string() });
export const controlReply = z.union([
  z.object({ id: z.number().int(), ok: z.literal(true), value: z.unknown() }),
  z.object({ id: z.number().int(), ok: z.literal(false), error: controlError }),
]);
export const controlEvent = z.object({ event: agentEvent });
export const controlRequest = z.object({ id: z.number().int(), call: z.string(), args: z.unknown() });

/** Default places and ports, stated once. */
export const defaults = { memberPort: 7135, controlSocket: "control.sock", bindingLifetimeSeconds: 420 } as const;
