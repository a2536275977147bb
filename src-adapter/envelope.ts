import { DecodeError } from "../src-shared/bytes/decodeError.ts";
import { Reader } from "../src-shared/bytes/reader.ts";
import { Writer } from "../src-shared/bytes/writer.ts";
import { maximumAppState } from "../src-shared/api/adapter.ts";

/** What this library adds to a service's own state when a connection moves. */
export interface Envelope {
  /** Written by the service, not yet taken by the kernel. */
  readonly pending: Uint8Array;
  readonly endWanted: boolean;
  readonly closeWanted: boolean;
  /** The service has heard of the client's end already. */
  readonly peerEndSeen: boolean;
  /** The service's own state. */
  readonly application: Uint8Array;
}

const version = 1;
const headBytes = 6;
const flag = { endWanted: 1, closeWanted: 2, peerEndSeen: 4 } as const;
/** Half of what a state may have, so that the service's own half always fits. In bytes. */
export const maximumPending = maximumAppState / 2 - headBytes;
export const maximumApplication = maximumAppState / 2;

/** | version 8 | flags 8 | pending length 32 | pending | application state |. Throws RangeError over the limits. */
export function encodeEnvelope(e: Envelope): Uint8Array {
  if (e.application.length > maximumApplication) throw new RangeError(`${e.application.length} bytes of service state, at most ${maximumApplication}`);
  const flags = (e.endWanted ? flag.endWanted : 0) | (e.closeWanted ? flag.closeWanted : 0) | (e.peerEndSeen ? flag.peerEndSeen : 0);
  return Buffer.concat([new Writer().u8(version).u8(flags).u32(e.pending.length).bytes(), e.pending, e.application]);
}

/** Throws DecodeError. */
export function decodeEnvelope(bytes: Uint8Array): Envelope {
  const r = new Reader(bytes);
  const found = r.u8("state version");
  if (found !== version) throw new DecodeError("version", "state version", `${found}, this service reads ${version}`);
  const flags = r.u8("state flags");
  const pending = r.take(r.u32("pending length"), "pending");
  return {
    pending,
    endWanted: (flags & flag.endWanted) !== 0,
    closeWanted: (flags & flag.closeWanted) !== 0,
    peerEndSeen: (flags & flag.peerEndSeen) !== 0,
    application: r.rest("application state"),
  };
}
