import type { BodyCodec, WithOptions } from "./bodyCodec.ts";

/** §6.1.6, MH type 4. `nonceIndex` is 0..65535; `cookie` and `token` are 8 bytes each. */
export interface CareOfTest extends WithOptions {
  readonly kind: "careOfTest";
  readonly nonceIndex: number;
  readonly cookie: Uint8Array;
  readonly token: Uint8Array;
}

/** RFC 6275 §6.1.6: | care-of nonce index 16 | care-of init cookie 64 | care-of keygen token 64 | options… | */
export const careOfTest: BodyCodec<CareOfTest> = {
  type: 4,
  length: 24,
  read: (r) => ({
    kind: "careOfTest",
    nonceIndex: r.u16("care-of nonce index"),
    cookie: r.take(8, "care-of init cookie"),
    token: r.take(8, "care-of keygen token"),
  }),
  write: (m, w) => {
    w.u16(m.nonceIndex).put(m.cookie, 8).put(m.token, 8);
  },
};
