import type { Address } from "../../net/address.ts";
import type { BindingAcknowledgement } from "./bindingAcknowledgement.ts";
import type { BindingError } from "./bindingError.ts";
import type { BindingRefreshRequest } from "./bindingRefreshRequest.ts";
import type { BindingUpdate } from "./bindingUpdate.ts";
import type { CareOfTest } from "./careOfTest.ts";
import type { CareOfTestInit } from "./careOfTestInit.ts";
import type { HomeTest } from "./homeTest.ts";
import type { HomeTestInit } from "./homeTestInit.ts";

export type { BindingAcknowledgement } from "./bindingAcknowledgement.ts";
export type { BindingError } from "./bindingError.ts";
export type { BindingRefreshRequest } from "./bindingRefreshRequest.ts";
export type { BindingUpdate } from "./bindingUpdate.ts";
export type { CareOfTest } from "./careOfTest.ts";
export type { CareOfTestInit } from "./careOfTestInit.ts";
export type { HomeTest } from "./homeTest.ts";
export type { HomeTestInit } from "./homeTestInit.ts";
export type { MobilityOption } from "./mobilityOption.ts";

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
