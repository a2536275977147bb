import type { BodyCodec, WithOptions } from "./bodyCodec.ts";

/** §6.1.8, MH type 6. `status` below 128 accepts; `lifetimeUnits` count 4 seconds each. */
export interface BindingAcknowledgement extends WithOptions {
  readonly kind: "bindingAcknowledgement";
  readonly status: number;
  readonly keyManagement: boolean;
  readonly sequence: number;
  readonly lifetimeUnits: number;
}

const KEY_MANAGEMENT = 0x80;

/** RFC 6275 §6.1.8: | status 8 | K reserved 7 | sequence 16 | lifetime 16 | options… | */
export const bindingAcknowledgement: BodyCodec<BindingAcknowledgement> = {
  type: 6,
  length: 12,
  read: (r) => ({
    kind: "bindingAcknowledgement",
    status: r.u8("status"),
    keyManagement: (r.u8("flags") & KEY_MANAGEMENT) !== 0,
    sequence: r.u16("sequence number"),
    lifetimeUnits: r.u16("lifetime"),
  }),
  write: (m, w) => {
    w.u8(m.status)
      .u8(m.keyManagement ? KEY_MANAGEMENT : 0)
      .u16(m.sequence)
      .u16(m.lifetimeUnits);
  },
};
