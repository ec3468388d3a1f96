// A ring that has a name: a file at a path, and two doorbells beside it.
//
// ```text
// PATH        the ring, as drawn in channel/ring/layout.ts
// PATH.bell   rung by senders for the receiver
// PATH.room   rung by the receiver for senders that wait for room
// ```
//
// The file is born whole: made without a name, and linked to its path when it is a ring. Every process that is attached holds a
// shared lock on it, which the kernel drops when it dies; the one who gets it alone may remove the files. They are removed
// in an order that leaves the path for last, so that nobody attaches to a ring that has lost its bells.
import { modeOf, optionsOf } from "../../base/arguments.ts";
import { IpcError } from "../../base/error.ts";
import { makeNamedBell } from "../../ffi/event/named_bell.ts";
import { pauseSync } from "../../ffi/event/pause.ts";
import type { IpcFd } from "../../ffi/file/fd.ts";
import { tryLockFile } from "../../ffi/file/file_lock.ts";
import { type FileStatus, fileStatus, isSameFile } from "../../ffi/file/file_status.ts";
import { allocate } from "../../ffi/memory/storage.ts";
import { createUnnamed, publish, setLength, setMode } from "../../ffi/file/named_file.ts";
import { openFile, openIfThere } from "../../ffi/file/open.ts";
import { notRemoved, unlinkFile } from "../../ffi/file/unlink.ts";
import { type Trust, Trusted, userText } from "../../ffi/file/trust.ts";
import { BLOCK, dataOffset, HEADER_BYTES, ringSize } from "../ring/layout.ts";
import { RingPeek } from "./peek.ts";
import { capacityOf, RingMemory } from "../ring/memory.ts";
import type { NamedRing } from "../ring/named_ring.ts";

/**
 * How a named ring is to be made if it does not exist.
 *
 * @example A channel for all of a group
 * ```ts
 * import { IpcReceiver, IpcSender, type NamedChannelOptions } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const options: NamedChannelOptions = { capacity: 1 << 20, mode: 0o660, trust: { users: [1000, 1001] } };
 * const path = `/dev/shm/jobs-${crypto.randomUUID()}`;
 * using receiver = IpcReceiver.create<string>(path, options);
 * using sender = IpcSender.open<string>(path, options); // in another user's process
 * sender.sendSync("a job");
 * assertEquals(receiver.recvSync(), "a job");
 * sender.close(); // before the receiver, which removes the files then
 * ```
 */
export interface NamedChannelOptions {
  /**
   * Bytes that can wait in the channel, from 1 to 2^30; rounded up to a power of two, 64 KiB or more. No message can be
   * larger.
   *
   * @default 4194304
   */
  capacity?: number;
  /**
   * Permission bits of the files, whatever the umask. By default they are for this user alone.
   *
   * @default 0o600
   */
  mode?: number;
  /**
   * Whose channel is used, if another user has made it: see {@linkcode Trust}. Another user's is refused without it.
   *
   * @default "user"
   */
  trust?: Trust;
}

/** One attachment to a named ring. */
class RingFile implements NamedRing {
  readonly path: string;
  readonly memory: RingMemory;
  readonly bell: IpcFd;
  readonly room: IpcFd;
  readonly lock: IpcFd;

  constructor(path: string, memory: RingMemory, bell: IpcFd, room: IpcFd, lock: IpcFd) {
    this.path = path;
    this.memory = memory;
    this.bell = bell;
    this.room = room;
    this.lock = lock;
  }

  leave(unused?: () => boolean): void {
    if (unused !== undefined && tryLockFile(this.lock.fd, "alone") && unused()) {
      removeFiles(this.path, fileStatus(this.lock.fd));
    }
    for (const fd of [this.bell, this.room, this.lock]) fd.close();
  }
}

/** How often a path is looked up again while its files are just being removed. */
const ATTEMPTS = 1000;

const BELL = ".bell", ROOM = ".room";

/** The longest path, with what is appended to it. */
const PATH_LIMIT = 4096 - 8;

