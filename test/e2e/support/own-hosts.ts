import { copyFileSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { readLab } from "../../../src-main/testbeds/labFile.ts";
import { labUp } from "../../../src-main/testbeds/local/labs.ts";
import { LabSandbox } from "../../support/lab.ts";
import type { Person } from "./person.ts";

export interface OwnHosts {
  /** Lines to paste: `user@[address]:port as name`. */
  readonly lines: readonly string[];
  /** Ends the hosts. */
  close(): Promise<void>;
}

/**
 * Hosts as a person would have them: each with its own sshd, reached through a port of this machine (as a forwarded port of a virtual machine is), let in
 * by the key in the person's ~/.ssh. They are hosts of a lab that the application knows nothing of.
 */
export async function ownHosts(person: Person, labText: string): Promise<OwnHosts> {
  const sandbox = new LabSandbox();
  const servers: Server[] = [];
  try {
    const lab = await labUp(await readLab(sandbox.file("own.yaml", labText)), { attached: true });
    copyFileSync(lab.folder.clientKey, join(person.home, ".ssh/id_ed25519"));
    const lines: string[] = [];
    for (const [index, { name }] of lab.hosts().entries()) {
      // Both address families, as people have.
      const address = index % 2 === 0 ? "::1" : "127.0.0.1";
      const server = createServer((socket) => splice(socket, lab.folder.sshSocket, name));
      servers.push(server);
      const port = await listen(server, address);
      lines.push(`lab@${address.includes(":") ? `[${address}]` : address}:${port} as ${name}`);
    }
    return { lines, close };
  } catch (error) {
    await close();
    throw error;
  }

  async function close(): Promise<void> {
    for (const server of servers) server.close();
    await sandbox.close();
  }
}

/** Joins a connection to a lab host's sshd; the gate answers OK first. */
function splice(socket: Socket, gate: string, host: string): void {
  const inner = connect(gate, () => inner.write(`CONNECT ${host}\n`));
  inner.once("data", (chunk: Buffer) => {
    const end = chunk.indexOf("\n");
    if (chunk.toString("latin1", 0, end) !== "OK") return void socket.destroy();
    socket.write(chunk.subarray(end + 1));
    inner.pipe(socket);
    socket.pipe(inner);
  });
  for (const [one, other] of [[socket, inner], [inner, socket]] as const) one.on("error", () => other.destroy()).on("close", () => other.destroy());
}

function listen(server: Server, address: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject).listen(0, address, () => resolve((server.address() as { port: number }).port));
  });
}
