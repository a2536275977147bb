import type { Address } from "../net/address.ts";
import type { MobilityMessage } from "../protocol/wire/message.ts";

/** What network nodes do with a packet's headers: the same for signalling and for users' data. */
export interface Headers {
  readonly source: Address;
  readonly destination: Address;
  readonly homeAddress?: Address;
  readonly routingHomeAddress?: Address;
  readonly tunnel?: { readonly source: Address; readonly destination: Address };
}

/** One stop on a user packet's way. */
export interface Stop {
  readonly node: string;
  /** Virtual time in ms. */
  readonly at: number;
  /** "sent", "forwarded", "delivered", "held", or "dropped: reason". */
  readonly what: string;
  /** The packet's headers as it left, or arrived. */
  readonly headers: Headers;
}

/** A user's packet: no bytes, but a way that tests can follow. `trail` grows at each node. */
export interface DataPacket extends Headers {
  readonly data: unknown;
  readonly trail: Stop[];
}

/** What travels on the virtual network. Messages are encoded when they leave a node and decoded when they reach one. */
export type VirtualPacket = DataPacket | (Headers & { readonly message: MobilityMessage });

export function isData(packet: VirtualPacket): packet is DataPacket {
  return "data" in packet;
}

/** Where the network takes the packet next. */
export function nextDestination(headers: Headers): Address {
  return headers.tunnel?.destination ?? headers.destination;
}

/** The same packet inside a tunnel. */
export function tunnelled<P extends Headers>(packet: P, source: Address, destination: Address): P {
  return { ...packet, tunnel: { source, destination } };
}

/** The same packet out of its tunnel. */
export function untunnelled<P extends Headers>(packet: P): P {
  const { tunnel: _, ...inner } = packet;
  return inner as P;
}

/** The headers alone, for trails. */
export function headersOf({ source, destination, homeAddress, routingHomeAddress, tunnel }: Headers): Headers {
  return { source, destination, ...(homeAddress && { homeAddress }), ...(routingHomeAddress && { routingHomeAddress }), ...(tunnel && { tunnel }) };
}
