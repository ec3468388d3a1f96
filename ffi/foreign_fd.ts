// Descriptors that came from a peer and that nobody will use.
import { libc } from "./libc.ts";
import type { IpcFd } from "./fd.ts";
import { fileStatus } from "./file_status.ts";
import { AF_UNIX, F_GET_SEALS, platform, SO_DOMAIN, SOL_SOCKET } from "./platform.ts";

const option = new Int32Array(1), optionBytes = new Uint8Array(option.buffer);
const optionLength = new Uint8Array(new Uint32Array([4]).buffer);

/**
 * Whether closing it may wait for somebody: a file of a FUSE or network file system is flushed first, a socket may linger,
 * a device may drain. Looking at it does not wait.
 */
function mayWait(fd: number): boolean {
  const { c } = libc();
  const status = fileStatus(fd);
  if (status === undefined || status.pipe || status.folder) return false;
  if (status.socket) {
    return c.getsockopt(fd, SOL_SOCKET, SO_DOMAIN, optionBytes, optionLength) !== 0 || option[0] !== AF_UNIX;
  }
  if (status.regular) return c.fcntl(fd, F_GET_SEALS, 0) < 0;
  return !status.anonymous;
}

/** Closes descriptors that a peer chose; what may make that wait is closed by another thread. */
export function closeForeign(fds: readonly IpcFd[]): void {
  for (const fd of fds) {
    if (fd.closed) continue;
    if (mayWait(fd.fd)) void closeElsewhere(fd.take());
    else fd.close();
  }
}

/** By a thread of a pool. The library stays open for as long as that takes, and no longer: it counts as a resource. */
async function closeElsewhere(fd: number): Promise<void> {
  const library = Deno.dlopen(platform().libc, {
    close: { parameters: ["i32"], result: "i32", nonblocking: true },
  });
  await library.symbols.close(fd);
  library.close();
}
