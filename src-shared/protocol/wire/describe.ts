import type { BindingUpdate, MobilityMessage, MobilityOption, MobilityPacket } from "./message.ts";

/**
 * The packet in one line, for logs, the window and test failures:
 * `BU 2001:db8:2::21 (home 2001:db8:f::1) -> 2001:db8:1::10 seq 101 A life 420 s, nonces 1/1, authorised`
 */
export function describe(packet: MobilityPacket): string {
  const home = packet.homeAddress === undefined ? "" : ` (home ${packet.homeAddress})`;
  const routed = packet.routingHomeAddress === undefined ? "" : ` (home ${packet.routingHomeAddress})`;
  const [name, ...body] = describeBody(packet.message);
  const line = [name, `${packet.source}${home} -> ${packet.destination}${routed}`, ...body].filter((word) => word !== "").join(" ");
  const tunnel = packet.tunnel ? [`tunnel ${packet.tunnel.source} -> ${packet.tunnel.destination}`] : [];
  return [line, ...packet.message.options.map(describeOption), ...tunnel].join(", ");
}

/** Abbreviated name and the message's own fields. */
function describeBody(message: MobilityMessage): string[] {
  switch (message.kind) {
    case "bindingRefreshRequest":
      return ["BRR"];
    case "homeTestInit":
      return ["HoTI", `cookie ${hex(message.cookie)}`];
    case "careOfTestInit":
      return ["CoTI", `cookie ${hex(message.cookie)}`];
    // Keygen tokens are secrets while they are fresh: logs and reports show their first byte only.
    case "homeTest":
      return ["HoT", `nonce ${message.nonceIndex}`, `cookie ${hex(message.cookie)}`, `token ${hex(message.token.subarray(0, 1))}…`];
    case "careOfTest":
      return ["CoT", `nonce ${message.nonceIndex}`, `cookie ${hex(message.cookie)}`, `token ${hex(message.token.subarray(0, 1))}…`];
    case "bindingUpdate":
      return ["BU", `seq ${message.sequence}`, flags(message), life(message.lifetimeUnits)];
    case "bindingAcknowledgement":
      return ["BA", `status ${status(message.status)}`, `seq ${message.sequence}`, message.keyManagement ? "K" : "", life(message.lifetimeUnits)];
    case "bindingError":
      return ["BE", `status ${message.status}`, `home ${message.homeAddress}`];
  }
}

function describeOption(option: MobilityOption): string {
  switch (option.kind) {
    case "bindingRefreshAdvice":
      return `refresh after ${4 * option.intervalUnits} s`;
    case "alternateCareOf":
      return `alt CoA ${option.address}`;
    case "nonceIndices":
      return `nonces ${option.home}/${option.careOf}`;
    case "bindingAuthorization":
      return "authorised";
    case "mnIdentifier":
      return `identifier ${option.subtype} ${hex(option.identifier)}`;
    case "authentication":
      return `authenticated ${option.subtype} SPI ${option.spi}`;
    case "messageReplay":
      return `timestamp ${ntpTime(option.timestamp)}`;
    case "unknown":
      return `option ${option.type} ${hex(option.data)}`;
  }
}

function flags(message: BindingUpdate): string {
  return [
    message.acknowledge ? "A" : "",
    message.homeRegistration ? "H" : "",
    message.linkLocalCompatibility ? "L" : "",
    message.keyManagement ? "K" : "",
  ].join("");
}

function life(units: number): string {
  return `life ${4 * units} s`;
}

/** §6.1.8 and RFC 4285 §4.4; the numbers are what people search for, so they stay. */
const STATUS_NAMES: Readonly<Record<number, string>> = {
  0: "accepted",
  1: "accepted but prefix discovery necessary",
  128: "reason unspecified",
  129: "administratively prohibited",
  130: "insufficient resources",
  131: "home registration not supported",
  132: "not home subnet",
  133: "not home agent for this mobile node",
  134: "duplicate address detection failed",
  135: "sequence number out of window",
  136: "expired home nonce index",
  137: "expired care-of nonce index",
  138: "expired nonces",
  139: "registration type change disallowed",
  144: "id mismatch",
  145: "message id required",
  146: "authentication failed",
  174: "invalid care-of address",
};

function status(code: number): string {
  const name = STATUS_NAMES[code];
  return name === undefined ? `${code}` : `${code} (${name})`;
}

/** Seconds from 1900, where NTP begins, to 1970. */
const NTP_TO_UNIX = 2_208_988_800n;

/** A 64-bit NTP timestamp as UTC with milliseconds. */
function ntpTime(timestamp: bigint): string {
  const milliseconds = ((timestamp & 0xffff_ffffn) * 1000n) >> 32n;
  return new Date(Number(((timestamp >> 32n) - NTP_TO_UNIX) * 1000n + milliseconds)).toISOString();
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
