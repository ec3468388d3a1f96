// A pipe that wakes a waiting peer: the ringer holds the write end, the listener the read end.
//
// The bytes mean nothing; what they announce is in shared memory. The kernel adds the two facts that shared memory
// cannot hold: end of file when every ringer is gone, an error when the listener is, also after SIGKILL.
import { watchReading } from "./adopt.ts";
import { IpcError } from "../../base/error.ts";
import { turned } from "../../base/event_loop.ts";
import { IpcFd } from "../file/fd.ts";
import { closeForeign } from "../file/foreign_fd.ts";
import { fileStatus } from "../file/file_status.ts";
import { tryReopen } from "../file/open.ts";
import { check, cString, libc } from "../libc/libc.ts";
import {
  EAGAIN,
  F_GETFL,
  O_CLOEXEC,
  O_NONBLOCK,
  O_RDONLY,
  O_RDWR,
  O_WRONLY,
  POLLERR,
  POLLHUP,
  POLLIN,
  SPLICE_F_NONBLOCK,
} from "../libc/platform.ts";
import type { DoorbellListener } from "../contract/doorbell.ts";
import { runtime } from "../runtime/mod.ts";
import type { ReadWatch } from "../runtime/runtime.ts";
import { pollBriefly } from "./brief_poll.ts";
import { pollUntil } from "./poll.ts";

/**
 * Ends whose open file a peer has as well, and could take O_NONBLOCK away from: a plain write to a full pipe, or a read of
 * an empty one, might never return.
 */
const shared = new WeakSet<IpcFd>();

/** Whether a peer can make plain writes and reads of this end block; see {@linkcode ringSharedBell}. */
export function isShared(fd: IpcFd): boolean {
  return shared.has(fd);
}

/** Which end of a doorbell. */
export type BellRole = "listen" | "ring";

/** The file system of unnamed pipes; known once one was made. */
let pipeDevice: string | undefined;

/** What `pipe2` has made. */
const fds = new Int32Array(2);

/** A new doorbell: the descriptor to listen on, and the descriptor to ring with. */
export function createDoorbell(): [listen: IpcFd, ring: IpcFd] {
  const { c, errnoCell } = libc();
  check(c.pipe2(fds, O_CLOEXEC | O_NONBLOCK), errnoCell[0]!, "pipe2", "Cannot create a doorbell");
  // A peer of another user may open its end anew, too. Nobody else can reach it: it has no name.
  c.fchmod(fds[0]!, 0o666);
  return [new IpcFd(fds[0]!), new IpcFd(fds[1]!)];
}

/**
 * An end of a doorbell that came from a peer, made this process's own: the peer shares the open file, and could take
 * O_NONBLOCK away from it.
 *
 * @param fd The end as it came; closed, or returned where the system does not let it be opened anew, and then
 * {@linkcode isShared}.
 * @param role Which end it must be.
 * @throws {IpcError} `Corrupt` if it is not a pipe, or the other end of one; it is closed then.
 */
export function privateEnd(fd: IpcFd, role: BellRole): IpcFd {
  checkEnd(fd, role);
  const own = openedAnew(fd, role);
  if (own !== undefined) fd.close();
  else shared.add(fd); // where nobody listens any more, or a peer has taken the permission away
  return own ?? fd;
}

/**
 * The ringing end of a doorbell that came from a peer, for somebody who will ring it a few times, or never: it is not opened
 * anew, which takes longer than all of these together. It {@linkcode isShared} then, until {@linkcode makeOwn}.
 *
 * @param fd The end as it came; it is what is returned, if that is how this system can ring it.
 * @throws {IpcError} `Corrupt` as {@linkcode privateEnd}.
 */
export function sharedEnd(fd: IpcFd): IpcFd {
  if (!canRingShared()) return privateEnd(fd, "ring");
  checkEnd(fd, "ring");
  shared.add(fd);
  return fd;
}

/** Makes a ringing end that {@linkcode isShared} this process's own, under the same number, if the system lets it. */
export function makeOwn(fd: IpcFd): void {
  const own = openedAnew(fd, "ring");
  if (own === undefined) return;
  if (libc().c.dup3(own.fd, fd.fd, O_CLOEXEC) >= 0) shared.delete(fd);
  own.close();
}

let ringsShared: boolean | undefined;

/** Whether the system has the call that {@linkcode ringSharedBell} makes: sandboxes may be without. */
function canRingShared(): boolean {
  if (ringsShared !== undefined) return ringsShared;
  const { c } = libc();
  if (c.pipe2(fds, O_CLOEXEC) < 0) return false; // no descriptors now
  ringsShared = ringSharedBell(fds[1]!);
  c.close(fds[0]!), c.close(fds[1]!);
  return ringsShared;
}

/** Closes what is not the end of a doorbell that it must be. */
function checkEnd(fd: IpcFd, role: BellRole): void {
  const problem = problemOf(fd.fd, role);
  if (problem === undefined) return;
  closeForeign(fd);
  throw new IpcError("Corrupt", `Cannot use the doorbell that a peer sent: ${problem}`);
}

