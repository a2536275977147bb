import { adapterProtocolVersion, agentMessage, maximumAdapterBlob, type AdapterMessageOut, type AgentMessage } from "../src-shared/api/adapter.ts";
import type { Address } from "../src-shared/net/address.ts";
import { libc } from "../src-agent/linux/libc.ts";
import { PacketChannel, type ChannelMessage } from "../src-agent/linux/packetChannel.ts";
import type { Endpoint } from "../src-agent/linux/sockaddr.ts";
import { connectUnix } from "../src-agent/linux/unixSocket.ts";
import { decodeEnvelope, encodeEnvelope, type Envelope } from "./envelope.ts";
import { ServiceConnection, type ConnectionEvents } from "./serviceConnection.ts";

/** Thrown by `save`: the connection stays where it is, for this reason. */
export class Keep extends Error {}

/** How a service treats one connection. */
export interface ConnectionHandler extends ConnectionEvents {
  /**
   * The connection is about to move: everything another member's process needs to go on, at most half a MiB. What was given to `write` moves by
   * itself. Throws Keep when it cannot move now. Synchronous; `gone` follows.
   */
  save(): Uint8Array;
}

/** A service as its author writes it. */
export interface Service {
  readonly name: string;
  readonly port: number;
  readonly version: string;
  /** The anycast address, where several offer this service. */
  readonly home?: string;
  /** A new connection, or one that was served elsewhere with what `save` gave there. A throw resets the connection, and its message is logged. */
  onConnection(connection: ServiceConnection, state: Uint8Array | null): ConnectionHandler;
}

export interface RunningService {
  /** The anycast address it serves. */
  readonly home: Promise<string>;
  /** Settles when the agent is gone or refuses; the reason says which. */
  readonly ended: Promise<string>;
  close(): void;
}

interface Served {
  readonly connection: ServiceConnection;
  handler: ConnectionHandler | null;
}

/** Connects to the agent at `socketPath` and serves. Throws SystemCallError when nobody listens there. */
export function createService(service: Service, socketPath: string): RunningService {
  return new Running(service, connectUnix(socketPath));
}

class Running implements RunningService {
  readonly home: Promise<string>;
  readonly ended: Promise<string>;
  readonly #service: Service;
  readonly #channel: PacketChannel;
  readonly #served = new Map<number, Served>();
  #registered: (home: string) => void = () => {};
  #end: (reason: string) => void = () => {};

  constructor(service: Service, fd: number) {
    this.#service = service;
    this.#channel = new PacketChannel(fd, { maximumBlob: maximumAdapterBlob });
    this.home = new Promise((resolve) => (this.#registered = resolve));
    this.ended = new Promise((resolve) => (this.#end = resolve));
    this.#channel.onMessage((message) => this.#receive(message));
    this.#channel.onClose((reason) => this.#over(`the agent's socket: ${reason}`));
    const { name, port, version, home } = service;
    this.#send({ type: "register", protocol: adapterProtocolVersion, service: name, port, version, ...(home === undefined ? {} : { home }) });
  }

  close(): void {
    this.#over("closed");
  }

  #over(reason: string): void {
    this.#channel.close();
    for (const { connection } of this.#served.values()) connection.reset(reason);
    this.#served.clear();
    this.#end(reason);
  }

  #send(message: AdapterMessageOut, blob?: Uint8Array): void {
    this.#channel.send(message, blob);
  }

  #receive({ json, blob, descriptors }: ChannelMessage): void {
    const parsed = agentMessage.safeParse(json);
    const wanted = parsed.success && (parsed.data.type === "connection" || parsed.data.type === "adopt") ? 1 : 0;
    if (!parsed.success || descriptors.length !== wanted) {
      for (const d of descriptors) libc.close(d);
      return this.#over(parsed.success ? `${descriptors.length} descriptors with "${parsed.data.type}"` : "the agent sent a message that does not fit its schema");
    }
    this.#carryOut(parsed.data, blob, descriptors[0] ?? -1);
  }

  #carryOut(message: AgentMessage, blob: Buffer, descriptor: number): void {
    switch (message.type) {
      case "registered":
        return this.#registered(message.home);
      case "refused":
        return this.#over(`refused by the agent: ${message.code}: ${message.message}`);
      case "connection":
        return this.#open(message.connection, descriptor, endpoint(message.peer), null);
      case "adopt":
        return this.#adopt(message, blob, descriptor);
      case "release":
        for (const id of message.connections) this.#release(message.request, id);
        return;
      case "quiesce":
        for (const id of message.connections) this.#served.get(id)?.connection.quiesce();
        return;
      case "proceed":
        for (const id of message.connections) this.#served.get(id)?.connection.proceed();
        return;
    }
  }

  #adopt(message: Extract<AgentMessage, { type: "adopt" }>, blob: Buffer, descriptor: number): void {
    const { connection: id, stateBytes, peerEnded } = message;
    try {
      // No state: it was still new when it moved, and only has bytes to send first.
      const envelope = stateBytes === 0 ? null : decodeEnvelope(blob.subarray(0, stateBytes));
      const tail = blob.subarray(stateBytes);
      const whole: Envelope = { pending: Buffer.concat([tail, envelope?.pending ?? tail.subarray(0, 0)]), endWanted: envelope?.endWanted ?? false, closeWanted: envelope?.closeWanted ?? false, peerEndSeen: envelope?.peerEndSeen ?? false, application: envelope?.application ?? new Uint8Array(0) };
      this.#open(id, descriptor, endpoint(message.peer), { envelope: whole, peerEnded, state: envelope ? whole.application : null });
    } catch (error) {
      libc.close(descriptor);
      this.#send({ type: "failed", connection: id, reason: (error as Error).message.slice(0, 1000) });
    }
  }

  #open(id: number, descriptor: number, peer: Endpoint, from: { readonly envelope: Envelope; readonly peerEnded: boolean; readonly state: Uint8Array | null } | null): void {
    const connection = new ServiceConnection(descriptor, peer, from, (how, reason) => {
      this.#served.delete(id);
      this.#send({ type: "closed", connection: id, how, reason: reason.slice(0, 1000) });
    });
    const served: Served = { connection, handler: null };
    this.#served.set(id, served);
    if (from) this.#send({ type: "adopted", connection: id });
    try {
      served.handler = this.#service.onConnection(connection, from?.state ?? null);
      connection.start(served.handler);
    } catch (error) {
      connection.reset(`${this.#service.name}: ${(error as Error).message}`);
    }
  }

  #release(request: number, id: number): void {
    const served = this.#served.get(id);
    // Its `closed` is on the way already, and answers the request.
    if (!served?.handler) return;
    const { connection, handler } = served;
    const why = connection.whyKept();
    if (why !== null) return this.#send({ type: "kept", request, connection: id, reason: why });
    let application: Uint8Array;
    try {
      application = handler.save();
    } catch (error) {
      connection.proceed();
      return this.#send({ type: "kept", request, connection: id, reason: (error as Error).message.slice(0, 1000) });
    }
    this.#served.delete(id);
    this.#send({ type: "released", request, connection: id }, encodeEnvelope(connection.letGo(application)));
  }
}

function endpoint(peer: { readonly address: string; readonly port: number }): Endpoint {
  return { address: peer.address as Address, port: peer.port };
}
