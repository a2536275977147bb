import { connect } from "node:net";
import type { Duplex } from "node:stream";
import { SshError, type SshErrorCode } from "./errors.ts";

/** Opens a TCP connection with Nagle's algorithm off (ssh2 would leave it on: 200 ms per exchange). Throws SshError: unreachable, refused, unresolved or timeout. */
export function dial(host: string, hostname: string, port: number, timeoutMs: number): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port, noDelay: true });
    const fail = (code: SshErrorCode, what: string, remedy: string, cause?: Error) => {
      clearTimeout(timer);
      socket.destroy();
      reject(new SshError({ code, host, what, remedy, cause, details: { address: hostname, port } }));
    };
    const timer = setTimeout(() => fail("ssh.timeout", `no answer from ${hostname} port ${port} within ${timeoutMs / 1000} s`, "Check that the host is up and that no firewall drops the connection."), timeoutMs);
    socket.once("connect", () => {
      clearTimeout(timer);
      socket.removeAllListeners("error");
      resolve(socket);
    });
    socket.once("error", (error: NodeJS.ErrnoException) => {
      const [code, what, remedy] = explain(error.code ?? "", hostname, port);
      fail(code, what, remedy, error);
    });
  });
}

function explain(errno: string, hostname: string, port: number): [SshErrorCode, string, string] {
  switch (errno) {
    case "ECONNREFUSED":
      return ["ssh.refused", `nothing listens on ${hostname} port ${port}`, "Start sshd on the host, or correct the port."];
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return ["ssh.unresolved", `the name ${hostname} does not resolve`, "Correct the host name, or add it to DNS or ~/.ssh/config."];
    default:
      return ["ssh.unreachable", `${hostname} port ${port} cannot be reached (${errno || "connection failed"})`, "Check the address, the host and the route to it."];
  }
}