/** @throws {TypeError} If a path cannot be that of a named channel. */
export function checkPath(path: string): void {
  const rule = `the path of a named channel is 1 to ${PATH_LIMIT} bytes without NUL, and does not end in "/"`;
  if (typeof path !== "string" || path === "" || path.includes("\0") || path.endsWith("/")) {
    throw new TypeError(`Cannot use ${JSON.stringify(path)} as the path of a channel: ${rule}`);
  }
  if (path.startsWith("@")) {
    throw new TypeError(
      `Cannot use ${JSON.stringify(path)} as the path of a channel: names with "@" are those of servers, which are ` +
        `connected to; the path of a file begins with a folder, such as ${JSON.stringify(`./${path}`)}`,
    );
  }
  if (new TextEncoder().encode(path).length > PATH_LIMIT) {
    throw new TypeError(`Cannot use the path "${path.slice(0, 40)}…" for a channel: ${rule}`);
  }
}

/**
 * Attaches to the ring at a path; makes it if there is none. A ring that exists is never changed by this.
 *
 * @throws {IpcError} `Incompatible` if the path is something else, which is not touched; `Permission` if it is somebody
 * else's.
 */
export function openRingFile(path: string, options: NamedChannelOptions): NamedRing {
  checkPath(path);
  const what = `Cannot open the channel "${path}"`;
  const given = optionsOf(options, what);
  const capacity = capacityOf(given.capacity);
  const mode = modeOf(given.mode, "a channel");
  const trusted = new Trusted(given.trust, mode, what);
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const found = attach(path, what, trusted);
    if (found !== undefined) return found;
    create(path, what, capacity / BLOCK, mode, trusted);
  }
  throw new IpcError("System", `${what}: its files are removed and made again all the time`);
}

/** What lies at a path, if it may be the file of a ring; `undefined` if there is nothing. */
function lookAt(path: string, what: string): FileStatus | undefined {
  const status = fileStatus(path);
  if (status === undefined || status.regular) return status;
  const found = status.socket
    ? "the path is the socket of a server; use IpcServer.connect() or IpcSender.connect()"
    : `the path is ${status.folder ? "a folder" : "not a regular file"}, so not a channel; name a file`;
  throw new IpcError("Incompatible", `${what}: ${found}`);
}

/** `undefined` if there is no ring at the path (any more). */
function attach(path: string, what: string, trusted: Trusted): NamedRing | undefined {
  if (lookAt(path, what) === undefined) return undefined;
  const opened: IpcFd[] = [];
  let memory: RingMemory | undefined;
  const open = (name: string): [IpcFd, FileStatus] => {
    const fd = openFile(name, { access: "read-write" }, () => {
      const uid = fileStatus(name)?.uid;
      return `${what}, "${name}"${uid === undefined ? "" : ` of ${userText(uid)}`}`;
    });
    opened.push(fd);
    const status = fileStatus(fd.fd)!;
    trusted.check(status, what, name);
    return [fd, status];
  };
  try {
    const [lock, status] = open(path);
    for (let looks = 0; !tryLockFile(lock.fd, "shared"); looks++) {
      // Somebody removes it, in microseconds.
      if (looks >= ATTEMPTS) throw new IpcError("Incompatible", `${what}: another program has locked the file`);
      if (!isSameFile(status, path)) break;
      pauseSync(1);
    }
    if (!isSameFile(status, path)) {
      for (const fd of opened) fd.close();
      return undefined;
    }
    // Apart from the lock: a mapping keeps its open file alive, and that its locks. Looked at before the bells are: a path
    // that is something else must not get any.
    memory = RingMemory.attachFile(open(path)[0], `${what}: the file is not a channel`);
    // Made whole by this version. After a crash of the machine, or by another program, it may not be.
    allocate(lock.fd, 0, dataOffset(memory.blocks), what);
    const [bell, bellStatus] = open(path + BELL), [room, roomStatus] = open(path + ROOM);
    if (!bellStatus.pipe || !roomStatus.pipe) {
      throw new IpcError(
        "Incompatible",
        `${what}: "${path}${BELL}" and "${path}${ROOM}" must be its doorbells, and are not`,
      );
    }
    return new RingFile(path, memory, bell, room, lock);
  } catch (error) {
    memory?.release();
    for (const fd of opened) fd.close();
    if (error instanceof IpcError && error.code === "NotFound") return undefined; // one of the files is gone
    throw error;
  }
}

