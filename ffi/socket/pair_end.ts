// What one end of a pair of sockets can do to the other, and see of it, beside sending and receiving.
import type { IpcFd } from "../file/fd.ts";
import { check, libc } from "../libc/libc.ts";
import { SHUT_RD, SIOCOUTQ } from "../libc/platform.ts";

/** Makes the other end of a pair unable to send; what it has sent can still be received. */
export function stopReceiving(socket: IpcFd): void {
  const { c, errnoCell } = libc();
  check(c.shutdown(socket.fd, SHUT_RD), errnoCell[0]!, "shutdown", "Cannot end a socket");
}

const unread = new Int32Array(1), unreadBytes = new Uint8Array(unread.buffer);

/** Whether something that was sent by a socket has not been received; `true` where the system cannot tell. */
export function hasUnreceived(socket: IpcFd): boolean {
  unread[0] = 1;
  return libc().c.ioctl(socket.fd, BigInt(SIOCOUTQ), unreadBytes) < 0 || unread[0] !== 0;
}
