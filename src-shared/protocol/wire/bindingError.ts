import { addressBytes, formatAddress, type Address } from "../../net/address.ts";
import type { BodyCodec, WithOptions } from "./bodyCodec.ts";

/** §6.1.9, MH type 7. Status 1: unknown binding for a Home Address option; 2: unrecognised MH type. `homeAddress` is `::` when there was none. */
export interface BindingError extends WithOptions {
  readonly kind: "bindingError";
  readonly status: number;
  readonly homeAddress: Address;
}

/** RFC 6275 §6.1.9: | status 8 | reserved 8 | home address 128 | options… | */
export const bindingError: BodyCodec<BindingError> = {
  type: 7,
  length: 24,
  read: (r) => {
    const status = r.u8("status");
    r.skip(1, "reserved");
    return { kind: "bindingError", status, homeAddress: formatAddress(r.take(16, "home address")) };
  },
  write: (m, w) => {
    w.u8(m.status).zeros(1).put(addressBytes(m.homeAddress));
  },
};
