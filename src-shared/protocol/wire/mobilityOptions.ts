import { Reader } from "../../bytes/reader.ts";
import { Writer } from "../../bytes/writer.ts";
import { isUnicastRoutable } from "../../net/scope.ts";
import { refusal } from "./decodeReason.ts";
import * as codecs from "./mobilityOption.ts";
import type { MobilityOption, OptionCodec } from "./mobilityOption.ts";

const PAD1 = 0;
const PADN = 1;

type OptionReader = Pick<OptionCodec<MobilityOption>, "type" | "lengths" | "read">;

const READERS: ReadonlyMap<number, OptionReader> = new Map(
  [
    codecs.bindingRefreshAdvice,
    codecs.alternateCareOf,
    codecs.nonceIndices,
    codecs.bindingAuthorization,
    codecs.mnIdentifier,
    codecs.authentication,
    codecs.messageReplay,
  ].map((codec: OptionReader) => [codec.type, codec]),
);

/** One option as it lies on the wire; `at` is the offset of its type octet. Padding is left out. */
export interface OptionFrame {
  readonly at: number;
  readonly type: number;
  readonly data: Uint8Array;
}

/** Splits an option area, RFC 6275 §6.2.1: | type 8 | length 8 | data… |, Pad1 being a lone zero octet. */
export function optionFrames(r: Reader): OptionFrame[] {
  const frames: OptionFrame[] = [];
  while (r.remaining > 0) {
    const at = r.at;
    const type = r.u8("mobility option type");
    if (type === PAD1) continue;
    if (r.remaining < 1) throw refusal("badOption", "mobility option length", `option ${type} at ${at} has none`);
    const length = r.u8("mobility option length");
    if (length > r.remaining) throw refusal("badOption", "mobility option length", `option ${type} at ${at} passes the end of the header`);
    const data = r.take(length, "mobility option data");
    if (type !== PADN) frames.push({ at, type, data });
  }
  return frames;
}

/** Reads the options up to the end of the Mobility Header; what may not stand there (§6.2, RFC 4285 §5.1) is refused. */
export function readOptions(r: Reader): MobilityOption[] {
  const end = r.at + r.remaining;
  const seen = new Set<string>();
  return optionFrames(r).map((frame) => {
    const option = readOption(frame);
    checkPlace(option, frame, end);
    const once = identity(option);
    if (once !== undefined && seen.has(once)) throw refusal("badOption", once, "repeated");
    if (once !== undefined) seen.add(once);
    return option;
  });
}

function readOption(frame: OptionFrame): MobilityOption {
  const codec = READERS.get(frame.type);
  if (!codec) return { kind: "unknown", type: frame.type, data: frame.data };
  const [least, greatest] = codec.lengths;
  if (frame.data.length < least || frame.data.length > greatest)
    throw refusal("badOption", "mobility option length", `${frame.data.length} in option ${frame.type}`);
  return codec.read(new Reader(frame.data));
}

function checkPlace(option: MobilityOption, frame: OptionFrame, end: number): void {
  if (option.kind === "bindingAuthorization" && frame.at + 2 + frame.data.length !== end)
    throw refusal("badOption", "bindingAuthorization", "not last");
  if (option.kind === "alternateCareOf" && !isUnicastRoutable(option.address))
    throw refusal("badOption", "alternate care-of address", "not unicast routable");
}

/** What may stand in a message only once; undefined: anything goes. */
function identity(option: MobilityOption): string | undefined {
  if (option.kind === "unknown" || option.kind === "mnIdentifier") return undefined;
  return option.kind === "authentication" ? `authentication subtype ${option.subtype}` : option.kind;
}

/**
 * Appends `options` to `w`, which holds the Mobility Header so far, each at its alignment, and pads the header to a multiple of 8 bytes.
 * Throws RangeError when the Binding Authorization Data option is not the last.
 */
export function writeOptions(options: readonly MobilityOption[], w: Writer): void {
  options.forEach((option, i) => {
    if (option.kind === "bindingAuthorization" && i !== options.length - 1) throw new RangeError("bindingAuthorization must be the last option");
    const { type, alignment, data } = encodeOption(option);
    pad(w, alignment);
    w.u8(type).u8(data.length).put(data);
  });
  pad(w, [8, 0]);
}

/** Pad1 or PadN, §6.2.2 and §6.2.3, up to the next offset xn+y. */
function pad(w: Writer, [x, y]: readonly [number, number]): void {
  const gap = (((y - w.length) % x) + x) % x;
  if (gap === 1) w.u8(PAD1);
  else if (gap > 1) w.u8(PADN).u8(gap - 2).zeros(gap - 2);
}

interface EncodedOption {
  readonly type: number;
  readonly alignment: readonly [number, number];
  readonly data: Uint8Array;
}

function encodeOption(option: MobilityOption): EncodedOption {
  switch (option.kind) {
    case "bindingRefreshAdvice":
      return encodeWith(codecs.bindingRefreshAdvice, option);
    case "alternateCareOf":
      return encodeWith(codecs.alternateCareOf, option);
    case "nonceIndices":
      return encodeWith(codecs.nonceIndices, option);
    case "bindingAuthorization":
      return encodeWith(codecs.bindingAuthorization, option);
    case "mnIdentifier":
      return encodeWith(codecs.mnIdentifier, option);
    case "authentication":
      return encodeWith(codecs.authentication, option);
    case "messageReplay":
      return encodeWith(codecs.messageReplay, option);
    case "unknown":
      return { type: option.type, alignment: [1, 0], data: option.data };
  }
}

function encodeWith<O>(codec: OptionCodec<O>, option: O): EncodedOption {
  const w = new Writer();
  codec.write(option, w);
  return { type: codec.type, alignment: codec.alignment, data: w.bytes() };
}
