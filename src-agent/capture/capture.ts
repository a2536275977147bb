import { hostname } from "node:os";
import type { Writable } from "node:stream";
import koffi from "koffi";
import { interfaceDescription, interfaceStatistics, PacketPen, sectionHeader } from "../../src-shared/pcapng/write.ts";
import { captureProgram, wholeFrame, type CaptureFilter } from "./filter.ts";
import { PacketRing } from "./ring.ts";

export interface CaptureOptions {
  readonly interface: string;
  /** Named in the file's interface block; the host's name by default. */
  readonly host?: string;
  /** Longest part kept of a TCP frame, bytes. Signalling and ICMPv6 are always kept whole. */
  readonly snaplen?: number;
  readonly filter?: CaptureFilter;
  /** TCP ports to leave out (both directions): by default 22, the lab's own SSH. */
  readonly withoutPorts?: readonly number[];
  readonly ringBytes?: number;
}

export interface CaptureResult {
  readonly received: number;
  /** Frames that passed the filter but found the ring full: a capture with any of these is not complete. */
  readonly dropped: number;
}

const defaults = { snaplen: 256, filter: "signalling-and-tcp" as CaptureFilter, withoutPorts: [22], ringBytes: 8 << 20 };

/**
 * Captures both directions of an interface as pcapng into `out`, until `stop` is aborted or `out` fails. The header is written once the
 * capture is live, so whoever reads it knows that later packets will not be missed. When `out` is slow the ring fills and frames are dropped and counted.
 */
export async function runCapture(options: CaptureOptions, out: Writable, stop: AbortSignal): Promise<CaptureResult> {
  const settings = { ...defaults, ...options };
  const host = options.host ?? hostname();
  const ring = new PacketRing(settings.interface, captureProgram(settings.filter, settings.snaplen, settings.withoutPorts), settings.snaplen, settings.ringBytes);
  out.on("error", () => {}); // seen as out.errored
  try {
    out.write(sectionHeader({ application: "anycast-lab agent", os: `Linux ${host}` }));
    out.write(interfaceDescription({ name: host, description: `${settings.interface} on ${host}`, filter: describeFilter(settings.filter, settings.withoutPorts), snaplen: wholeFrame }));
    while (!stop.aborted && !out.errored) {
      await readable(ring.fd, stop);
      const full = drainInto(ring, out);
      if (full && !out.destroyed) await drained(out, stop);
    }
    // What came later would be counted, but lie in a block that the kernel has not handed over yet; it does so once the block's time is up.
    ring.stop();
    await new Promise((resolve) => setTimeout(resolve, 2 * PacketRing.retireMs));
    drainInto(ring, out);
    const result = ring.statistics();
    if (!out.destroyed) out.write(interfaceStatistics({ interface: 0, timeNs: BigInt(Date.now()) * 1_000_000n, ...result }));
    return result;
  } finally {
    ring.close();
  }
}

const pieceLength = 1 << 18;
/** Larger than any frame that a ring block can hold. */
const longestFrame = 1 << 18;

/** Writes what is there, in large pieces. True when `out` asks for a pause. */
function drainInto(ring: PacketRing, out: Writable): boolean {
  let buffer = Buffer.allocUnsafe(pieceLength);
  let pen = new PacketPen(buffer);
  let full = false;
  const flush = () => {
    if (pen.length > 0) full = !out.write(buffer.subarray(0, pen.length)) || full;
  };
  ring.drain((seconds, nanoseconds, originalLength, outgoing, data) => {
    if (!pen.fits(data.length)) {
      flush();
      buffer = Buffer.allocUnsafe(Math.max(pieceLength, Math.min(longestFrame, data.length) + 64));
      pen = new PacketPen(buffer);
    }
    pen.packet(seconds, nanoseconds, originalLength, outgoing, data);
  });
  flush();
  return full;
}

/** Resolves when the kernel has handed over a block, or on `stop`. */
function readable(fd: number, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (stop.aborted) return resolve();
    const finish = () => {
      handle.close();
      stop.removeEventListener("abort", finish);
      resolve();
    };
    const handle = koffi.node.poll(fd, { readable: true }, finish);
    stop.addEventListener("abort", finish, { once: true });
  });
}

function drained(out: Writable, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const finish = () => {
      out.off("drain", finish).off("close", finish).off("error", finish);
      stop.removeEventListener("abort", finish);
      resolve();
    };
    out.once("drain", finish).once("close", finish).once("error", finish);
    stop.addEventListener("abort", finish, { once: true });
  });
}

function describeFilter(filter: CaptureFilter, withoutPorts: readonly number[]): string {
  return filter === "all" ? "everything" : `IPv6 signalling and TCP headers, without TCP port ${withoutPorts.join(", ")}`;
}
