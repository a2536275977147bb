import type { Writable } from "node:stream";
import { mergeCaptures, type MergedHost } from "../../capture/merge.ts";
import { captureCommand } from "./captures.ts";
import type { LabSession, SessionHost } from "./session.ts";

/** A host that has been quiet for this long holds up nobody else's packets. */
const patienceMs = 400;

/**
 * Streams what several hosts see as one pcapng, an interface per host, as it happens: `lab capture HOST… | wireshark -k -i -`. Ends when
 * `stop` is aborted, when `out` is closed (Wireshark was), or when every host's capture has ended.
 */
export async function liveCapture(
  session: Pick<LabSession, "agentCommand" | "spawn">,
  hosts: readonly SessionHost[],
  out: Writable,
  stop: AbortSignal,
  options: { readonly snaplen?: number; readonly filter?: "all" } = {},
): Promise<MergedHost[]> {
  const processes = await Promise.all(hosts.map((host) => session.spawn(host.name, captureCommand(session, host, options), { privileged: true })));
  const end = () => {
    for (const process of processes) process.endInput();
  };
  const abandon = () => {
    for (const process of processes) process.kill();
  };
  stop.addEventListener("abort", end, { once: true });
  out.once("close", abandon).once("error", abandon);
  try {
    for (const process of processes) process.stderr.resume();
    return await mergeCaptures(hosts.map((host, i) => ({ host: host.name, stream: (processes[i] as (typeof processes)[number]).stdout, correctionMs: 0 })), out, { patienceMs });
  } finally {
    stop.removeEventListener("abort", end);
    out.off("close", abandon).off("error", abandon);
    abandon();
  }
}
