import { Reader } from "../../bytes/reader.ts";
import type { Address } from "../../net/address.ts";
import { decodeIcmp, readQuoted, type IcmpPacket, type Quoted } from "../wire/icmp.ts";
import { IPV6_HEADER_LENGTH, NextHeader, readIpv6Header } from "../wire/ipv6.ts";
import { MOBILITY_HEADER } from "../wire/mobilityHeader.ts";

const HOME_ADDRESS_OPTION = 0xc9;
/** MH types of what a mobile node sends to a correspondent: Home Test Init, Care-of Test Init, Binding Update. */
const ASKING = [1, 2, 5];
const COOKIE_AT = 8;
const COOKIE_LENGTH = 8;

/** What an ICMPv6 error says about Mobile IPv6. Nothing authenticates it but what it quotes. */
export type IcmpReport = { readonly own: Address; readonly tunnel?: { readonly source: Address; readonly destination: Address } } & (
  /** §9.3.4: a packet for `home` does not reach `careOf`, or nobody there takes it. `own` sent it. */
  | { readonly about: "binding"; readonly home: Address; readonly careOf: Address }
  /** §11.3.5, code 1: `client` does not know the Mobility Header. `cookie` is that of the quoted test init; `home` the quoted update's. */
  | { readonly about: "mobilityHeader"; readonly client: Address; readonly home?: Address; readonly cookie?: Uint8Array }
  /** §11.3.5, code 2: `client` does not know the Home Address option. */
  | { readonly about: "homeAddressOption"; readonly client: Address; readonly home: Address }
);

/**
 * Reads an ICMPv6 error from its outermost IPv6 header on, `own` being the address that the packet it quotes left from. Undefined when it says nothing
 * about Mobile IPv6, or was not sent to where that packet came from. Never throws.
 */
export function readIcmpReport(bytes: Uint8Array): IcmpReport | undefined {
  const { inner, tunnel } = unwrapped(bytes);
  const decoded = decodeIcmp(inner);
  if (!decoded.ok) return undefined;
  const quoted = readQuoted(decoded.packet.message.invoking);
  if (!quoted || quoted.source !== decoded.packet.destination) return undefined;
  const said = readAbout(decoded.packet, quoted);
  return said && { own: quoted.source, ...said, ...(tunnel && { tunnel }) };
}

function unwrapped(bytes: Uint8Array): { readonly inner: Uint8Array; readonly tunnel?: { readonly source: Address; readonly destination: Address } } {
  if (bytes.length < 2 * IPV6_HEADER_LENGTH || bytes[0]! >> 4 !== 6 || bytes[6] !== NextHeader.ipv6) return { inner: bytes };
  const { source, destination } = readIpv6Header(new Reader(bytes));
  return { inner: bytes.subarray(IPV6_HEADER_LENGTH), tunnel: { source, destination } };
}

type About = IcmpReport extends infer R ? (R extends unknown ? Omit<R, "own" | "tunnel"> : never) : never;

function readAbout({ source, message }: IcmpPacket, quoted: Quoted): About | undefined {
  const home = quoted.routingHomeAddress;
  if (message.kind === "destinationUnreachable") return home && { about: "binding", home, careOf: quoted.destination };
  // What a Parameter Problem says is said by the node at the other end.
  if (message.kind !== "parameterProblem" || source !== quoted.destination) return undefined;
  const { code, pointer, invoking } = message;
  if (code === 0) return home && { about: "binding", home, careOf: quoted.destination };
  if (code === 1 && quoted.upper === MOBILITY_HEADER && invoking[pointer] === MOBILITY_HEADER) return aboutSignalling(invoking, quoted);
  if (code === 2 && quoted.homeAddress && invoking[pointer] === HOME_ADDRESS_OPTION) return { about: "homeAddressOption", client: source, home: quoted.homeAddress };
  return undefined;
}

function aboutSignalling(invoking: Uint8Array, { destination: client, mobilityType, homeAddress: home, at }: Quoted): About | undefined {
  if (mobilityType === undefined || !ASKING.includes(mobilityType)) return undefined;
  const cookie = mobilityType === 5 ? undefined : invoking.slice(at + COOKIE_AT, at + COOKIE_AT + COOKIE_LENGTH);
  return { about: "mobilityHeader", client, ...(home && { home }), ...(cookie && { cookie }) };
}
