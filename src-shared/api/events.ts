import { z } from "zod";
import { handoffMode, handoffStep } from "./handoff.ts";

const address = z.string().min(2).max(45);
const name = z.string().min(1).max(64);
const count = z.number().int().nonnegative();

/** How a client is served: through the home agent's tunnel, by route optimisation, or through the contact on behalf of another member. */
export const service = z.enum(["tunnel", "optimised", "relayed"]);

/** Everything an agent tells, one variant per kind; `z.infer` gives the union. Times inside are the host's monotonic milliseconds. */
export const agentEventBody = z.discriminatedUnion("type", [
  z.object({ type: z.literal("agentStarted"), version: z.string(), dataPlane: z.string(), reason: z.string() }),
  z.object({ type: z.literal("agentStopping"), reason: z.string() }),
  z.object({ type: z.literal("homeRegistered"), home: address, careOf: address, sequence: count, lifetimeSeconds: count }),
  z.object({ type: z.literal("homeRegistrationFailed"), home: address, status: count.nullable(), reason: z.string() }),
  z.object({ type: z.literal("bindingAccepted"), role: z.enum(["homeAgent", "correspondent"]), home: address, careOf: address, sequence: count, lifetimeSeconds: count }),
  z.object({ type: z.literal("bindingRemoved"), role: z.enum(["homeAgent", "correspondent"]), home: address, reason: z.string() }),
  z.object({ type: z.literal("memberUp"), member: name, rttMs: z.number().nonnegative() }),
  z.object({ type: z.literal("memberDown"), member: name, reason: z.string() }),
  z.object({ type: z.literal("clientServed"), home: address, client: address, member: name, how: service, why: z.string() }),
  z.object({ type: z.literal("clientGone"), home: address, client: address }),
  z.object({
    type: z.literal("handoffStep"),
    handoff: z.string(),
    home: address,
    client: address,
    donor: name,
    acceptor: name,
    mode: handoffMode,
    step: handoffStep,
    /** When it happened; the event itself may be told later, so that telling costs no handoff time. */
    at: z.number(),
    connections: count.optional(),
    bytes: count.optional(),
  }),
  z.object({ type: z.literal("handoffDone"), handoff: z.string(), home: address, client: address, donor: name, acceptor: name, mode: handoffMode, connections: count, drainMs: z.number(), bytes: count }),
  z.object({ type: z.literal("handoffFailed"), handoff: z.string(), home: address, client: address, donor: name, acceptor: name, mode: handoffMode, step: z.string(), reason: z.string() }),
  z.object({ type: z.literal("message"), direction: z.enum(["sent", "received"]), at: z.number(), source: address, destination: address, tunnelled: z.boolean(), summary: z.string() }),
  z.object({ type: z.literal("drop"), reason: z.string(), count: count, sample: z.string() }),
  z.object({ type: z.literal("log"), level: z.enum(["info", "warn", "error"]), text: z.string().max(4000) }),
]);
export type AgentEventBody = z.infer<typeof agentEventBody>;

/** An event as it leaves an agent. `sequence` counts per agent start, so that a gap is visible. */
export const agentEvent = z.object({ sequence: count, mono: z.number(), wall: z.number(), body: agentEventBody });
export type AgentEvent = z.infer<typeof agentEvent>;
