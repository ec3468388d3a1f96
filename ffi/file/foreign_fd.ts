// Descriptors that came from a peer and that nobody will use.
//
// Closing a file of FUSE or of a network waits until its server has answered, a socket may linger, and a device may drain:
// for as long as a peer likes. So what is not certainly harmless is closed by another thread. Finding that out waits for
// nobody.
import { closeTogether, IpcFd } from "./fd.ts";
import { fileStatus } from "./file_status.ts";
import { libc } from "../libc/libc.ts";
import { AF_UNIX, F_GET_SEALS, F_GETPIPE_SZ, SO_DOMAIN, SO_TYPE, SOCK_SEQPACKET } from "../libc/platform.ts";
import { socketOption } from "../libc/socket_option.ts";
import { runtime } from "../runtime/mod.ts";

/** What a descriptor is expected to be, which is asked first: a system call each. */
export type Expected = "memory" | "pipe" | "socket";

/** Whether an option of a socket says something; `false` of what is no socket. */
function says(fd: number, name: number, value: number): boolean {
  return socketOption(fd, name, 4)?.[0] === value;
}

/** Whether a descriptor is a Unix socket. */
export function isUnixSocket(fd: number): boolean {
  return says(fd, SO_DOMAIN, AF_UNIX);
}

/**
 * Whether a descriptor is a Unix socket for packets over a connection. By one for datagrams a peer could have this process speak to
 * some service: each datagram tells who has sent it.
 */
export function isPacketSocket(fd: number): boolean {
  return says(fd, SO_TYPE, SOCK_SEQPACKET) && isUnixSocket(fd);
}

const KINDS: readonly Expected[] = ["memory", "pipe", "socket"];

function isOfKind(fd: number, kind: Expected): boolean {
  if (kind === "socket") return isUnixSocket(fd);
  return libc().c.fcntl(fd, kind === "memory" ? F_GET_SEALS : F_GETPIPE_SZ, 0) >= 0;
}

function isHarmless(fd: number, expected: Expected): boolean {
  if (isOfKind(fd, expected)) return true;
  for (const kind of KINDS) if (kind !== expected && isOfKind(fd, kind)) return true;
  const status = fileStatus(fd);
  return status === undefined || status.folder || status.anonymous;
}

/** Closes a descriptor that a peer chose, without waiting for anybody. */
export function closeForeign(fd: IpcFd, expected: Expected = "socket"): void {
  if (fd.closed) return;
  if (isHarmless(fd.fd, expected)) fd.close();
  else void closeElsewhere(fd.take());
}

/**
 * Closes several, by fewer calls where their numbers are in a row.
 *
 * @param expected Of each.
 */
export function closeForeignTogether(fds: readonly IpcFd[], expected: readonly Expected[]): void {
  for (let i = 0; i < fds.length; i++) {
    const fd = fds[i]!;
    if (!fd.closed && !isHarmless(fd.fd, expected[i]!)) void closeElsewhere(fd.take());
  }
  closeTogether(fds);
}

/** Closes several. */
export function closeAllForeign(fds: readonly IpcFd[]): void {
  for (const fd of fds) closeForeign(fd);
}

/**
 * Ends what came in a message, and that nobody will get. A bare descriptor may be anything; all else has looked at its own.
 */
export function disposeForeign(traveller: Disposable): void {
  if (traveller instanceof IpcFd) closeForeign(traveller);
  else traveller[Symbol.dispose]();
}

/** By a thread of a pool. */
async function closeElsewhere(fd: number): Promise<void> {
  closeLater ??= runtime.onAnotherThread(libc().c.close_address, ["i32"]);
  await closeLater(fd);
}

let closeLater: ((fd: number) => Promise<number>) | undefined;
