import type { BodyCodec, WithOptions } from "./bodyCodec.ts";

/** §6.1.3, MH type 1. `cookie` is 8 bytes. */
export interface HomeTestInit extends WithOptions {
  readonly kind: "homeTestInit";
  readonly cookie: Uint8Array;
}

/** RFC 6275 §6.1.3: | reserved 16 | home init cookie 64 | options… | */
export const homeTestInit: BodyCodec<HomeTestInit> = {
  type: 1,
  length: 16,
  read: (r) => {
    r.skip(2, "reserved");
    return { kind: "homeTestInit", cookie: r.take(8, "home init cookie") };
  },
  write: (m, w) => {
    w.zeros(2).put(m.cookie, 8);
  },
};
