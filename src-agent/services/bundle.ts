import { DecodeError } from "../../src-shared/bytes/decodeError.ts";
import { Reader } from "../../src-shared/bytes/reader.ts";
import { Writer } from "../../src-shared/bytes/writer.ts";
import { maximumAppState } from "../../src-shared/api/adapter.ts";
import { decodeSnapshot, encodeSnapshot, type TcpSnapshot } from "../tcp/snapshot.ts";

/** How far a connection's service has come with it. */
export const bundlePhases = ["fresh", "serving", "closing"] as const;
export type BundlePhase = (typeof bundlePhases)[number];

/** One moved connection: `fresh` ones have no service state yet, `closing` ones none any more. */
export interface BundleEntry {
  readonly service: string;
  readonly phase: BundlePhase;
  readonly state: Uint8Array;
  readonly tcp: TcpSnapshot;
}

export const bundleVersion = 1;
/** All of a client's connections with their queues, in bytes; more is refused at the donor. With its JSON it fits a frame between members. */
export const maximumBundleBytes = 63 * 1024 * 1024;
export const maximumBundleConnections = 4096;
const maximumSnapshot = 40 * 1024 * 1024;

/** | version 8 | connections 16 | each: phase 8 | name length 8 | name | state length 32 | snapshot length 32 | state | snapshot |. Throws RangeError over the limits. */
export function encodeBundle(entries: readonly BundleEntry[]): Uint8Array {
  if (entries.length > maximumBundleConnections) throw new RangeError(`${entries.length} connections, at most ${maximumBundleConnections} move together`);
  const parts: Uint8Array[] = [new Writer().u8(bundleVersion).u16(entries.length).bytes()];
  for (const { service, phase, state, tcp } of entries) {
    const name = Buffer.from(service);
    const snapshot = encodeSnapshot(tcp);
    parts.push(new Writer().u8(bundlePhases.indexOf(phase)).u8(name.length).put(name).u32(state.length).u32(snapshot.length).bytes(), state, snapshot);
  }
  const size = parts.reduce((sum, part) => sum + part.length, 0);
  if (size > maximumBundleBytes) throw new RangeError(`${size} bytes of connections, at most ${maximumBundleBytes} move together`);
  return Buffer.concat(parts, size);
}

/** Reads a peer's bundle. Throws DecodeError `truncated`, `version`, `range` or `trailing` naming the field. */
export function decodeBundle(bytes: Uint8Array): readonly BundleEntry[] {
  if (bytes.length > maximumBundleBytes) throw new DecodeError("range", "bundle", `${bytes.length} bytes, at most ${maximumBundleBytes}`);
  const r = new Reader(bytes);
  const version = r.u8("bundle version");
  if (version !== bundleVersion) throw new DecodeError("version", "bundle version", `${version}, this agent reads ${bundleVersion}`);
  const count = r.u16("connections");
  if (count > maximumBundleConnections) throw new DecodeError("range", "connections", `${count}, at most ${maximumBundleConnections}`);
  const entries = Array.from({ length: count }, () => readEntry(r));
  if (r.remaining > 0) throw new DecodeError("trailing", "bundle", `${r.remaining} bytes after its end`);
  return entries;
}

function readEntry(r: Reader): BundleEntry {
  const phase = bundlePhases[r.u8("phase")];
  if (!phase) throw new DecodeError("range", "phase");
  const service = Buffer.from(r.take(r.u8("service name length"), "service name")).toString("utf8");
  const stateLength = bounded(r.u32("state length"), maximumAppState, "state length");
  const snapshotLength = bounded(r.u32("snapshot length"), maximumSnapshot, "snapshot length");
  const state = r.take(stateLength, "state");
  return { service, phase, state, tcp: decodeSnapshot(r.take(snapshotLength, "snapshot")) };
}

function bounded(value: number, limit: number, field: string): number {
  if (value > limit) throw new DecodeError("range", field, `${value}, at most ${limit}`);
  return value;
}
