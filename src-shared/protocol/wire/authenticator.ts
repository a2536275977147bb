import { timingSafeEqual } from "node:crypto";
import { addressBytes, type Address } from "../../net/address.ts";
import { hmacSha1 } from "./hmacSha1.ts";
import type { MobilityMessage, MobilityOption, MobilityPacket } from "./message.ts";
import { encodeMobilityHeader, framesOf, setChecksum } from "./mobilityHeader.ts";
import { authentication } from "./mobilityOption.ts";

export { bindingManagementKey, careOfKeygenToken, homeKeygenToken } from "./keygenTokens.ts";

/** The shared key of RFC 4285 §5.1 and its Security Parameters Index (32 bits; 0..255 are reserved). */
export interface MobilityKey {
  readonly spi: number;
  readonly key: Uint8Array;
}

/** Bytes of both authenticators: First(96, …). */
const AUTHENTICATOR_LENGTH = 12;
/** RFC 4285 §5.1: mobile node to home agent. */
const MN_HA = 1;
/** Bytes of an authentication option from its type to its SPI. */
const AUTHENTICATION_PREFIX = 7;

/** The care-of address that a Binding Update asks to register: the Alternate Care-of Address option, else the IPv6 source (§6.2.5). */
export function careOfAddress(packet: MobilityPacket): Address {
  const alternate = packet.message.options.find((option) => option.kind === "alternateCareOf");
  return alternate ? alternate.address : packet.source;
}

/**
 * The care-of address in the authenticator of a Binding Update, §6.2.7: the one to be registered, or the home address when the lifetime
 * is 0. A stock correspondent takes the IPv6 source for a lifetime of 0 too: deregistering from afar, say Alternate Care-of Address =
 * home address, and both readings agree.
 */
export function authenticatedCareOf(packet: MobilityPacket): Address {
  const { message } = packet;
  if (message.kind === "bindingUpdate" && message.lifetimeUnits === 0) return packet.homeAddress ?? packet.source;
  return careOfAddress(packet);
}

/** §6.2.7: the packet with its Binding Authorization Data option, added last or replaced. */
export function signBindingUpdate(packet: MobilityPacket, kbm: Uint8Array): MobilityPacket {
  return signBinding(packet, authenticatedCareOf(packet), correspondentOfUpdate(packet), kbm);
}

/** Whether a Binding Update's authenticator is right. `mobilityHeader` is as received, from decodePacket; false when it carries none. */
export function verifyBindingUpdate(packet: MobilityPacket, mobilityHeader: Uint8Array, kbm: Uint8Array): boolean {
  return verifyBinding(packet, mobilityHeader, authenticatedCareOf(packet), correspondentOfUpdate(packet), kbm);
}

/** The same for a Binding Acknowledgement; `careOf` is authenticatedCareOf() of the update that it answers. */
export function signBindingAcknowledgement(packet: MobilityPacket, careOf: Address, kbm: Uint8Array): MobilityPacket {
  return signBinding(packet, careOf, packet.source, kbm);
}

/** Whether a Binding Acknowledgement's authenticator is right; false when it carries none. */
export function verifyBindingAcknowledgement(packet: MobilityPacket, mobilityHeader: Uint8Array, careOf: Address, kbm: Uint8Array): boolean {
  return verifyBinding(packet, mobilityHeader, careOf, packet.source, kbm);
}

/** §6.2.7: a correspondent that is mobile itself counts by its home address. */
function correspondentOfUpdate(packet: MobilityPacket): Address {
  return packet.routingHomeAddress ?? packet.destination;
}

function signBinding(packet: MobilityPacket, careOf: Address, correspondent: Address, kbm: Uint8Array): MobilityPacket {
  const others = packet.message.options.filter((option) => option.kind !== "bindingAuthorization");
  const draft = withOptions(packet.message, [...others, { kind: "bindingAuthorization", authenticator: new Uint8Array(AUTHENTICATOR_LENGTH) }]);
  const covered = encodeMobilityHeader(draft).subarray(0, -AUTHENTICATOR_LENGTH);
  const authenticator = mac(kbm, careOf, correspondent, covered);
  return { ...packet, message: withOptions(packet.message, [...others, { kind: "bindingAuthorization", authenticator }]) };
}

