import type { MobilityPacket } from "./message.ts";

/** The packet in one line, for logs, the window and test failures. */
export function describe(_packet: MobilityPacket): string {
  throw new Error("not written yet");
}
