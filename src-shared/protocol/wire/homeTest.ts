import type { BodyCodec, WithOptions } from "./bodyCodec.ts";

/** §6.1.5, MH type 3. `nonceIndex` is 0..65535; `cookie` and `token` are 8 bytes each. */
export interface HomeTest extends WithOptions {
  readonly kind: "homeTest";
  readonly nonceIndex: number;
  readonly cookie: Uint8Array;
  readonly token: Uint8Array;
}

/** RFC 6275 §6.1.5: | home nonce index 16 | home init cookie 64 | home keygen token 64 | options… | */
export const homeTest: BodyCodec<HomeTest> = {
  type: 3,
  length: 24,
  read: (r) => ({
    kind: "homeTest",
    nonceIndex: r.u16("home nonce index"),
    cookie: r.take(8, "home init cookie"),
    token: r.take(8, "home keygen token"),
  }),
  write: (m, w) => {
    w.u16(m.nonceIndex).put(m.cookie, 8).put(m.token, 8);
  },
};
