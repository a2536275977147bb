import type { Address } from "../../net/address.ts";
import type { MobilityPacket } from "./message.ts";

/** The shared key of RFC 4285 and its Security Parameters Index (32 bits, 0..255 reserved). */
export interface MobilityKey {
  readonly spi: number;
  readonly key: Uint8Array;
}

/** Home keygen token, §5.2.5: First(64, HMAC_SHA1(Kcn, home address | nonce | 0)). */
export function homeKeygenToken(_kcn: Uint8Array, _home: Address, _nonce: Uint8Array): Uint8Array {
  throw new Error("not written yet");
}
/** Care-of keygen token, §5.2.5: First(64, HMAC_SHA1(Kcn, care-of address | nonce | 1)). */
export function careOfKeygenToken(_kcn: Uint8Array, _careOf: Address, _nonce: Uint8Array): Uint8Array {
  throw new Error("not written yet");
}
/** Kbm, §5.2.5: SHA1(home keygen token | care-of keygen token), of the home token alone when deregistering. 20 bytes. */
export function bindingManagementKey(_homeToken: Uint8Array, _careOfToken?: Uint8Array): Uint8Array {
  throw new Error("not written yet");
}

/** The care-of address that a Binding Update asks to register: the Alternate Care-of Address option, else the IPv6 source. */
export function careOfAddress(_packet: MobilityPacket): Address {
  throw new Error("not written yet");
}

/** §6.2.7: the packet with its Binding Authorization Data option (added last, or replaced). The care-of address is the packet's own, or the home address when the lifetime is 0. */
export function signBindingUpdate(_packet: MobilityPacket, _kbm: Uint8Array): MobilityPacket {
  throw new Error("not written yet");
}
/** Whether the authenticator in `mobilityHeader` (as received, from decodePacket) is right; false when there is none. */
export function verifyBindingUpdate(_packet: MobilityPacket, _mobilityHeader: Uint8Array, _kbm: Uint8Array): boolean {
  throw new Error("not written yet");
}
/** The same for a Binding Acknowledgement; `careOf` is the address that the update asked for (the home address when it deregistered). */
export function signBindingAcknowledgement(_packet: MobilityPacket, _careOf: Address, _kbm: Uint8Array): MobilityPacket {
  throw new Error("not written yet");
}
export function verifyBindingAcknowledgement(
  _packet: MobilityPacket,
  _mobilityHeader: Uint8Array,
  _careOf: Address,
  _kbm: Uint8Array,
): boolean {
  throw new Error("not written yet");
}

/** RFC 4285 §5.1: the packet with its MN-HA authentication option (added last, or replaced). `careOf` as in the update; for an update pass careOfAddress(packet). */
export function signRegistration(_packet: MobilityPacket, _careOf: Address, _key: MobilityKey): MobilityPacket {
  throw new Error("not written yet");
}
/** Whether the MN-HA option carries `key.spi` and the right authentication data; false when there is none. */
export function verifyRegistration(_packet: MobilityPacket, _mobilityHeader: Uint8Array, _careOf: Address, _key: MobilityKey): boolean {
  throw new Error("not written yet");
}
