import { readFile } from "node:fs/promises";
import { addressBytes, type Address } from "../../src-shared/net/address.ts";

const synReceived = "03";

/** A handshake half done: the client's SYN is answered, its ACK not here. Such a connection exists nowhere that we could write down. */
export interface Handshake {
  readonly port: number;
  readonly clientPort: number;
}

/**
 * The handshakes of `client` with [home]:ports that are half done. Reading the kernel's table takes it some ms on hosts with large ones, so it is done
 * off the event loop. None when it cannot be read.
 */
export async function handshakesUnderWay(home: Address, ports: readonly number[], client: Address): Promise<readonly Handshake[]> {
  let table: string;
  try {
    table = await readFile("/proc/self/net/tcp6", "latin1");
  } catch {
    return [];
  }
  return readHandshakes(table, home, ports, client);
}

/** From the text of /proc/net/tcp6. */
export function readHandshakes(table: string, home: Address, ports: readonly number[], client: Address): readonly Handshake[] {
  const [local, remote] = [hexAddress(home), hexAddress(client)];
  return table.split("\n").flatMap((line) => {
    const [, at, from, state] = line.trim().split(/\s+/);
    if (state !== synReceived || !at?.startsWith(`${local}:`) || !from?.startsWith(`${remote}:`)) return [];
    const [port, clientPort] = [at, from].map((end) => Number.parseInt(end.slice(33), 16)) as [number, number];
    return ports.includes(port) ? [{ port, clientPort }] : [];
  });
}

/** As /proc/net/tcp6 prints it: four 32-bit words in the host's byte order. */
function hexAddress(address: Address): string {
  const bytes = addressBytes(address);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return [0, 4, 8, 12].map((at) => view.getUint32(at, true).toString(16).toUpperCase().padStart(8, "0")).join("");
}
