import { check, libc } from "../linux/libc.ts";
import { AF_INET6, sockaddrIn6, type Endpoint } from "../linux/sockaddr.ts";
import { IPPROTO_IPV6, setInt } from "../linux/sockopt.ts";
import { AdapterProcess, type Log } from "./adapterProcess.ts";

const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const IPV6_V6ONLY = 26;
const IPV6_FREEBIND = 78;
/** Where the process finds its socket: after stdin, stdout and stderr. */
const inheritedFd = 3;

/**
 * A service of datagrams at [X]:port: a process without capabilities that inherits the UDP socket, bound by us, and so needs no right of its own.
 * There is nothing to move in a handoff: the data plane brings datagrams to the member that serves their client, where the same service runs.
 */
export class DatagramService {
  readonly #fd: number;
  readonly #process: AdapterProcess;

  /** `command` is completed with `--fd N`. Throws SystemCallError when the port cannot be had. */
  constructor(at: Endpoint, name: string, command: readonly string[], log: Log) {
    this.#fd = bound(at);
    this.#process = new AdapterProcess(name, [...command, "--fd", String(inheritedFd)], log, [this.#fd]);
  }

  /** Resolves when the process is gone. */
  async close(): Promise<void> {
    await this.#process.stop();
    libc.close(this.#fd);
  }
}

function bound(at: Endpoint): number {
  const fd = check(libc.socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
  try {
    setInt(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1, "IPV6_V6ONLY");
    setInt(fd, IPPROTO_IPV6, IPV6_FREEBIND, 1, "IPV6_FREEBIND");
    const address = sockaddrIn6(at);
    check(libc.bind(fd, address, address.length), `bind UDP [${at.address}]:${at.port}`);
    return fd;
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}
