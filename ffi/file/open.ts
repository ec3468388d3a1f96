// Opening files: never waiting (the path may be that of a FIFO), never inherited by a program that is started.
import { cString, libc, systemError } from "../libc/libc.ts";
import { ENOENT, ENXIO, O_CLOEXEC, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY } from "../libc/platform.ts";
import { IpcFd } from "./fd.ts";
import { fileStatus } from "./file_status.ts";

/** What a file is opened for. */
export type Access = "read" | "write" | "read-write";

/** How a path is opened. */
export interface OpenOptions {
  /** What for. */
  readonly access: Access;
  /** Whether a link at the path is followed. @default false */
  readonly followLink?: boolean;
}

const FLAGS: Record<Access, number> = { read: O_RDONLY, write: O_WRONLY, "read-write": O_RDWR };

/** The descriptor, or the error number, negative. */
function open(path: string, { access, followLink = false }: OpenOptions): number {
  const { c, errnoCell, platform } = libc();
  const name = cString(path);
  const flags = FLAGS[access] | O_NONBLOCK | O_CLOEXEC | (followLink ? 0 : platform.O_NOFOLLOW);
  const fd = c.open(name, flags, 0);
  const errno = errnoCell[0]!;
  return fd >= 0 ? fd : -errno;
}

/**
 * Opens the file at a path, if there is one.
 *
 * @param what What was tried, for the message of an error; asked for only if there is one.
 * @returns `undefined` if there is nothing at the path.
 * @throws {IpcError} If it cannot be opened.
 */
export function openIfThere(path: string, options: OpenOptions, what: () => string): IpcFd | undefined {
  const fd = open(path, options);
  if (fd >= 0) return new IpcFd(fd);
  if (fd === -ENOENT) return undefined;
  throw systemError(what(), "open", -fd);
}

/**
 * Opens the file at a path.
 *
 * @param what What was tried, for the message of an error; asked for only if there is one.
 * @throws {IpcError} If it cannot be opened; `NotFound` if there is nothing at the path.
 */
export function openFile(path: string, options: OpenOptions, what: () => string): IpcFd {
  const fd = open(path, options);
  if (fd < 0) throw systemError(what(), "open", -fd);
  return new IpcFd(fd);
}

/** Opens the file at a path; `undefined` if that cannot be, for any reason. */
export function tryOpenFile(path: string, options: OpenOptions): IpcFd | undefined {
  const fd = open(path, options);
  return fd < 0 ? undefined : new IpcFd(fd);
}

/** Whether the file at a path is a pipe that nobody reads. */
export function isPipeWithoutReader(path: string): boolean {
  const fd = open(path, { access: "write" });
  if (fd >= 0) new IpcFd(fd).close();
  return fd === -ENXIO && fileStatus(path)?.pipe === true; // a socket that lies there is refused like that, too
}

/**
 * Opens a file once more, even if it has no name: with an offset, flags and locks of its own. A descriptor that came from
 * a process, or went to one, stands for the same description there.
 *
 * @returns The error number, negative, where the system does not let it be opened anew: without /proc, where a peer has
 * taken the permission away, or, of a pipe's writing end, where nobody listens any more.
 */
export function tryReopen(fd: number, access: Access): IpcFd | number {
  const own = open(`/proc/self/fd/${fd}`, { access, followLink: true });
  return own < 0 ? own : new IpcFd(own);
}

/**
 * The same, for reading and writing.
 *
 * @param what Begins the message of an error.
 * @throws {IpcError} If the system does not let it be opened anew.
 */
export function reopen(fd: number, what: string): IpcFd {
  const own = tryReopen(fd, "read-write");
  if (typeof own === "number") throw systemError(what, "open", -own);
  return own;
}
