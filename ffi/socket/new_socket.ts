// New sockets: never blocking, never inherited by a program that is started.
import { IpcFd } from "../file/fd.ts";
import { check, libc } from "../libc/libc.ts";
import { AF_UNIX, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_SEQPACKET, SOCK_STREAM } from "../libc/platform.ts";
import type { UnixSocketType } from "./socket_types.ts";

/** What `socketpair` has made. */
const fds = new Int32Array(2);

/** Two connected descriptors, not blocking. */
export function socketPair(type: UnixSocketType): [IpcFd, IpcFd] {
  const { c, errnoCell } = libc();
  check(c.socketpair(AF_UNIX, flagsOf(type), 0, fds), errnoCell[0]!, "socketpair", "Cannot create a pair of sockets");
  return [new IpcFd(fds[0]!), new IpcFd(fds[1]!)];
}

function flagsOf(type: UnixSocketType): number {
  return (type === "stream" ? SOCK_STREAM : SOCK_SEQPACKET) | SOCK_NONBLOCK | SOCK_CLOEXEC;
}

/** A socket that is not connected yet, not blocking. */
export function newSocket(type: UnixSocketType): IpcFd {
  const { c, errnoCell } = libc();
  return new IpcFd(check(c.socket(AF_UNIX, flagsOf(type), 0), errnoCell[0]!, "socket", "Cannot create a socket"));
}
