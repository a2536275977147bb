import { describe, expect, it } from "vitest";
import { upperLayerChecksum } from "../../../src-shared/net/checksum.ts";
import { parseAddress } from "../../../src-shared/net/address.ts";
import { afterOption, afterRouting, destinationOptions, homeAddressOption, routing, typeTwoRouting } from "./inPlace.ts";

const nobody = { source: parseAddress("::"), destination: parseAddress("::"), protocol: 0 };

/** The Internet checksum over what is changed but for the two addresses, which only trade places: | next header, hop limit | bytes 2 to 7 of the extension |. */
function sum(protocol: number, start: Uint8Array): number {
  return upperLayerChecksum(nobody, Uint8Array.of(protocol, 64, ...start));
}

describe("translation in place", () => {
  it.each([
    { header: "type 2 routing header", before: sum(routing, typeTwoRouting), after: sum(destinationOptions, afterRouting) },
    { header: "Home Address option", before: sum(destinationOptions, homeAddressOption), after: sum(destinationOptions, afterOption) },
  ])("of a $header leaves sums over the packet what they were", ({ before, after }) => {
    expect(after).toBe(before);
  });

  it.each([afterRouting, afterOption])("leaves one option that is skipped where it is unknown and fills the header (RFC 8200, section 4.2)", (start) => {
    expect((start[0] as number) >> 6).toBe(0);
    expect(start[1]).toBe(24 - 4);
  });
});
