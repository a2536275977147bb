import { z } from "zod";

/**
 * Agent <-> service process, on a SOCK_SEQPACKET Unix socket (docs/adapter.md). JSON messages with an optional blob; descriptors travel beside them.
 * Either end closes the socket on a message that does not fit its schema.
 */
export const adapterProtocolVersion = 1;

/** Application state of one connection, in bytes. */
export const maximumAppState = 1024 * 1024;
/** State plus the tail that the kernel did not take. */
export const maximumAdapterBlob = 24 * 1024 * 1024;
/** Connections named in one `release`, `quiesce` or `proceed`; more take several messages. */
export const connectionsPerMessage = 1000;

const connection = z.number().int().min(1);
const connections = z.array(connection).max(connectionsPerMessage);
const reason = z.string().max(1000);
const request = z.number().int().min(1);
const peer = z.object({ address: z.string().min(2).max(45), port: z.number().int().min(1).max(65535) });
const blob = z.number().int().nonnegative();

export const adapterMessage = z.discriminatedUnion("type", [
  /** First message: what this process serves; `home` (X) only where several offer the same. Answered by `registered` or `refused`. */
  z.object({ type: z.literal("register"), protocol: z.number().int(), service: z.string().min(1).max(63), port: z.number().int().min(1).max(65535), home: z.string().max(45).optional(), version: z.string().max(100), blob }),
  /** The connection is served here now. */
  z.object({ type: z.literal("adopted"), connection, blob }),
  /** It cannot be: the agent resets it and logs the reason. */
  z.object({ type: z.literal("failed"), connection, reason, blob }),
  /** Nothing here touches the connection any more; the blob is its application state. */
  z.object({ type: z.literal("released"), request, connection, blob }),
  /** It stays with the service, which goes on. */
  z.object({ type: z.literal("kept"), request, connection, reason, blob }),
  /** The service is done with it: `finished` lets the kernel deliver what is queued, `reset` cuts it off. */
  z.object({ type: z.literal("closed"), connection, how: z.enum(["finished", "reset"]), reason, blob }),
]);
export type AdapterMessage = z.infer<typeof adapterMessage>;

export const agentMessage = z.discriminatedUnion("type", [
  z.object({ type: z.literal("registered"), home: z.string(), blob }),
  z.object({ type: z.literal("refused"), code: z.string(), message: reason, blob }),
  /** A new connection; its descriptor comes along. */
  z.object({ type: z.literal("connection"), connection, peer, blob }),
  /**
   * A connection that was served elsewhere, or here before a failed handoff; its descriptor comes along. The blob is `stateBytes` of application state,
   * then bytes to be sent before anything else. `peerEnded`: after what can be read now comes the client's end, which the socket will not show again.
   */
  z.object({ type: z.literal("adopt"), connection, peer, stateBytes: z.number().int().nonnegative().max(maximumAppState), peerEnded: z.boolean(), blob }),
  /** Let go of these, one answer each: `released`, `kept`, or a `closed` that crossed. */
  z.object({ type: z.literal("release"), request, connections, blob }),
  /** Produce nothing new on these until `proceed` or `release`; go on reading. */
  z.object({ type: z.literal("quiesce"), connections, blob }),
  z.object({ type: z.literal("proceed"), connections, blob }),
]);
export type AgentMessage = z.infer<typeof agentMessage>;

type WithoutBlob<M> = M extends unknown ? Omit<M, "blob"> : never;
/** As they are sent: the channel itself fills in the blob's length. */
export type AdapterMessageOut = WithoutBlob<AdapterMessage>;
export type AgentMessageOut = WithoutBlob<AgentMessage>;
