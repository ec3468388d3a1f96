// Names that are listened at: a file that a dead process left is replaced, that of a living one is not.
import { IpcError } from "../../base/error.ts";
import { IpcFd } from "../file/fd.ts";
import { type FileStatus, fileStatus, isSameFile } from "../file/file_status.ts";
import { check, cString, interrupted, libc, systemError } from "../libc/libc.ts";
import { EADDRINUSE, ECONNREFUSED, LOCK_EX, O_CLOEXEC, O_RDONLY } from "../libc/platform.ts";
import { OpenThing } from "../process/open_things.ts";
import { newSocket } from "./new_socket.ts";
import { isAbstract, socketAddress } from "./socket_address.ts";
import type { UnixSocketType } from "./socket_types.ts";

/** The path of a listening socket, and the file that was made for it. */
export class BoundPath extends OpenThing {
  /** The path. */
  readonly path: string;
  readonly #status: FileStatus | undefined;

  constructor(path: string) {
    super();
    this.path = path;
    this.#status = fileStatus(path);
    this.opened();
  }

  /** It stays, for the socket's present owner. */
  leave(): void {
    this.ended();
  }

  /** Removes it, if it is what the socket made: somebody may have replaced it. */
  override letGo(): void {
    this.ended();
    if (this.#status !== undefined && isSameFile(this.#status, this.path)) libc().c.unlink(cString(this.path));
  }
}

/**
 * Gives a socket its name.
 *
 * @throws {IpcError} `AlreadyExists` if another server listens there, or the path is some other file.
 */
export function bind(fd: number, name: string, type: UnixSocketType): void {
  const { c, errnoCell } = libc();
  const address = socketAddress(name);
  let result = c.bind(fd, address, address.length);
  let errno = errnoCell[0]!;
  if (result < 0 && errno === EADDRINUSE && !isAbstract(name)) {
    // Two servers may find the same stale file: the lock on the folder lets one look, remove and bind at a time.
    const folder = name.slice(0, name.lastIndexOf("/") + 1) || ".";
    const lock = new IpcFd(
      check(c.open(cString(folder), O_RDONLY | O_CLOEXEC, 0), errnoCell[0]!, "open", `Cannot listen at "${name}"`),
    );
    try {
      let locked: number, why: number;
      do {
        locked = c.flock(lock.fd, LOCK_EX);
        why = errnoCell[0]!;
      } while (interrupted(locked, why));
      check(locked, why, "flock", `Cannot listen at "${name}"`);
      if (isStale(name, type)) c.unlink(cString(name));
      result = c.bind(fd, address, address.length);
      errno = errnoCell[0]!;
    } finally {
      lock.close();
    }
  }
  if (result === 0) return;
  if (errno === EADDRINUSE) {
    const status = isAbstract(name) ? undefined : fileStatus(name);
    const found = status === undefined || status.socket
      ? "somebody listens there already; connect to it, or use another name"
      : `there is ${status.folder ? "a folder" : "some other file"}; use another path`;
    throw new IpcError(
      "AlreadyExists",
      `Cannot listen at "${name}": ${found}`,
      { errno, syscall: "bind" },
    );
  }
  throw systemError(`Cannot listen at "${name}"`, "bind", errno);
}

/**
 * Whether a path is the socket file of a dead process. Asked with the other type of socket: a living listener of
 * `type` answers EPROTOTYPE and notices nothing, so that probing never takes a client's place in its queue.
 */
function isStale(path: string, type: UnixSocketType): boolean {
  const { c, errnoCell } = libc();
  const probe = newSocket(type === "stream" ? "seqpacket" : "stream");
  try {
    const address = socketAddress(path);
    const result = c.connect(probe.fd, address, address.length);
    return result < 0 && errnoCell[0]! === ECONNREFUSED && fileStatus(path)?.socket === true;
  } finally {
    probe.close();
  }
}
