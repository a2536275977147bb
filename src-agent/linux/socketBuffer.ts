import { getInt, setInt, SOL_SOCKET, trySetInt } from "./sockopt.ts";

const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;
const SO_BUF_LOCK = 72;
/** SOCK_RCVBUF_LOCK: the receive buffer keeps its size, the send buffer is tuned by the kernel. */
const lockReceive = 2;

/** The sizes as the kernel counts them, bookkeeping included: twice what is asked for. In bytes. */
export function bufferSizes(fd: number): { readonly send: number; readonly receive: number } {
  return { send: getInt(fd, SOL_SOCKET, SO_SNDBUF, "SO_SNDBUF"), receive: getInt(fd, SOL_SOCKET, SO_RCVBUF, "SO_RCVBUF") };
}

/**
 * Fixes the receive buffer at `bytes`, however large the host's default limit (CAP_NET_ADMIN). False without that right: the kernel goes on tuning it,
 * since its limit for everyone is too small for long paths.
 */
export function fixReceiveBuffer(fd: number, bytes: number): boolean {
  return trySetInt(fd, SOL_SOCKET, SO_RCVBUFFORCE, bytes);
}

/** Makes room for queues of these sizes at least; without CAP_NET_ADMIN as much of it as the host allows. Locks both until `tuneSendBuffer`. */
export function makeRoom(fd: number, room: { readonly send: number; readonly receive: number }): void {
  if (!trySetInt(fd, SOL_SOCKET, SO_SNDBUFFORCE, room.send)) setInt(fd, SOL_SOCKET, SO_SNDBUF, room.send, "SO_SNDBUF");
  if (!fixReceiveBuffer(fd, room.receive)) setInt(fd, SOL_SOCKET, SO_RCVBUF, room.receive, "SO_RCVBUF");
}

/** The kernel may tune the send buffer again, from where it is. */
export function tuneSendBuffer(fd: number): void {
  trySetInt(fd, SOL_SOCKET, SO_BUF_LOCK, lockReceive);
}
