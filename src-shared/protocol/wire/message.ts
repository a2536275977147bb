import type { Address } from "../../net/address.ts";

/** Mobility options, RFC 6275 §6.2 and RFC 4285 §5, §6. Pad1 and PadN exist only on the wire. */
export type MobilityOption =
  | { readonly kind: "bindingRefreshAdvice"; readonly intervalUnits: number }
  | { readonly kind: "alternateCareOf"; readonly address: Address }
  | { readonly kind: "nonceIndices"; readonly home: number; readonly careOf: number }
  | { readonly kind: "bindingAuthorization"; readonly authenticator: Uint8Array }
  | { readonly kind: "mnIdentifier"; readonly subtype: number; readonly identifier: Uint8Array }
  | { readonly kind: "authentication"; readonly subtype: number; readonly spi: number; readonly data: Uint8Array }
  | { readonly kind: "messageReplay"; readonly timestamp: bigint }
  | { readonly kind: "unknown"; readonly type: number; readonly data: Uint8Array };

interface WithOptions {
  readonly options: readonly MobilityOption[];
}

/** §6.1.2, MH type 0. */
export interface BindingRefreshRequest extends WithOptions {
  readonly kind: "bindingRefreshRequest";
}
/** §6.1.3, MH type 1. `cookie` is 8 bytes. */
export interface HomeTestInit extends WithOptions {
  readonly kind: "homeTestInit";
  readonly cookie: Uint8Array;
}
/** §6.1.4, MH type 2. `cookie` is 8 bytes. */
export interface CareOfTestInit extends WithOptions {
  readonly kind: "careOfTestInit";
  readonly cookie: Uint8Array;
}
/** §6.1.5, MH type 3. `cookie` and `token` are 8 bytes each. */
export interface HomeTest extends WithOptions {
  readonly kind: "homeTest";
  readonly nonceIndex: number;
  readonly cookie: Uint8Array;
  readonly token: Uint8Array;
}
/** §6.1.6, MH type 4. `cookie` and `token` are 8 bytes each. */
export interface CareOfTest extends WithOptions {
  readonly kind: "careOfTest";
  readonly nonceIndex: number;
  readonly cookie: Uint8Array;
  readonly token: Uint8Array;
}
/** §6.1.7, MH type 5. `lifetimeUnits` count 4 seconds each, 0..65535; 0 deregisters. */
export interface BindingUpdate extends WithOptions {
  readonly kind: "bindingUpdate";
  readonly sequence: number;
  readonly acknowledge: boolean;
  readonly homeRegistration: boolean;
  readonly linkLocalCompatibility: boolean;
  readonly keyManagement: boolean;
  readonly lifetimeUnits: number;
}
/** §6.1.8, MH type 6. `status` below 128 accepts. */
export interface BindingAcknowledgement extends WithOptions {
  readonly kind: "bindingAcknowledgement";
  readonly status: number;
  readonly keyManagement: boolean;
  readonly sequence: number;
  readonly lifetimeUnits: number;
}
/** §6.1.9, MH type 7. Status 1: unknown binding for a Home Address option; 2: unrecognised MH type. */
export interface BindingError extends WithOptions {
  readonly kind: "bindingError";
  readonly status: number;
  readonly homeAddress: Address;
}

export type MobilityMessage =
  | BindingRefreshRequest
  | HomeTestInit
  | CareOfTestInit
  | HomeTest
  | CareOfTest
  | BindingUpdate
  | BindingAcknowledgement
  | BindingError;

/**
 * One IPv6 packet that carries a Mobility Header, as the state machines see it.
 * `source` and `destination` are those of the IPv6 header next to the message; `tunnel` is the IPv6-in-IPv6 header around it, if any (§10.4).
 */
export interface MobilityPacket {
  readonly source: Address;
  readonly destination: Address;
  /** Home Address destination option, §6.3. */
  readonly homeAddress?: Address;
  /** The home address inside a type 2 routing header, §6.4. */
  readonly routingHomeAddress?: Address;
  readonly tunnel?: { readonly source: Address; readonly destination: Address };
  readonly message: MobilityMessage;
}
