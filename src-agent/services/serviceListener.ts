import { constants } from "node:os";
import { check, lastErrno, libc, SystemCallError } from "../linux/libc.ts";
import { AF_INET6, readSockaddrIn6, sockaddrIn6, type Endpoint } from "../linux/sockaddr.ts";
import { fixReceiveBuffer } from "../linux/socketBuffer.ts";
import { IPPROTO_IPV6, IPPROTO_TCP, setInt, SOL_SOCKET } from "../linux/sockopt.ts";
import { detachFilter, limitUnsent } from "../linux/tcpRepair.ts";
import { Watch } from "../linux/watch.ts";
import { receiveLimit, unsentLimit } from "../tcp/restore.ts";

const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SO_REUSEADDR = 2;
const TCP_NODELAY = 1;
const IPV6_V6ONLY = 26;
const IPV6_FREEBIND = 78;
const backlog = 1024;
const acceptsPerTurn = 64;
/** The process or the host has no room for another socket: the next try is after this long, ms. */
const scarce: ReadonlySet<number> = new Set([constants.errno.EMFILE, constants.errno.ENFILE, constants.errno.ENOBUFS, constants.errno.ENOMEM]);
const scarceMs = 100;

/** The socket that listens at [X]:port. Its connections inherit what it has set: no delay, a short unsent queue. Accepts only while `accepting`. */
export class ServiceListener {
  readonly endpoint: Endpoint;
  readonly #fd: number;
  readonly #watch: Watch;
  readonly #onConnection: (fd: number, peer: Endpoint) => void;
  #accepting = false;
  #pause: NodeJS.Timeout | undefined;

  /** Throws SystemCallError; `EACCES` means that the port needs CAP_NET_BIND_SERVICE. */
  constructor(endpoint: Endpoint, onConnection: (fd: number, peer: Endpoint) => void) {
    this.endpoint = endpoint;
    this.#onConnection = onConnection;
    this.#fd = listen(endpoint);
    this.#watch = new Watch(this.#fd, {}, () => this.acceptWaiting(acceptsPerTurn));
    this.#watch.want({});
  }

  set accepting(on: boolean) {
    this.#accepting = on;
    this.#watch.want({ readable: on });
  }

  get fd(): number {
    return this.#fd;
  }

  /** Takes what the kernel has established already, at most `limit`. */
  acceptWaiting(limit = Number.POSITIVE_INFINITY): void {
    for (let i = 0; i < limit; i++) {
      const peer = Buffer.alloc(28);
      const length = Buffer.alloc(4);
      length.writeUInt32LE(28);
      const fd = libc.accept4(this.#fd, peer, length, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd >= 0) {
        // A listener's filter (synGuard) is inherited.
        detachFilter(fd);
        this.#onConnection(fd, readSockaddrIn6(peer));
      }
      if (fd >= 0) continue;
      const errno = lastErrno();
      if (scarce.has(errno)) return this.#waitForRoom();
      if (!goesOn(errno)) return;
    }
  }

  /** The socket stays readable: looked at at once again and again, it would leave no time for what could make room. */
  #waitForRoom(): void {
    this.#watch.want({});
    this.#pause ??= setTimeout(() => {
      this.#pause = undefined;
      this.#watch.want({ readable: this.#accepting });
    }, scarceMs);
  }

  close(): void {
    clearTimeout(this.#pause);
    this.#watch.close();
    libc.close(this.#fd);
  }
}

/** A connection that died while it waited is skipped; anything else, or nothing left, ends the turn. */
function goesOn(errno: number): boolean {
  return errno === constants.errno.ECONNABORTED || errno === constants.errno.EINTR;
}

function listen(endpoint: Endpoint): number {
  const where = `[${endpoint.address}]:${endpoint.port}`;
  const fd = check(libc.socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
  try {
    setInt(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1, "IPV6_V6ONLY");
    setInt(fd, IPPROTO_IPV6, IPV6_FREEBIND, 1, "IPV6_FREEBIND");
    setInt(fd, SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR");
    setInt(fd, IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY");
    limitUnsent(fd, unsentLimit);
    fixReceiveBuffer(fd, receiveLimit);
    const address = sockaddrIn6(endpoint);
    check(libc.bind(fd, address, address.length), `bind ${where}`);
    check(libc.listen(fd, backlog), `listen ${where}`);
    return fd;
  } catch (error) {
    libc.close(fd);
    if (error instanceof SystemCallError && error.code === "EACCES") throw new SystemCallError(`bind ${where} (ports below net.ipv4.ip_unprivileged_port_start need CAP_NET_BIND_SERVICE)`, error.errno);
    throw error;
  }
}
