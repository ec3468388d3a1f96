// Connecting to a name, and who is at the other end.
import { IpcError } from "../../base/error.ts";
import type { IpcFd } from "../file/fd.ts";
import { libc, systemError } from "../libc/libc.ts";
import { EAGAIN, ECONNREFUSED, EINTR, ENOENT, SO_PEERCRED } from "../libc/platform.ts";
import { socketOption } from "../libc/socket_option.ts";
import { UCRED } from "../libc/structs.ts";
import { newSocket } from "./new_socket.ts";
import { socketAddress } from "./socket_address.ts";
import type { PeerCredentials, UnixSocketType } from "./socket_types.ts";

/**
 * Connects to a listening socket. Does not wait: the connection stands as soon as it is queued there.
 *
 * @throws {IpcError} `NotFound` if no server listens there, `AlreadyExists` if its queue of clients is full, `Permission`,
 * `System` if the listener is of another type or there is no descriptor left.
 * @throws {TypeError} If the name is not one of a socket.
 */
export function connectTo(name: string, type: UnixSocketType): IpcFd {
  const { c, errnoCell } = libc();
  const address = socketAddress(name);
  const fd = newSocket(type);
  for (;;) {
    const result = c.connect(fd.fd, address, address.length);
    const errno = errnoCell[0]!;
    if (result === 0) return fd;
    if (errno === EINTR) continue;
    fd.close();
    if (errno === ENOENT || errno === ECONNREFUSED) {
      throw new IpcError("NotFound", `Cannot connect to "${name}": nobody listens there (any more)`, {
        errno,
        syscall: "connect",
      });
    }
    if (errno === EAGAIN) {
      throw new IpcError(
        "AlreadyExists",
        `Cannot connect to "${name}": its queue of clients is full; try again, or ask for a server of your own`,
        { errno, syscall: "connect" },
      );
    }
    throw systemError(`Cannot connect to "${name}"`, "connect", errno);
  }
}

/** Who is at the other end of a connected socket, as the kernel says. */
export function credentialsOf(socket: number): PeerCredentials {
  const words = socketOption(socket, SO_PEERCRED, UCRED.size);
  if (words === undefined) {
    throw systemError("Cannot read the credentials of a peer", "getsockopt", libc().errnoCell[0]!);
  }
  return { pid: words[UCRED.pid / 4]!, uid: words[UCRED.uid / 4]! >>> 0, gid: words[UCRED.gid / 4]! >>> 0 };
}
