import { addressBytes, formatAddress, type Address } from "../../src-shared/net/address.ts";

/** An address and TCP or UDP port. */
export interface Endpoint {
  readonly address: Address;
  readonly port: number;
}

export const AF_UNIX = 1;
export const AF_INET6 = 10;
const sockaddrIn6Length = 28;
const sunPathBytes = 108;

/** struct sockaddr_in6: | family 16 | port 16 (network order) | flow 32 | address 128 | scope 32 |. No flow label, no scope. */
export function sockaddrIn6(endpoint: Endpoint): Buffer {
  const b = Buffer.alloc(sockaddrIn6Length);
  b.writeUInt16LE(AF_INET6, 0);
  b.writeUInt16BE(endpoint.port, 2);
  b.set(addressBytes(endpoint.address), 8);
  return b;
}

/** Reads what the kernel wrote. Throws RangeError when it is not an IPv6 address. */
export function readSockaddrIn6(b: Uint8Array): Endpoint {
  const view = new DataView(b.buffer, b.byteOffset, b.byteLength);
  const family = view.getUint16(0, true);
  if (family !== AF_INET6) throw new RangeError(`not an IPv6 socket address: family ${family}`);
  return { address: formatAddress(b, 8), port: view.getUint16(2) };
}

/** struct sockaddr_un for a path in the file system. Throws RangeError when the path does not fit its 107 bytes. */
export function sockaddrUnix(path: string): Buffer {
  const bytes = Buffer.from(path);
  if (bytes.length === 0 || bytes.length >= sunPathBytes) throw new RangeError(`a Unix socket path has 1 to ${sunPathBytes - 1} bytes, this one has ${bytes.length}: ${path}`);
  const b = Buffer.alloc(2 + bytes.length + 1);
  b.writeUInt16LE(AF_UNIX, 0);
  bytes.copy(b, 2);
  return b;
}
