import { constants } from "node:os";
import koffi from "koffi";

const lib = koffi.load("libc.so.6");

/** The libc functions we call, by their C prototypes. Buffers pass as pointers; `koffi.address(buffer)` gives one for structs. */
export const libc = {
  socket: lib.func("int socket(int, int, int)") as (domain: number, type: number, protocol: number) => number,
  close: lib.func("int close(int)") as (fd: number) => number,
  open: lib.func("int open(const char *, int)") as (path: string, flags: number) => number,
  bind: lib.func("int bind(int, const void *, uint32_t)") as (fd: number, address: Buffer, length: number) => number,
  listen: lib.func("int listen(int, int)") as (fd: number, backlog: number) => number,
  accept4: lib.func("int accept4(int, void *, void *, int)") as (fd: number, address: Buffer | null, length: Buffer | null, flags: number) => number,
  connect: lib.func("int connect(int, const void *, uint32_t)") as (fd: number, address: Buffer, length: number) => number,
  getsockname: lib.func("int getsockname(int, void *, void *)") as (fd: number, address: Buffer, length: Buffer) => number,
  getpeername: lib.func("int getpeername(int, void *, void *)") as (fd: number, address: Buffer, length: Buffer) => number,
  ioctl: lib.func("int ioctl(int, unsigned long, void *)") as (fd: number, request: number, argument: Buffer) => number,
  ioctlValue: lib.func("int ioctl(int, unsigned long, unsigned long)") as (fd: number, request: number, value: number) => number,
  setsockopt: lib.func("int setsockopt(int, int, int, const void *, uint32_t)") as (fd: number, level: number, option: number, value: Buffer, length: number) => number,
  getsockopt: lib.func("int getsockopt(int, int, int, void *, void *)") as (fd: number, level: number, option: number, value: Buffer, length: Buffer) => number,
  read: lib.func("long read(int, void *, size_t)") as (fd: number, buffer: Buffer | bigint, length: number) => number,
  write: lib.func("long write(int, const void *, size_t)") as (fd: number, buffer: Buffer | Uint8Array | bigint, length: number) => number,
  send: lib.func("long send(int, const void *, size_t, int)") as (fd: number, buffer: Buffer | Uint8Array | bigint, length: number, flags: number) => number,
  sendto: lib.func("long sendto(int, const void *, size_t, int, const void *, uint32_t)") as (
    fd: number,
    buffer: Buffer | Uint8Array | bigint,
    length: number,
    flags: number,
    address: Buffer,
    addressLength: number,
  ) => number,
  recv: lib.func("long recv(int, void *, size_t, int)") as (fd: number, buffer: Buffer | bigint, length: number, flags: number) => number,
  recvfrom: lib.func("long recvfrom(int, void *, size_t, int, void *, void *)") as (
    fd: number,
    buffer: Buffer | bigint,
    length: number,
    flags: number,
    address: Buffer,
    addressLength: Buffer,
  ) => number,
  recvmmsg: lib.func("int recvmmsg(int, void *, unsigned int, int, void *)") as (fd: number, messages: Buffer, count: number, flags: number, timeout: Buffer | null) => number,
  sendmmsg: lib.func("int sendmmsg(int, void *, unsigned int, int)") as (fd: number, messages: Buffer, count: number, flags: number) => number,
  sendmsg: lib.func("long sendmsg(int, const void *, int)") as (fd: number, message: Buffer, flags: number) => number,
  recvmsg: lib.func("long recvmsg(int, void *, int)") as (fd: number, message: Buffer, flags: number) => number,
  shutdown: lib.func("int shutdown(int, int)") as (fd: number, how: number) => number,
  socketpair: lib.func("int socketpair(int, int, int, void *)") as (domain: number, type: number, protocol: number, fds: Buffer) => number,
  poll: lib.func("int poll(void *, unsigned long, int)") as (fds: Buffer, count: number, timeoutMs: number) => number,
  ppoll: lib.func("int ppoll(void *, unsigned long, void *, void *)") as (fds: Buffer, count: number, timeout: Buffer | null, mask: null) => number,
  fcntl: lib.func("int fcntl(int, int, int)") as (fd: number, command: number, argument: number) => number,
  dup: lib.func("int dup(int)") as (fd: number) => number,
  prctl: lib.func("int prctl(int, unsigned long, unsigned long, unsigned long, unsigned long)") as (option: number, a: number, b: number, c: number, d: number) => number,
  setns: lib.func("int setns(int, int)") as (fd: number, type: number) => number,
  eventfd: lib.func("int eventfd(unsigned int, int)") as (initial: number, flags: number) => number,
  ifNameToIndex: lib.func("unsigned int if_nametoindex(const char *)") as (name: string) => number,
  syscall: lib.func("long syscall(long, long, void *, long)") as (number: number, a: number, b: Buffer, c: number) => number,
  clockGettime: lib.func("int clock_gettime(int, void *)") as (clock: number, timespec: Buffer) => number,
};

/** A failed system call: which one, on what, and the kernel's reason. `code` is the errno's name (ENOENT, EPERM, …). */
export class SystemCallError extends Error {
  readonly code: string;
  readonly errno: number;
  constructor(what: string, errno: number) {
    const code = errnoName(errno);
    super(`${what}: ${code}`);
    this.code = code;
    this.errno = errno;
  }
}

/** The first name of a value that has two (EAGAIN, not EWOULDBLOCK). Made once: data paths ask at every read that would block. */
const errnoNames: ReadonlyMap<number, string> = new Map(Object.entries(constants.errno).toReversed().map(([name, value]) => [value, name]));

/** The name of an errno value, or `errno N`. */
export function errnoName(errno: number): string {
  return errnoNames.get(errno) ?? `errno ${errno}`;
}

/** The calling thread's errno after a failed libc call. */
export function lastErrno(): number {
  return koffi.errno();
}

/** Passes a call's result through, or throws a SystemCallError saying what was being done. */
export function check(result: number, what: string): number {
  if (result < 0) throw new SystemCallError(what, koffi.errno());
  return result;
}

/** The address of a buffer's first byte, for structs that hold pointers. The caller keeps the buffer alive while the kernel may use it. */
export function pointerTo(buffer: Buffer | Uint8Array): bigint {
  return BigInt(koffi.address(buffer) as bigint | number);
}
