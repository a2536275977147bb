import { addressBytes, type Address } from "../../src-shared/net/address.ts";
import { attachFilter, detachFilter } from "../linux/tcpRepair.ts";

// Classic BPF, as struct sock_filter: | code 16 | jump if true 8 | jump if false 8 | value 32 |.
const loadByte = 0x30;
const loadWord = 0x20;
const and = 0x54;
const jumpIfEqual = 0x15;
const give = 0x06;
/** Offsets from here count from the IPv6 header; plain ones from the TCP header. */
const networkHeader = 0xfff0_0000;
const sourceAddress = networkHeader + 8;
const tcpFlags = 13;
const syn = 0x02;
const ack = 0x10;
const everything = 0xffff_ffff;
/** A program has at most 4096 instructions, 9 for a client. */
const maximumClients = 400;

/**
 * While their connections are on the way, these clients start no new ones at a listening socket: a handshake begun here would end at the acceptor, who
 * knows nothing of it and answers with RST. A SYN that is dropped is repeated a second later, and reaches whoever serves the client then.
 */
export function guardListener(fd: number, clients: readonly Address[]): void {
  if (clients.length === 0) detachFilter(fd);
  else attachFilter(fd, program(clients.slice(0, maximumClients)));
}

/** The filter for `clients`: drops their SYNs, takes everything else, the rest of a handshake included. */
export function program(clients: readonly Address[]): Buffer {
  const drop = instruction(give, 0, 0, 0);
  const take = instruction(give, 0, 0, everything);
  const bySource = clients.flatMap((client) => {
    const bytes = Buffer.from(addressBytes(client));
    // Any word that differs skips the rest of this client: two instructions for each word left, and the drop.
    const words = [0, 1, 2, 3].flatMap((i) => [instruction(loadWord, 0, 0, sourceAddress + 4 * i), instruction(jumpIfEqual, 0, 2 * (3 - i) + 1, bytes.readUInt32BE(4 * i))]);
    return [...words, drop];
  });
  return Buffer.concat([instruction(loadByte, 0, 0, tcpFlags), instruction(and, 0, 0, syn | ack), instruction(jumpIfEqual, 1, 0, syn), take, ...bySource, take]);
}

function instruction(code: number, ifTrue: number, ifFalse: number, value: number): Buffer {
  const b = Buffer.alloc(8);
  b.writeUInt16LE(code, 0);
  b.writeUInt8(ifTrue, 2);
  b.writeUInt8(ifFalse, 3);
  b.writeUInt32LE(value >>> 0, 4);
  return b;
}
