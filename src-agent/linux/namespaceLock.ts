import { check, libc, SystemCallError } from "./libc.ts";

const AF_UNIX = 1;
const SOCK_DGRAM_CLOEXEC = 2 | 0x80000;

/**
 * Takes a name in this network namespace that only one process can have (an abstract Unix socket); it ends with the process. Returns what
 * gives it back. Throws `refusal` when another has it.
 */
export function holdNamespaceLock(name: string, refusal: string): () => void {
  const fd = check(libc.socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0), "socket(AF_UNIX)");
  const address = Buffer.alloc(3 + Buffer.byteLength(name));
  address.writeUInt16LE(AF_UNIX, 0);
  address.write(name, 3);
  try {
    check(libc.bind(fd, address, address.length), `bind(@${name})`);
  } catch (error) {
    libc.close(fd);
    if (error instanceof SystemCallError && error.code === "EADDRINUSE") throw new Error(refusal, { cause: error });
    throw error;
  }
  return () => void libc.close(fd);
}
