import { addressBytes, formatAddress } from "../../src-shared/net/address.ts";
import { upperLayerChecksum } from "../../src-shared/net/checksum.ts";
import { ethernetHeader, ipv6Header, ipv6Start, vnetHeader } from "./superPacket.ts";

const ICMPV6 = 58;
/** RFC 4443 §2.4 (c): an error with what it quotes fits in the minimum MTU. */
const largestError = 1280;

/** RFC 4443 §3. `parameter` is the MTU in a Packet Too Big. */
export interface IcmpError {
  readonly type: 1 | 2 | 3;
  readonly code: number;
  readonly parameter: number;
}
export const noRoute: IcmpError = { type: 1, code: 0, parameter: 0 };
export const hopLimitExceeded: IcmpError = { type: 3, code: 0, parameter: 0 };
export const packetTooBig = (mtu: number): IcmpError => ({ type: 2, code: 0, parameter: mtu });

/**
 * The answer to a packet that could not go on (virtio header first, `length` bytes at `start`), from `gateway`, with room for Ethernet
 * addresses; undefined where RFC 4443 §2.4 (e) forbids one: about an ICMPv6 error, a multicast packet or a source that is not one node.
 */
export function icmpErrorFor(packet: Buffer, start: number, length: number, gateway: string, error: IcmpError): Buffer | undefined {
  const ip = start + ipv6Start;
  const end = start + length;
  if (length < ipv6Start + ipv6Header || isIcmpError(packet, ip, end)) return undefined;
  if (packet[ip + 24] === 0xff && error.type !== 2) return undefined;
  if (packet[ip + 8] === 0xff || packet.subarray(ip + 8, ip + 24).every((byte) => byte === 0)) return undefined;
  const quoted = packet.subarray(ip, Math.min(end, ip + largestError - ipv6Header - 8));
  const body = Buffer.alloc(8 + quoted.length);
  body.set([error.type, error.code]);
  body.writeUInt32BE(error.parameter, 4);
  body.set(quoted, 8);
  const source = addressBytes(gateway);
  const destination = packet.subarray(ip + 8, ip + 24);
  body.writeUInt16BE(upperLayerChecksum({ source: formatAddress(source), destination: formatAddress(destination), protocol: ICMPV6 }, body), 2);
  const answer = Buffer.alloc(ipv6Start + ipv6Header + body.length);
  answer.writeUInt16BE(0x86dd, vnetHeader + ethernetHeader - 2);
  answer[ipv6Start] = 0x60;
  answer.writeUInt16BE(body.length, ipv6Start + 4);
  answer[ipv6Start + 6] = ICMPV6;
  answer[ipv6Start + 7] = 64;
  answer.set(source, ipv6Start + 8);
  answer.set(destination, ipv6Start + 24);
  answer.set(body, ipv6Start + ipv6Header);
  return answer;
}

function isIcmpError(packet: Buffer, ip: number, end: number): boolean {
  let next = packet[ip + 6] as number;
  let at = ip + ipv6Header;
  while ((next === 0 || next === 43 || next === 60) && at + 8 <= end) {
    next = packet[at] as number;
    at += ((packet[at + 1] as number) + 1) * 8;
  }
  return next === ICMPV6 && at < end && (packet[at] as number) < 128;
}