function verifyBinding(packet: MobilityPacket, mobilityHeader: Uint8Array, careOf: Address, correspondent: Address, kbm: Uint8Array): boolean {
  const option = packet.message.options.at(-1);
  if (option?.kind !== "bindingAuthorization") return false;
  const covered = checksumZero(mobilityHeader).subarray(0, -AUTHENTICATOR_LENGTH);
  return timingSafeEqual(option.authenticator, mac(kbm, careOf, correspondent, covered));
}

/**
 * RFC 4285 §5.1: a Binding Update or Acknowledgement with its MN-HA authentication option, added last or replaced.
 * `careOf` is careOfAddress() of the update, for its acknowledgement too.
 */
export function signRegistration(packet: MobilityPacket, careOf: Address, key: MobilityKey): MobilityPacket {
  const others = packet.message.options.filter((option) => !isMnHa(option));
  const option = (data: Uint8Array): MobilityOption => ({ kind: "authentication", subtype: MN_HA, spi: key.spi, data });
  const draft = withOptions(packet.message, [...others, option(new Uint8Array(AUTHENTICATOR_LENGTH))]);
  const data = mac(key.key, careOf, homeAddressOf(packet), coveredByMnHa(encodeMobilityHeader(draft)));
  return { ...packet, message: withOptions(packet.message, [...others, option(data)]) };
}

/** Whether the MN-HA option names `key.spi` and its data is right; false when there is none. `mobilityHeader` is as received. */
export function verifyRegistration(packet: MobilityPacket, mobilityHeader: Uint8Array, careOf: Address, key: MobilityKey): boolean {
  const option = registrationAuthentication(packet.message);
  if (!option || option.spi !== key.spi || option.data.length !== AUTHENTICATOR_LENGTH) return false;
  return timingSafeEqual(option.data, mac(key.key, careOf, homeAddressOf(packet), coveredByMnHa(checksumZero(mobilityHeader))));
}

/** The MN-HA authentication option of a message: its `spi` says which key to verify with. */
export function registrationAuthentication(message: MobilityMessage): Extract<MobilityOption, { kind: "authentication" }> | undefined {
  return message.options.filter((option) => option.kind === "authentication").find(isMnHa);
}

function isMnHa(option: MobilityOption): boolean {
  return option.kind === "authentication" && option.subtype === MN_HA;
}

/** The mobile node's home address: in the Home Address option of an update, in the routing header of an acknowledgement, else its own. */
function homeAddressOf(packet: MobilityPacket): Address {
  if (packet.message.kind === "bindingUpdate") return packet.homeAddress ?? packet.source;
  return packet.routingHomeAddress ?? packet.destination;
}

/** The Mobility Header up to and including the SPI of its MN-HA option. */
function coveredByMnHa(header: Uint8Array): Uint8Array {
  const frame = framesOf(header).find(({ type, data }) => type === authentication.type && data[0] === MN_HA);
  if (!frame) throw new RangeError("no MN-HA authentication option in the Mobility Header");
  return header.subarray(0, frame.at + AUTHENTICATION_PREFIX);
}

/** First(96, HMAC_SHA1(key, care-of address | other address | Mobility Header data)). */
function mac(key: Uint8Array, careOf: Address, other: Address, data: Uint8Array): Uint8Array {
  return Uint8Array.from(hmacSha1(key, addressBytes(careOf), addressBytes(other), data).subarray(0, AUTHENTICATOR_LENGTH));
}

function checksumZero(header: Uint8Array): Uint8Array {
  const copy = header.slice();
  setChecksum(copy, 0);
  return copy;
}

function withOptions<M extends MobilityMessage>(message: M, options: readonly MobilityOption[]): M {
  return { ...message, options };
}
