import type { Reader } from "../../bytes/reader.ts";
import type { Writer } from "../../bytes/writer.ts";
import { addressBytes, formatAddress, type Address } from "../../net/address.ts";
import { isUnicastRoutable } from "../../net/scope.ts";
import { ParameterProblemError, refusal } from "./decodeReason.ts";

const TYPE_2 = 2;
/** Offset of Routing Type in any routing header. */
const ROUTING_TYPE_AT = 2;

/**
 * Type 2 routing header, RFC 6275 §6.4.1:
 * | next header 8 | hdr ext len 8 = 2 | routing type 8 = 2 | segments left 8 = 1 | reserved 32 | home address 128 |
 */
export function writeRoutingHeader(nextHeader: number, home: Address, w: Writer): void {
  w.u8(nextHeader).u8(2).u8(TYPE_2).u8(1).zeros(4).put(addressBytes(home));
}

/**
 * Reads a routing header after its next header and length fields; `r` covers exactly the rest, `at` is where the header starts.
 * Returns the home address of type 2, undefined for another type that has nothing left to do; other types that have are answered as
 * RFC 8200 §4.4 says, a type 2 of the wrong form is dropped silently, as kernels do.
 */
export function readRoutingHeader(r: Reader, at: number): Address | undefined {
  const type = r.u8("routing type");
  const segmentsLeft = r.u8("segments left");
  if (type !== TYPE_2) {
    if (segmentsLeft === 0) return undefined;
    throw new ParameterProblemError("badExtensionHeader", `routing type ${type}`, 0, at + ROUTING_TYPE_AT);
  }
  if (r.remaining !== 20) throw refusal("badRoutingHeader", "hdr ext len", "exactly one address");
  if (segmentsLeft !== 1) throw refusal("badRoutingHeader", "segments left", `${segmentsLeft}`);
  const home = formatAddress(r.skip(4, "reserved").take(16, "home address"));
  if (!isUnicastRoutable(home)) throw refusal("badRoutingHeader", "home address", "not unicast routable");
  return home;
}
