import { describe, expect, it } from "vitest";
import { parseAddress } from "../../src-shared/net/address.ts";
import { readHandshakes } from "./handshakes.ts";

// As Linux prints it on a little-endian machine; the states of the last lines are changed.
const table = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: B80D01200000FFFF0000000001000000:0007 00000000000000000000000000000000:0000 0A 00000000:00000001 00:00000000 00000000     0        0 932876 2 00000000a75b6b91 100 0 0 10 0
   1: B80D01200000FFFF0000000001000000:0007 B80D012000000A000000000002000000:9C40 01 00000000:00000000 00:00000000 00000000     0        0 0 1 00000000bb36056a 20 0 0 10 -1
   2: B80D01200000FFFF0000000001000000:0007 B80D012000000A000000000002000000:9C41 03 00000000:00000000 01:00000063 00000000     0        0 0 1
   3: B80D01200000FFFF0000000001000000:0050 B80D012000000A000000000002000000:9C42 03 00000000:00000000 01:00000063 00000000     0        0 0 1
   4: B80D01200000FFFF0000000001000000:0007 B80D012000000A000000000003000000:9C43 03 00000000:00000000 01:00000063 00000000     0        0 0 1
   5: B80D01200000FFFF0000000002000000:0007 B80D012000000A000000000002000000:9C44 03 00000000:00000000 01:00000063 00000000     0        0 0 1
`;
const home = parseAddress("2001:db8:ffff::1");
const client = parseAddress("2001:db8:a::2");

describe("handshakes under way", () => {
  it("are those in SYN_RECV between this client and these ports of X", () => {
    expect(readHandshakes(table, home, [7], client)).toEqual([{ port: 7, clientPort: 40001 }]);
    expect(readHandshakes(table, home, [80, 7], client)).toEqual([{ port: 7, clientPort: 40001 }, { port: 80, clientPort: 40002 }]);
    expect(readHandshakes(table, home, [443], client)).toEqual([]);
    expect(readHandshakes("", home, [7], client)).toEqual([]);
  });
});
