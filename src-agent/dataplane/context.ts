import type { Address } from "../../src-shared/net/address.ts";

/** What a data plane is built on: one data interface, and this host's own address on it. */
export interface DataPlaneContext {
  readonly device: string;
  /** Source of the home agent's tunnels, and normally our care-of address. */
  readonly address: Address;
}
