import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe as group, expect, it, type TestContext } from "vitest";
import { addressBytes } from "../../src-shared/net/address.ts";
import { describe } from "../../src-shared/protocol/wire/describe.ts";
import { encodeIcmp } from "../../src-shared/protocol/wire/icmp.ts";
import type { MobilityOption, MobilityPacket } from "../../src-shared/protocol/wire/message.ts";
import { encodePacket } from "../../src-shared/protocol/wire/packet.ts";
import { ask, findScapy, findTshark, pcapOf } from "../vectors/oracles.ts";
import { randomPackets } from "../vectors/randomPackets.ts";
import { loadVectors, toHex, vectorsFile } from "../vectors/vectors.ts";

/** Packets that are not in the committed table: what we encode, read by decoders that we did not write. */
const packets = randomPackets(6275, 400);
const encoded = packets.map((packet) => encodePacket(packet));

const script = (name: string) => fileURLToPath(new URL(`../vectors/${name}`, import.meta.url));

interface Read {
  readonly layers: readonly string[];
  readonly addresses: readonly (readonly [string, string])[];
  readonly checksumOk: boolean;
  readonly fields: Readonly<Record<string, number | string>>;
  readonly options: readonly (readonly [string, Readonly<Record<string, number | string>>])[];
}

/** Skips, and says why in every reporter's output. */
function absent(context: TestContext, why: string): never {
  console.warn(`skipped "${context.task.name}": ${why}`);
  return context.skip(why);
}

function python(context: TestContext): string {
  const scapy = findScapy();
  if ("missing" in scapy) return absent(context, scapy.missing);
  return scapy.python;
}

function readByScapy(path: string, bytes: readonly Uint8Array[]): Read[] {
  // Timestamps of 64 bits are more than a JavaScript number holds: keep their digits.
  const lines = ask(path, [script("scapy_decode.py")], bytes.map(toHex).join("\n")).trim().split("\n");
  return lines.map((line) => JSON.parse(line.replace(/"timestamp": (\d+)/g, '"timestamp": "$1"')) as Read);
}

group("scapy", () => {
  it("still builds the committed table", (context) => {
    const built = ask(python(context), [script("make_vectors.py")]);
    expect(JSON.parse(built)).toEqual(JSON.parse(readFileSync(vectorsFile, "utf8")));
  });

  it("reads our packets as we meant them, with right checksums", (context) => {
    const read = readByScapy(python(context), encoded);
    expect(read.map(asScapySaysIt)).toEqual(packets.map(asWeMeantIt));
    expect(packets.filter((_, i) => !read[i]?.checksumOk).map(describe)).toEqual([]);
  });

  it("finds our ICMPv6 errors' checksums right", (context) => {
    const ends = { source: packets[0]?.source, destination: packets[0]?.destination } as MobilityPacket;
    const errors = encoded.slice(0, 20).map((invoking, pointer) => encodeIcmp({ ...ends, message: { kind: "parameterProblem", code: 2, pointer, invoking } }));
    const read = readByScapy(python(context), errors);
    expect(read.map(({ checksumOk, fields }) => [checksumOk, fields["ptr"]])).toEqual(errors.map((_, pointer) => [true, pointer]));
  });
});

group("tshark", () => {
  const folder = mkdtempSync(join(tmpdir(), "anycast-wire-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it("finds nothing malformed and no expert remark in what we encode, and the types and options that we meant", (context) => {
    const tshark = findTshark();
    if ("missing" in tshark) return absent(context, tshark.missing);
    // tshark remarks on options that it does not know, as it should.
    const known = ({ message }: MobilityPacket) => message.options.every(({ kind }) => kind !== "unknown");
    const all = [...packets, ...loadVectors().map(({ packet }) => packet)].filter(known);
    const file = join(folder, "ours.pcap");
    writeFileSync(file, pcapOf(all.map((packet) => encodePacket(packet))));
    const rows = ask(tshark.tshark, ["-r", file, "-T", "fields", "-E", "separator=;", ...fieldArguments()]).trimEnd().split("\n");
    const complaints = rows.map((row, i) => ({ row, packet: all[i] as MobilityPacket })).filter(({ row }) => row.split(";")[0] !== "");
    expect(complaints.map(({ row, packet }) => `${row.split(";")[0]}: ${describe(packet)}`)).toEqual([]);
    expect(rows.map((row) => row.split(";").slice(1).join(";"))).toEqual(all.map(asTsharkSaysIt));
  });
});

const MH_TYPES: Readonly<Record<MobilityPacket["message"]["kind"], number>> = {
  bindingRefreshRequest: 0,
  homeTestInit: 1,
  careOfTestInit: 2,
  homeTest: 3,
  careOfTest: 4,
  bindingUpdate: 5,
  bindingAcknowledgement: 6,
  bindingError: 7,
};

function fieldArguments(): string[] {
  const fields = ["_ws.expert.message", "mip6.mhtype", "mip6.bu.seqnr", "mip6.ba.seqnr", "mip6.acoa.acoa", "mip6.ni.hni", "mip6.bad.auth"];
  return fields.flatMap((field) => ["-e", field]);
}

