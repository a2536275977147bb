import { createSocket } from "node:dgram";

/** Answers that the kernel has not taken yet: beyond this, bytes, datagrams go unanswered. */
const queueLimit = 1 << 20;
/** Ports of services, which would answer an answer: two echoes must never talk to each other. */
const firstClientPort = 1024;

/**
 * Sends each datagram back to where it came from (RFC 862), from the inherited UDP socket `fd`, which is bound to X already. There is no state: what
 * is on its way during a handoff is answered by whichever member it reaches. Resolves when the socket is closed.
 */
export function udpEcho(fd: number): { readonly ended: Promise<string>; close(): void } {
  const socket = createSocket("udp6");
  const ended = new Promise<string>((resolve) => {
    socket.on("close", () => resolve("closed"));
    socket.on("error", (error) => resolve(`refused: ${error.message}`));
  });
  socket.on("message", (datagram, from) => {
    if (from.port < firstClientPort || from.port === socket.address().port || socket.getSendQueueSize() > queueLimit) return;
    // Errors about an answer (a client that is gone) concern that answer only.
    socket.send(datagram, from.port, from.address, () => {});
  });
  socket.bind({ fd });
  return { ended, close: () => socket.close() };
}
