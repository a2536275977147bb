import type { BodyCodec, WithOptions } from "./bodyCodec.ts";

/** §6.1.4, MH type 2. `cookie` is 8 bytes. */
export interface CareOfTestInit extends WithOptions {
  readonly kind: "careOfTestInit";
  readonly cookie: Uint8Array;
}

/** RFC 6275 §6.1.4: | reserved 16 | care-of init cookie 64 | options… | */
export const careOfTestInit: BodyCodec<CareOfTestInit> = {
  type: 2,
  length: 16,
  read: (r) => {
    r.skip(2, "reserved");
    return { kind: "careOfTestInit", cookie: r.take(8, "care-of init cookie") };
  },
  write: (m, w) => {
    w.zeros(2).put(m.cookie, 8);
  },
};
