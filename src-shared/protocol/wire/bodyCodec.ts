import type { Reader } from "../../bytes/reader.ts";
import type { Writer } from "../../bytes/writer.ts";
import type { MobilityOption } from "./mobilityOption.ts";

/** Every message ends in mobility options, in the order of the wire. */
export interface WithOptions {
  readonly options: readonly MobilityOption[];
}

/** How one message lies between the Mobility Header's checksum and its options. */
export interface BodyCodec<M extends WithOptions> {
  /** MH Type, §6.1.1. */
  readonly type: number;
  /** Bytes from the start of the Mobility Header to the first option: what Header Len must at least cover. */
  readonly length: number;
  read(r: Reader): Omit<M, "options">;
  write(message: M, w: Writer): void;
}