/** Not a FIFO of some file system either: opening that may wait for the program behind it. */
function problemOf(fd: number, role: BellRole): string | undefined {
  const { c } = libc();
  const status = fileStatus(fd);
  if (status?.pipe !== true) return "it is not a pipe";
  if (pipeDevice === undefined) {
    if (c.pipe2(fds, O_CLOEXEC) === 0) {
      pipeDevice = fileStatus(fds[0]!)?.device;
      c.close(fds[0]!), c.close(fds[1]!);
    }
  }
  if (pipeDevice !== undefined && status.device !== pipeDevice) return "it is a FIFO with a name";
  const mode = c.fcntl(fd, F_GETFL, 0) & (O_WRONLY | O_RDWR);
  return mode === (role === "ring" ? O_WRONLY : O_RDONLY)
    ? undefined
    : `it is ${mode === O_RDWR ? "both ends" : "the other end"} of the pipe`;
}

/** Another open file for the ringing end of a doorbell, to give away; where there is none, both ends are shared. */
export function bellToGive(fd: IpcFd): IpcFd {
  const own = openedAnew(fd, "ring");
  if (own !== undefined) return own;
  shared.add(fd);
  return fd.clone();
}

/**
 * The ringing end of a doorbell that a peer is given as well, without being opened anew: it {@linkcode isShared} from now on.
 *
 * @returns What to give: this end, if that is how this system can ring it; else another, which is the caller's to close.
 */
export function endToShare(fd: IpcFd): IpcFd {
  if (!canRingShared()) return bellToGive(fd);
  shared.add(fd);
  return fd;
}

/**
 * The ringing end of a doorbell for this process alone, in place of one that peers were given, and could make block.
 *
 * @returns The end that was given where it cannot be opened anew; it {@linkcode isShared} then.
 */
export function ownEnd(given: IpcFd): IpcFd {
  const own = openedAnew(given, "ring");
  if (own === undefined) shared.add(given);
  return own ?? given;
}

/** Another open file for a pipe; `undefined` if no listener is left, without /proc, or for another user's pipe. */
function openedAnew(fd: IpcFd, role: BellRole): IpcFd | undefined {
  const own = tryReopen(fd.fd, role === "ring" ? "write" : "read");
  return typeof own === "number" ? undefined : own;
}

const ONE_BYTE = new Uint8Array([1]);
// One byte would do; more at once shortens the way back after a burst.
const DRAIN = new Uint8Array(4096);

/** As many reads as a pipe holds, and no more: a peer may write all the time. What is left only means one look more. */
const MOST_READS = 16;

/**
 * Wakes the listener.
 *
 * @returns `false` if no listener is left. A full pipe counts as rung: its reader has not seen the earlier bytes yet.
 */
export function ringBell(fd: number): boolean {
  const { c, errnoCell } = libc();
  if (c.write(fd, ONE_BYTE, 1n) >= 0) return true;
  return errnoCell[0]! === EAGAIN;
}

let oneByte: Uint8Array<ArrayBuffer> | undefined;

/** The same by an end that is {@linkcode isShared}: never blocks, whatever flags a peer has set. */
export function ringSharedBell(fd: number): boolean {
  const { c, errnoCell } = libc();
  if (oneByte === undefined) {
    const iovec = new BigUint64Array([runtime.address(runtime.pointerTo(ONE_BYTE)), 1n]);
    oneByte = new Uint8Array(iovec.buffer);
  }
  if (c.vmsplice(fd, oneByte, 1n, SPLICE_F_NONBLOCK) >= 0) return true;
  return errnoCell[0]! === EAGAIN;
}

/** Rings an end of either kind. */
export function ringAnyBell(fd: IpcFd): boolean {
  return shared.has(fd) ? ringSharedBell(fd.fd) : ringBell(fd.fd);
}

/** Whether anybody still holds the listening end, by one system call. */
export function hasListener(fd: number): boolean {
  return (pollUntil(fd, 0, 0) & POLLERR) === 0;
}

/** Takes the bytes out that ringers left. */
export function drain(fd: number): void {
  const { c } = libc();
  for (let i = 0; i < MOST_READS && c.read(fd, DRAIN, BigInt(DRAIN.length)) === DRAIN.length; i++);
}

/** Where the bytes of shared ends go. */
let nowhere = -1;

function drainShared(fd: number): void {
  const { c } = libc();
  if (nowhere < 0) nowhere = c.open(cString("/dev/null"), O_WRONLY | O_CLOEXEC, 0);
  c.splice(fd, null, nowhere, null, BigInt(MOST_READS * DRAIN.length), SPLICE_F_NONBLOCK);
}

/** Milliseconds between two looks at an end that is shared: the event loop's own reads could block. */
const SHARED_LOOK = 2;

/** What ended a wait for a doorbell. */
export type BellEvent = "rung" | "hangup" | "timeout";

