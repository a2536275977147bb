import type { BodyCodec, WithOptions } from "./bodyCodec.ts";

/** §6.1.2, MH type 0: asks a mobile node to renew its binding. */
export interface BindingRefreshRequest extends WithOptions {
  readonly kind: "bindingRefreshRequest";
}

/** RFC 6275 §6.1.2: | reserved 16 | options… | */
export const bindingRefreshRequest: BodyCodec<BindingRefreshRequest> = {
  type: 0,
  length: 8,
  read: (r) => {
    r.skip(2, "reserved");
    return { kind: "bindingRefreshRequest" };
  },
  write: (_, w) => {
    w.zeros(2);
  },
};
