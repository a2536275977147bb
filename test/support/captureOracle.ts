import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { PcapngReader } from "../../src-shared/pcapng/read.ts";
import { ask, findScapy, findTshark } from "../vectors/oracles.ts";

/** What decoders that we did not write say about the signalling in a capture. */
export interface CaptureVerdict {
  readonly messages: number;
  /** Frames that tshark finds malformed or has an expert complaint about, as it words them. */
  readonly complaints: readonly string[];
  /** Positions (from 1, as tshark counts) of Mobility Header messages whose checksum scapy's decoding does not confirm. */
  readonly badChecksums: readonly number[];
}

/** Why the oracles can't be asked here, or null. */
export function cannotAskOracles(): string | null {
  const [tshark, scapy] = [findTshark(), findScapy()];
  return "missing" in tshark ? tshark.missing : "missing" in scapy ? scapy.missing : null;
}

const ethernet = 14;
/** Wireshark's severities rise from comment (our own, in the capture) over chat to note, warning and error. */
const chat = 0x200000;

/** Passes every Mobility Header message of a capture through tshark and scapy. */
export function judgeCapture(file: string): CaptureVerdict {
  const fields = ["frame.number", "_ws.malformed", "_ws.expert.severity", "_ws.expert.message"].flatMap((field) => ["-e", field]);
  const rows = ask("tshark", ["-r", file, "-Y", "mipv6", "-T", "fields", ...fields]).split("\n").filter(Boolean).map((row) => row.split("\t"));
  const complaints = rows.filter(([, malformed, severities = ""]) => malformed || severities.split(",").some((severity) => Number(severity) > chat)).map((row) => row.join(" "));
  const numbers = rows.map(([number]) => Number(number));
  const packets = packetsOf(file, new Set(numbers));
  const scapy = findScapy();
  if ("missing" in scapy) throw new Error(scapy.missing);
  const script = fileURLToPath(new URL("../vectors/scapy_decode.py", import.meta.url));
  const answers = packets.length === 0 ? [] : ask(scapy.python, [script], packets.map((packet) => Buffer.from(packet).toString("hex")).join("\n")).trim().split("\n").map((line) => JSON.parse(line) as { checksumOk: boolean });
  return { messages: numbers.length, complaints, badChecksums: numbers.filter((_, i) => answers[i]?.checksumOk !== true) };
}

function packetsOf(file: string, wanted: ReadonlySet<number>): Uint8Array[] {
  const out: Uint8Array[] = [];
  let number = 0;
  for (const block of new PcapngReader().push(readFileSync(file))) if (block.kind === "packet" && wanted.has(++number)) out.push(new Uint8Array(block.packet.data.subarray(ethernet)));
  return out;
}