/**
 * Whether the event loop calls for a doorbell that is not {@linkcode BellListener.awaited}. Where it does not, who keeps
 * the process alive by other means must say `awaited` as well.
 */
export const heardUnawaited: boolean = runtime.readsUnawaited;

/** How many doorbells of this isolate are awaited. */
let awaitedBells = 0;

/** Whether anybody in this isolate awaits a doorbell, and so needs the event loop. */
export function anyBellAwaited(): boolean {
  return awaitedBells > 0;
}

/** The listening end: blocking waits by `poll`, asynchronous ones by the event loop, without a thread. */
export class BellListener implements DoorbellListener {
  readonly #fd: IpcFd;
  readonly #shared: boolean;
  #watch: ReadWatch | undefined;
  /** In place of a watch, for an end that is shared. */
  #looks: ReturnType<typeof setInterval> | undefined;
  #onRing: (() => void) | undefined;
  /** Whether the watch has told all that it ever will. */
  #watchEnded = false;
  #awaited = false;

  /** Takes ownership of the listening descriptor. */
  constructor(fd: IpcFd) {
    this.#fd = fd;
    this.#shared = shared.has(fd);
  }

  /** The descriptor, still owned by this object. */
  get fd(): IpcFd {
    return this.#fd;
  }

  /** Blocks until rung, until every ringer is gone, or until the deadline. */
  waitSync(deadline: number): BellEvent {
    const events = pollUntil(this.#fd.fd, POLLIN, deadline);
    if ((events & POLLIN) !== 0) {
      this.clear();
      return "rung";
    }
    return events === 0 ? "timeout" : "hangup";
  }

  /** Blocks until rung, for some microseconds at most. */
  waitBriefly(microseconds: number): void {
    if ((pollBriefly(this.#fd.fd, microseconds) & POLLIN) !== 0) this.clear();
  }

  /** Takes the bytes out that ringers left, after a wait that was not this object's. */
  clear(): void {
    if (this.#shared) drainShared(this.#fd.fd);
    else drain(this.#fd.fd);
  }

  /** Whether every ringer is gone, by one system call. Bytes they left do not count. */
  get hungUp(): boolean {
    return (pollUntil(this.#fd.fd, 0, 0) & POLLHUP) !== 0;
  }

  /** The same for a caller whom the event loop calls later, if need be: no system call while it will tell by itself. */
  get hungUpUntold(): boolean {
    return (this.#watch === undefined || this.#watchEnded) && this.hungUp;
  }

  /**
   * Whether the event loop has come to the end of the pipe. Of a FIFO that was opened when all ringers were gone already,
   * that alone tells: `poll` knows a hang-up only of those that came later.
   */
  get ended(): boolean {
    return this.#watchEnded;
  }

  /**
   * Calls `onRing` from the event loop after every ring, and once when all ringers are gone, until {@linkcode close}.
   * Spurious calls happen. While {@linkcode awaited} is set, this keeps the process alive.
   */
  listen(onRing: () => void): void {
    this.#onRing = onRing;
    if (this.#watch !== undefined || this.#looks !== undefined) return;
    if (this.#shared) {
      this.#lookByTheClock();
      return;
    }
    this.#watchEnded = false;
    const onReady = () => {
      turned();
      this.#onRing?.();
    };
    this.#watch = watchReading(this.#fd, onReady, () => {
      this.#watchEnded = true;
      onReady();
    });
  }

  #lookByTheClock(): void {
    this.#looks = setInterval(() => {
      if (!this.#awaited) return;
      const events = pollUntil(this.#fd.fd, POLLIN, 0);
      if (events === 0) return;
      if ((events & POLLIN) !== 0) this.clear();
      this.#onRing?.();
    }, SHARED_LOOK);
    runtime.timerAwaited(this.#looks, false);
  }

  /**
   * Does not call anybody any more until {@linkcode listen} is called again: the listener may be forgotten meanwhile.
   */
  rest(): void {
    this.#onRing = undefined;
  }

  /** Whether the program is awaiting this doorbell, so that the process must not exit for want of work. */
  set awaited(value: boolean) {
    if (value === this.#awaited) return;
    this.#count(value);
    this.#watch?.awaited(value);
    if (this.#looks !== undefined) runtime.timerAwaited(this.#looks, value);
    // Code of the program may run inside these calls, and change its mind.
    if (this.#awaited !== value && value === false) this.#watch?.awaited(true);
  }

  #count(awaited: boolean): void {
    if (awaited !== this.#awaited) awaitedBells += awaited ? 1 : -1;
    this.#awaited = awaited;
  }

  /** Stops listening and closes the descriptor. */
  close(): void {
    this.stop();
    this.#fd.close();
  }

  /** Stops listening; the descriptor stays open. */
  stop(): void {
    this.#onRing = undefined;
    this.#watch?.close();
    this.#watch = undefined;
    clearInterval(this.#looks);
    this.#looks = undefined;
    this.#count(false);
  }
}
