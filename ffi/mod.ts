/**
 * Unix sockets with descriptor passing, owned file descriptors, and the error class of the package.
 *
 * Channels and shared cells are built on these and rarely need them; they are public for programs that hand open files
 * to others over a socket of their own, with plain `SCM_RIGHTS` that a C or Python program at the other end
 * understands.
 *
 * ```ts
 * import { IpcError, UnixSocket } from "@isthmus/ipc/ffi";
 * import { assertThrows } from "@std/assert";
 *
 * assertThrows(() => UnixSocket.connect("@nobody-listens-here"), IpcError, "nobody listens");
 * ```
 *
 * @module
 */
export { IpcError, type IpcErrorCode, type IpcErrorOptions } from "../base/error.ts";
export { IpcFd } from "./file/fd.ts";
export { type ReceivedFds, recvFds, recvFdsSync, sendFds, sendFdsSync } from "./socket/fd_passing.ts";
export { UnixSocket } from "./socket/unix_socket.ts";
export type { PeerCredentials, UnixListenOptions, UnixSocketOptions, UnixSocketType } from "./socket/socket_types.ts";
export type { SyncWaitOptions, WaitOptions } from "../base/wait.ts";
