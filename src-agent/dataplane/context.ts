import type { Address } from "../../src-shared/net/address.ts";

/** What a data plane is built on: one data interface, and this host's own address on it. */
export interface DataPlaneContext {
  readonly device: string;
  /** Source of the home agent's tunnels, and normally our care-of address. */
  readonly address: Address;
  /**
   * The kernel takes extension headers off and puts them on (see kernel/plane.ts). What is left to the plane: tunnels, signalling, ICMPv6 errors, and
   * arriving packets of clients that are held or relayed.
   */
  readonly kernelTranslates?: boolean;
}
