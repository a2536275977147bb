import { readFile } from "node:fs/promises";
import { addressBytes, type Address } from "../../src-shared/net/address.ts";

const synReceived = "03";

/**
 * Whether `client` has a handshake half done with [home]:ports: its SYN is answered, its ACK not here. Such a connection exists nowhere that we could
 * write down. Reading the kernel's table takes it some ms on hosts with large ones, so it is done off the event loop. False when it cannot be read.
 */
export async function handshakesUnderWay(home: Address, ports: readonly number[], client: Address): Promise<boolean> {
  let table: string;
  try {
    table = await readFile("/proc/self/net/tcp6", "latin1");
  } catch {
    return false;
  }
  const locals = ports.map((port) => `${hexAddress(home)}:${port.toString(16).toUpperCase().padStart(4, "0")}`);
  const remote = hexAddress(client);
  return table.split("\n").some((line) => {
    const [, local, peer, state] = line.trim().split(/\s+/);
    return state === synReceived && locals.includes(local ?? "") && (peer ?? "").startsWith(remote);
  });
}

/** As /proc/net/tcp6 prints it: four 32-bit words in the host's byte order. */
function hexAddress(address: Address): string {
  const bytes = addressBytes(address);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return [0, 4, 8, 12].map((at) => view.getUint32(at, true).toString(16).toUpperCase().padStart(8, "0")).join("");
}
