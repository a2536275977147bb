import type { BodyCodec, WithOptions } from "./bodyCodec.ts";

/** §6.1.7, MH type 5. `sequence` is 0..65535; `lifetimeUnits` count 4 seconds each, 0..65535; 0 deregisters. */
export interface BindingUpdate extends WithOptions {
  readonly kind: "bindingUpdate";
  readonly sequence: number;
  readonly acknowledge: boolean;
  readonly homeRegistration: boolean;
  readonly linkLocalCompatibility: boolean;
  readonly keyManagement: boolean;
  readonly lifetimeUnits: number;
}

const ACKNOWLEDGE = 0x8000;
const HOME_REGISTRATION = 0x4000;
const LINK_LOCAL = 0x2000;
const KEY_MANAGEMENT = 0x1000;

/** RFC 6275 §6.1.7: | sequence 16 | A H L K reserved 12 | lifetime 16 | options… | */
export const bindingUpdate: BodyCodec<BindingUpdate> = {
  type: 5,
  length: 12,
  read: (r) => {
    const sequence = r.u16("sequence number");
    const flags = r.u16("flags");
    return {
      kind: "bindingUpdate",
      sequence,
      acknowledge: (flags & ACKNOWLEDGE) !== 0,
      homeRegistration: (flags & HOME_REGISTRATION) !== 0,
      linkLocalCompatibility: (flags & LINK_LOCAL) !== 0,
      keyManagement: (flags & KEY_MANAGEMENT) !== 0,
      lifetimeUnits: r.u16("lifetime"),
    };
  },
  write: (m, w) => {
    const flags =
      (m.acknowledge ? ACKNOWLEDGE : 0) |
      (m.homeRegistration ? HOME_REGISTRATION : 0) |
      (m.linkLocalCompatibility ? LINK_LOCAL : 0) |
      (m.keyManagement ? KEY_MANAGEMENT : 0);
    w.u16(m.sequence).u16(flags).u16(m.lifetimeUnits);
  },
};
