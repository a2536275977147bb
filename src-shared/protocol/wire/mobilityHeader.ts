import { Reader } from "../../bytes/reader.ts";
import { Writer } from "../../bytes/writer.ts";
import { bindingAcknowledgement } from "./bindingAcknowledgement.ts";
import { bindingError } from "./bindingError.ts";
import { bindingRefreshRequest } from "./bindingRefreshRequest.ts";
import { bindingUpdate } from "./bindingUpdate.ts";
import type { BodyCodec } from "./bodyCodec.ts";
import { careOfTest } from "./careOfTest.ts";
import { careOfTestInit } from "./careOfTestInit.ts";
import { ParameterProblemError, refusal } from "./decodeReason.ts";
import { homeTest } from "./homeTest.ts";
import { homeTestInit } from "./homeTestInit.ts";
import type { MobilityMessage } from "./message.ts";
import { optionFrames, readOptions, writeOptions, type OptionFrame } from "./mobilityOptions.ts";

/** Next Header value of the Mobility Header, and the checksum's protocol. */
export const MOBILITY_HEADER = 135;
/** "No Next Header", RFC 8200 §4.7: the only Payload Proto there is, §6.1.1. */
const NO_NEXT_HEADER = 59;
/** Offsets in the Mobility Header, §6.1.1. */
const HEADER_LENGTH_AT = 1;
const TYPE_AT = 2;
const CHECKSUM_AT = 4;
/** The part that every message shares. */
const COMMON_LENGTH = 6;

type Codecs = { readonly [K in MobilityMessage["kind"]]: BodyCodec<Extract<MobilityMessage, { kind: K }>> };

const CODECS: Codecs = {
  bindingRefreshRequest,
  homeTestInit,
  careOfTestInit,
  homeTest,
  careOfTest,
  bindingUpdate,
  bindingAcknowledgement,
  bindingError,
};

type Body<M extends MobilityMessage> = M extends unknown ? Omit<M, "options"> : never;
interface BodyReader {
  readonly type: number;
  readonly length: number;
  read(r: Reader): Body<MobilityMessage>;
}
const READERS: ReadonlyMap<number, BodyReader> = new Map(Object.values(CODECS).map((codec: BodyReader) => [codec.type, codec]));

/**
 * RFC 6275 §6.1.1: | payload proto 8 | header len 8 | MH type 8 | reserved 8 | checksum 16 | message data… |, header len counting 8 bytes
 * each after the first 8. The checksum is left 0 (authenticators are computed so); setChecksum fills it in.
 * Throws RangeError when a value does not fit.
 */
export function encodeMobilityHeader(message: MobilityMessage): Uint8Array {
  const w = new Writer();
  const codec = CODECS[message.kind] as BodyCodec<MobilityMessage>;
  w.u8(NO_NEXT_HEADER).u8(0).u8(codec.type).u8(0).u16(0);
  codec.write(message, w);
  writeOptions(message.options, w);
  const bytes = w.bytes();
  if (bytes.length > 8 * 256) throw new RangeError(`a Mobility Header of ${bytes.length} bytes, 2048 is the most`);
  bytes[HEADER_LENGTH_AT] = bytes.length / 8 - 1;
  return bytes;
}

/** Writes `checksum` into its place. Changes `header`. */
export function setChecksum(header: Uint8Array, checksum: number): void {
  new DataView(header.buffer, header.byteOffset).setUint16(CHECKSUM_AT, checksum);
}

/** Length in bytes that the header at `r` claims to have. */
export function claimedLength(r: Reader): number {
  r.skip(HEADER_LENGTH_AT, "payload proto");
  return 8 * (1 + r.u8("header len"));
}

export function mobilityType(header: Uint8Array): number {
  return header[TYPE_AT] as number;
}

export function isKnownMobilityType(type: number): boolean {
  return READERS.has(type);
}

/**
 * Reads a whole Mobility Header whose checksum is right, with the checks of §9.2 in their order. `at` is where it starts in its IPv6
 * packet, for the pointers of Parameter Problems. Throws DecodeError.
 */
export function decodeMobilityHeader(header: Uint8Array, at: number): MobilityMessage {
  const codec = READERS.get(mobilityType(header));
  if (!codec) throw refusal("unknownMobilityType", "MH type", `${mobilityType(header)}`);
  if (header[0] !== NO_NEXT_HEADER) throw new ParameterProblemError("badPayloadProto", "payload proto", 0, at);
  if (header.length < codec.length) throw new ParameterProblemError("headerTooShort", "header len", 0, at + HEADER_LENGTH_AT);
  const r = new Reader(header, COMMON_LENGTH);
  return { ...codec.read(r), options: readOptions(r) };
}

/** The options of a header that decodeMobilityHeader has accepted, with their offsets. */
export function framesOf(header: Uint8Array): OptionFrame[] {
  const codec = READERS.get(mobilityType(header));
  return codec ? optionFrames(new Reader(header, codec.length)) : [];
}