function asTsharkSaysIt({ message }: MobilityPacket): string {
  const option = <K extends MobilityOption["kind"]>(kind: K) =>
    message.options.find((one): one is Extract<MobilityOption, { kind: K }> => one.kind === kind);
  const authenticator = option("bindingAuthorization")?.authenticator;
  return [
    MH_TYPES[message.kind],
    message.kind === "bindingUpdate" ? message.sequence : "",
    message.kind === "bindingAcknowledgement" ? message.sequence : "",
    option("alternateCareOf")?.address ?? "",
    option("nonceIndices")?.home ?? "",
    authenticator ? toHex(authenticator) : "",
  ].join(";");
}

/** One packet in words that both sides can be put into. */
interface Said {
  readonly addresses: readonly (readonly [string, string])[];
  readonly type: number;
  readonly values: readonly (number | string | undefined)[];
  readonly options: readonly string[];
}

function asScapySaysIt({ addresses, fields, options }: Read): Said {
  const { mhtype, seq, status, index, cookie, token, ha, flags, mhtime } = fields;
  const canonical = (text: string) => toHex(addressBytes(text));
  return {
    addresses: addresses.map(([from, to]) => [canonical(from), canonical(to)]),
    type: mhtype as number,
    values: [seq, status, index, cookie, token, ha === undefined ? undefined : canonical(ha as string), flags, mhtime],
    options: options.filter(([name]) => name !== "Pad1" && name !== "PadN").map(([name, values]) => scapyOption(name, values)),
  };
}

function scapyOption(name: string, values: Readonly<Record<string, number | string>>): string {
  const { rinter, acoa, hni, coni, subtype, id, mspi, authdata, timestamp } = values;
  switch (name) {
    case "MIP6OptBRAdvice":
      return `advice ${rinter}`;
    case "MIP6OptAltCoA":
      return `alternate ${toHex(addressBytes(acoa as string))}`;
    case "MIP6OptNonceIndices":
      return `nonces ${hni} ${coni}`;
    case "MIP6OptBindingAuthData":
      // 96 bits, printed as a number that JavaScript rounds: tshark compares the bytes.
      return "authorization";
    case "MIP6OptMNID":
      return `identifier ${subtype} ${id}`;
    case "MIP6OptMsgAuth":
      return `authentication ${subtype} ${mspi} ${authdata}`;
    case "MIP6OptReplayProtection":
      return `replay ${timestamp}`;
    default:
      return name;
  }
}

function asWeMeantIt({ source, destination, tunnel, message }: MobilityPacket): Said {
  const ends = [...(tunnel ? [tunnel] : []), { source, destination }];
  const addresses = ends.map((one) => [toHex(addressBytes(one.source)), toHex(addressBytes(one.destination))] as const);
  return { addresses, type: MH_TYPES[message.kind], values: meantValues(message), options: message.options.map(meantOption) };
}

/** In the order of asScapySaysIt: sequence, status, nonce index, cookie, token, home address, flags, lifetime. */
function meantValues(message: MobilityPacket["message"]): Said["values"] {
  const none = undefined;
  switch (message.kind) {
    case "bindingRefreshRequest":
      return [none, none, none, none, none, none, none, none];
    case "homeTestInit":
    case "careOfTestInit":
      return [none, none, none, toHex(message.cookie), none, none, none, none];
    case "homeTest":
    case "careOfTest":
      return [none, none, message.nonceIndex, toHex(message.cookie), toHex(message.token), none, none, none];
    case "bindingUpdate": {
      const { acknowledge, homeRegistration, linkLocalCompatibility, keyManagement } = message;
      // scapy names flags from the lowest bit up.
      const flags = `${keyManagement ? "K" : ""}${linkLocalCompatibility ? "L" : ""}${homeRegistration ? "H" : ""}${acknowledge ? "A" : ""}`;
      return [message.sequence, none, none, none, none, none, flags, message.lifetimeUnits];
    }
    case "bindingAcknowledgement":
      return [message.sequence, message.status, none, none, none, none, message.keyManagement ? "K" : "", message.lifetimeUnits];
    case "bindingError":
      return [none, message.status, none, none, none, toHex(addressBytes(message.homeAddress)), none, none];
  }
}

function meantOption(option: MobilityOption): string {
  switch (option.kind) {
    case "bindingRefreshAdvice":
      return `advice ${option.intervalUnits}`;
    case "alternateCareOf":
      return `alternate ${toHex(addressBytes(option.address))}`;
    case "nonceIndices":
      return `nonces ${option.home} ${option.careOf}`;
    case "bindingAuthorization":
      return "authorization";
    case "mnIdentifier":
      return `identifier ${option.subtype} ${toHex(option.identifier)}`;
    case "authentication":
      return `authentication ${option.subtype} ${option.spi} ${toHex(option.data)}`;
    case "messageReplay":
      return `replay ${option.timestamp}`;
    case "unknown":
      return "unknown";
  }
}