/** Makes a ring at a path, or what is missing beside one, unless somebody else does. */
function create(path: string, what: string, blocks: number, mode: number, trusted: Trusted): void {
  const folder = path.slice(0, path.lastIndexOf("/") + 1) || ".";
  const fd = createUnnamed(folder, what, `${what}: its folder must take unnamed files`);
  try {
    setLength(fd.fd, ringSize(blocks), what);
    // All but the data, now: a page that cannot be had later is a fault. The data is had as it is used, see ring/allocation.ts.
    allocate(fd.fd, 0, dataOffset(blocks), what);
    trusted.give(fd.fd, what);
    setMode(fd.fd, mode, what);
    RingMemory.format(fd.fd, blocks, HEADER_BYTES);
    // Of a ring that has lost its bells, those who may use it must get in.
    const theirs = lookAt(path, what)?.mode ?? mode;
    for (const suffix of [BELL, ROOM]) {
      makeNamedBell(path + suffix, theirs & 0o777, trusted, `${what}, "${path + suffix}"`);
    }
    publish(fd.fd, path, what); // unless somebody else has, who is attached to then
  } finally {
    fd.close();
  }
}

/**
 * The caller has the lock alone, or does not care who is attached.
 *
 * @returns 0, or why the first file which could not be removed stays: see {@linkcode notRemoved}.
 */
function removeFiles(path: string, status: FileStatus | undefined): number {
  if (status === undefined || !isSameFile(status, path)) return 0; // removed, and perhaps made again, by another
  for (const name of [path + ROOM, path + BELL, path]) {
    const failure = unlinkFile(name);
    if (failure !== 0) return failure;
  }
  return 0;
}

/**
 * Removes the files of a named ring, also another user's: nothing in them is relied on.
 *
 * @param unused Whether it may be removed; asked with the file open for nobody else, unless `force` is set.
 * @returns Whether it was removed.
 * @throws {IpcError} `Permission` if it cannot be removed.
 */
function removeRing(path: string, force: boolean, unused: (ring: RingPeek) => boolean): boolean {
  checkPath(path);
  const what = `Cannot remove the channel "${path}"`;
  if (lookAt(path, what) === undefined) return false;
  const ring = RingPeek.open(path);
  try {
    if (ring === undefined) return false;
    const lock = openIfThere(path, { access: "read", followLink: true }, () => what);
    try {
      if (lock === undefined) return false;
      const status = fileStatus(lock.fd)!;
      if (!force && !tryLockFile(lock.fd, "alone")) return false;
      if (!unused(ring)) return false;
      const failed = removeFiles(path, status);
      if (failed === 0) return true;
      throw notRemoved(what, "it", status.uid, failed);
    } finally {
      lock?.close();
    }
  } finally {
    ring?.close();
  }
}

/**
 * Removes the files of a named ring.
 *
 * @param force Also if a process is attached; they go on with each other, without a name.
 * @returns Whether it was removed.
 * @throws {IpcError} `Permission` if it cannot be removed.
 */
export function removeRingFile(path: string, force: boolean): boolean {
  return removeRing(path, force, () => true);
}

/**
 * Removes the files of a named ring that nobody is attached to and that nothing waits in. Nobody can attach between the
 * look and the removal: who tries makes a new ring.
 *
 * @returns Whether it was there, and was removed.
 * @throws {IpcError} `Permission` if it cannot be removed.
 */
export function removeEmptyRingFile(path: string): boolean {
  return removeRing(path, false, (ring) => {
    const { head, tail } = ring.counters();
    return head === tail;
  });
}
