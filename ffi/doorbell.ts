// A pipe that wakes a waiting peer: the ringer holds the write end, the listener the read end.
//
// The bytes mean nothing; what they announce is in shared memory. The kernel adds the two facts that shared memory
// cannot hold: end of file when every ringer is gone, an error when the listener is, also after SIGKILL.
import net from "node:net";
import { IpcError } from "./error.ts";
import { turned } from "./event_loop.ts";
import { IpcFd } from "./fd.ts";
import { fileStatus } from "./file_status.ts";
import { check, cString, libc } from "./libc.ts";
import { EAGAIN, O_CLOEXEC, O_NONBLOCK, O_WRONLY, POLLERR, POLLHUP, POLLIN } from "./platform.ts";
import { pollUntil } from "./poll.ts";

/** A new doorbell: the descriptor to listen on, and the descriptor to ring with. */
export function createDoorbell(): [listen: IpcFd, ring: IpcFd] {
  const { c, errnoCell } = libc();
  const fds = new Int32Array(2);
  check(c.pipe2(fds, O_CLOEXEC | O_NONBLOCK), errnoCell[0]!, "pipe2", "Cannot create a doorbell");
  return [new IpcFd(fds[0]!), new IpcFd(fds[1]!)];
}

/**
 * An end of a doorbell that came from a peer, made this process's own: the peer shares the open file, and could take
 * O_NONBLOCK away from it, so that a write to a full pipe, or a read from an emptied one, never returns.
 *
 * @param fd The end as it came; closed, or returned where the system does not let it be opened anew.
 * @param flags `O_RDONLY` for the listening end, `O_WRONLY` for the other.
 * @throws {IpcError} `Corrupt` if it is no pipe; it is closed then.
 */
export function privateEnd(fd: IpcFd, flags: number): IpcFd {
  if (fileStatus(fd.fd)?.pipe !== true) {
    fd.close();
    throw new IpcError("Corrupt", "Cannot use the doorbell that a peer sent: it is not a pipe");
  }
  const own = openedAnew(fd, flags);
  if (own === undefined) return fd; // where nobody listens any more nothing blocks
  fd.close();
  return own;
}

/** Another open file for the ringing end of a doorbell, to give away. */
export function ringToGive(fd: IpcFd): IpcFd {
  return openedAnew(fd, O_WRONLY) ?? fd.clone();
}

/** Another open file for a pipe; `undefined` if nobody listens any more, without /proc, or for another user's pipe. */
function openedAnew(fd: IpcFd, flags: number): IpcFd | undefined {
  const own = libc().c.open(cString(`/proc/self/fd/${fd.fd}`), flags | O_NONBLOCK | O_CLOEXEC, 0);
  return own < 0 ? undefined : new IpcFd(own);
}

const ONE_BYTE = new Uint8Array([1]);
// One byte would do; more at once shortens the way back after a burst.
const DRAIN = new Uint8Array(4096);

/**
 * Wakes the listener.
 *
 * @returns `false` if no listener is left. A full pipe counts as rung: its reader has not seen the earlier bytes yet.
 */
export function ring(fd: number): boolean {
  const { c, errnoCell } = libc();
  if (c.write(fd, ONE_BYTE, 1n) >= 0) return true;
  return errnoCell[0]! === EAGAIN;
}

/** Whether anybody still holds the listening end, by one system call. */
export function hasListener(fd: number): boolean {
  return (pollUntil(fd, 0, 0) & POLLERR) === 0;
}

/** Takes the bytes out that ringers left. */
export function drain(fd: number): void {
  const { c } = libc();
  while (c.read(fd, DRAIN, BigInt(DRAIN.length)) === DRAIN.length);
}

/** What ended a wait for a doorbell. */
export type BellEvent = "rung" | "hangup" | "timeout";

/** The listening end: blocking waits by `poll`, asynchronous ones by the event loop, without a thread. */
export class BellListener {
  readonly #fd: IpcFd;
  #socket: net.Socket | undefined;
  #onRing: (() => void) | undefined;
  #awaited = false;

  /** Takes ownership of the listening descriptor. */
  constructor(fd: IpcFd) {
    this.#fd = fd;
  }

  /** The descriptor, still owned by this object. */
  get fd(): IpcFd {
    return this.#fd;
  }

  /** Blocks until rung, until every ringer is gone, or until the deadline. */
  waitSync(deadline: number): BellEvent {
    const events = pollUntil(this.#fd.fd, POLLIN, deadline);
    if ((events & POLLIN) !== 0) {
      drain(this.#fd.fd);
      return "rung";
    }
    return events === 0 ? "timeout" : "hangup";
  }

  /** Takes the bytes out that ringers left, after a wait that was not this object's. */
  clear(): void {
    drain(this.#fd.fd);
  }

  /** Whether every ringer is gone, by one system call. Bytes they left do not count. */
  get hungUp(): boolean {
    return (pollUntil(this.#fd.fd, 0, 0) & POLLHUP) !== 0;
  }

  /**
   * Calls `onRing` from the event loop after every ring, and once when all ringers are gone, until {@linkcode close}.
   * Spurious calls happen. While {@linkcode awaited} is set, this keeps the process alive.
   */
  listen(onRing: () => void): void {
    this.#onRing = onRing;
    if (this.#socket !== undefined) return;
    // Node's socket closes the descriptor it is given, in its own time; so it gets one of its own.
    const fd = this.#fd.clone().take();
    const socket = new net.Socket({ fd, readable: true, writable: false });
    const rung = () => {
      turned();
      this.#onRing?.();
    };
    socket.on("data", rung);
    socket.on("end", rung);
    socket.on("error", rung);
    socket.unref();
    this.#socket = socket;
  }

  /** Whether the program is awaiting this doorbell, so that the process must not exit for want of work. */
  set awaited(value: boolean) {
    if (value === this.#awaited) return;
    this.#awaited = value;
    if (value) this.#socket?.ref();
    else this.#socket?.unref();
    // Code of the program may run inside these calls, and change its mind.
    if (this.#awaited !== value && value === false) this.#socket?.ref();
  }

  /** Stops listening and closes the descriptor. */
  close(): void {
    this.stop();
    this.#fd.close();
  }

  /** Stops listening; the descriptor stays open. */
  stop(): void {
    this.#onRing = undefined;
    this.#socket?.destroy();
    this.#socket = undefined;
    this.#awaited = false;
  }
}
