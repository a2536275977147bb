import type { Reader } from "../../bytes/reader.ts";
import type { Writer } from "../../bytes/writer.ts";
import { addressBytes, formatAddress, type Address } from "../../net/address.ts";

/** Mobility options, RFC 6275 §6.2 and RFC 4285 §5, §6. Pad1 and PadN exist only on the wire. */
export type MobilityOption =
  | BindingRefreshAdvice
  | AlternateCareOf
  | NonceIndices
  | BindingAuthorization
  | MnIdentifier
  | Authentication
  | MessageReplay
  | UnknownOption;

/** §6.2.4, in acknowledgements of the home agent: when to refresh, in units of 4 seconds. */
export interface BindingRefreshAdvice {
  readonly kind: "bindingRefreshAdvice";
  readonly intervalUnits: number;
}
/** §6.2.5: the care-of address to register instead of the IPv6 source. */
export interface AlternateCareOf {
  readonly kind: "alternateCareOf";
  readonly address: Address;
}
/** §6.2.6: the nonces, 0..65535, behind the tokens that signed this Binding Update. */
export interface NonceIndices {
  readonly kind: "nonceIndices";
  readonly home: number;
  readonly careOf: number;
}
/** §6.2.7: 12 bytes, always the last option. */
export interface BindingAuthorization {
  readonly kind: "bindingAuthorization";
  readonly authenticator: Uint8Array;
}
/** RFC 4283 §3. Subtype 1 is a network access identifier in UTF-8. */
export interface MnIdentifier {
  readonly kind: "mnIdentifier";
  readonly subtype: number;
  readonly identifier: Uint8Array;
}
/** RFC 4285 §5. Subtype 1 authenticates mobile node to home agent, 2 to the AAA server; `spi` is 32 bits. */
export interface Authentication {
  readonly kind: "authentication";
  readonly subtype: number;
  readonly spi: number;
  readonly data: Uint8Array;
}
/** RFC 4285 §6: an NTP timestamp, seconds since 1900 in the upper 32 bits, their fraction in the lower. */
export interface MessageReplay {
  readonly kind: "messageReplay";
  readonly timestamp: bigint;
}
/** Skipped by the receiver, §6.2.1. `type` 0..255. */
export interface UnknownOption {
  readonly kind: "unknown";
  readonly type: number;
  readonly data: Uint8Array;
}

/** How one option's data lies on the wire, and where the option may start. */
export interface OptionCodec<O> {
  readonly type: number;
  /** `[x, y]`: the option starts xn+y bytes from the start of the Mobility Header. */
  readonly alignment: readonly [x: number, y: number];
  /** Least and greatest Option Length. */
  readonly lengths: readonly [least: number, greatest: number];
  /** `r` covers exactly the option's data. */
  read(r: Reader): O;
  write(option: O, w: Writer): void;
}

const exactly = (length: number): readonly [number, number] => [length, length];

/** §6.2.4, alignment 2n: | refresh interval 16 | */
export const bindingRefreshAdvice: OptionCodec<BindingRefreshAdvice> = {
  type: 2,
  alignment: [2, 0],
  lengths: exactly(2),
  read: (r) => ({ kind: "bindingRefreshAdvice", intervalUnits: r.u16("refresh interval") }),
  write: (o, w) => {
    w.u16(o.intervalUnits);
  },
};

/** §6.2.5, alignment 8n+6: | alternate care-of address 128 | */
export const alternateCareOf: OptionCodec<AlternateCareOf> = {
  type: 3,
  alignment: [8, 6],
  lengths: exactly(16),
  read: (r) => ({ kind: "alternateCareOf", address: formatAddress(r.take(16, "alternate care-of address")) }),
  write: (o, w) => {
    w.put(addressBytes(o.address));
  },
};

/** §6.2.6, alignment 2n: | home nonce index 16 | care-of nonce index 16 | */
export const nonceIndices: OptionCodec<NonceIndices> = {
  type: 4,
  alignment: [2, 0],
  lengths: exactly(4),
  read: (r) => ({ kind: "nonceIndices", home: r.u16("home nonce index"), careOf: r.u16("care-of nonce index") }),
  write: (o, w) => {
    w.u16(o.home).u16(o.careOf);
  },
};

/** §6.2.7, alignment 8n+2: | authenticator 96 | */
export const bindingAuthorization: OptionCodec<BindingAuthorization> = {
  type: 5,
  alignment: [8, 2],
  lengths: exactly(12),
  read: (r) => ({ kind: "bindingAuthorization", authenticator: r.take(12, "authenticator") }),
  write: (o, w) => {
    w.put(o.authenticator, 12);
  },
};

/** RFC 4283 §3, no alignment: | subtype 8 | identifier… | */
export const mnIdentifier: OptionCodec<MnIdentifier> = {
  type: 8,
  alignment: [1, 0],
  lengths: [1, 255],
  read: (r) => ({ kind: "mnIdentifier", subtype: r.u8("identifier subtype"), identifier: r.rest("identifier") }),
  write: (o, w) => {
    w.u8(o.subtype).put(o.identifier);
  },
};

/** RFC 4285 §5, alignment 4n+1: | subtype 8 | mobility SPI 32 | authentication data… | */
export const authentication: OptionCodec<Authentication> = {
  type: 9,
  alignment: [4, 1],
  lengths: [5, 255],
  read: (r) => ({
    kind: "authentication",
    subtype: r.u8("authentication subtype"),
    spi: r.u32("mobility SPI"),
    data: r.rest("authentication data"),
  }),
  write: (o, w) => {
    w.u8(o.subtype).u32(o.spi).put(o.data);
  },
};

/** RFC 4285 §6, alignment 8n+2: | timestamp 64 | */
export const messageReplay: OptionCodec<MessageReplay> = {
  type: 10,
  alignment: [8, 2],
  lengths: exactly(8),
  read: (r) => ({ kind: "messageReplay", timestamp: r.u64("timestamp") }),
  write: (o, w) => {
    w.u64(o.timestamp);
  },
};
