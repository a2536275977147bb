import type { Address } from "../../../net/address.ts";
import type { MobilityPacket } from "../../wire/message.ts";
import type { Millis } from "../step.ts";
import type { HandoffWish } from "./contactClient.ts";
import type { Transport } from "./dataWatch.ts";
import type { BindingLoss, MemberMessage } from "./memberMessage.ts";

/** Everything that can happen to a member of a group. */
export type GroupInput =
  | { readonly kind: "packet"; readonly packet: MobilityPacket; readonly mobilityHeader: Uint8Array; readonly at: Millis }
  | { readonly kind: "member"; readonly from: string; readonly message: MemberMessage; readonly at: Millis }
  /** Says in some unsigned way that it knows no Mobility Header: ICMPv6 Parameter Problem code 1, which quotes our `cookie`, or Binding Error status 2. */
  | { readonly kind: "notCapable"; readonly client: Address; readonly cookie: Uint8Array | null }
  /** Something says that the client's binding to us does not work. */
  | { readonly kind: "bindingLost"; readonly client: Address; readonly why: BindingLoss }
  | { readonly kind: "activity"; readonly client: Address; readonly active: boolean }
  | { readonly kind: "handOver"; readonly client: Address; readonly wish: HandoffWish }
  | { readonly kind: "prepare" | "optimise"; readonly client: Address; readonly request: string }
  | { readonly kind: "discardTokens"; readonly client: Address }
  | { readonly kind: "collected"; readonly handoff: string; readonly client: Address; readonly bundle: Uint8Array; readonly connections: number; readonly frozenAt: Millis; readonly drainMs: Millis }
  | { readonly kind: "notCollected"; readonly handoff: string; readonly reason: string }
  | { readonly kind: "reinstated"; readonly handoff: string }
  | { readonly kind: "restored"; readonly handoff: string }
  | { readonly kind: "notRestored"; readonly handoff: string; readonly reason: string }
  /** What `askTransport` brought. */
  | { readonly kind: "transport"; readonly client: Address; readonly transport: Transport }
  | { readonly kind: "wake" };
