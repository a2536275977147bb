import type { Reader } from "../../bytes/reader.ts";
import type { Writer } from "../../bytes/writer.ts";
import { addressBytes, formatAddress, type Address } from "../../net/address.ts";
import { isUnicastRoutable } from "../../net/scope.ts";
import { ParameterProblemError, refusal } from "./decodeReason.ts";

const PAD1 = 0;
const HOME_ADDRESS = 0xc9;
/** What the two highest bits of an unknown option's type ask for, RFC 8200 §4.2. */
const SKIP = 0b00;
const DISCARD = 0b01;

/**
 * A destination options header that holds a Home Address option alone, RFC 6275 §6.3, at 8n+6:
 * | next header 8 | hdr ext len 8 = 2 | PadN(2) | 0xc9 | 16 | home address 128 |
 */
export function writeHomeAddressHeader(nextHeader: number, home: Address, w: Writer): void {
  w.u8(nextHeader).u8(2).u8(1).u8(2).zeros(2).u8(HOME_ADDRESS).u8(16).put(addressBytes(home));
}

/**
 * Reads the options of a hop-by-hop or destination options header; `r` covers exactly them and counts from the IPv6 header. Returns the
 * Home Address option if there is one. Options that we do not know are treated as their type asks (RFC 8200 §4.2).
 */
export function readHeaderOptions(r: Reader): Address | undefined {
  let home: Address | undefined;
  while (r.remaining > 0) {
    const at = r.at;
    const type = r.u8("option type");
    if (type === PAD1) continue;
    const data = r.sub(r.u8("option length"), "option data");
    if (type === HOME_ADDRESS) {
      if (home !== undefined) throw refusal("badHomeAddress", "home address option", "repeated");
      home = readHomeAddress(data);
    } else if (type >>> 6 !== SKIP) throw unknownOption(type, at);
  }
  return home;
}

function readHomeAddress(data: Reader): Address {
  if (data.remaining !== 16) throw refusal("badHomeAddress", "home address option length");
  const home = formatAddress(data.take(16, "home address"));
  if (!isUnicastRoutable(home)) throw refusal("badHomeAddress", "home address", "not unicast routable");
  return home;
}

/** The other two values ask for a Parameter Problem; they differ about multicast, which packet.ts never answers. */
function unknownOption(type: number, at: number): Error {
  const field = `option type ${type}`;
  return type >>> 6 === DISCARD ? refusal("badExtensionHeader", field) : new ParameterProblemError("badExtensionHeader", field, 2, at);
}
