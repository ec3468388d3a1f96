// A ring that has a name: a file at a path, and two FIFOs beside it.
//
// ```text
// PATH        the ring, as drawn in ring_layout.ts
// PATH.bell   rung by senders for the receiver
// PATH.room   rung by the receiver for senders that wait for room
// ```
//
// The file is born whole: made without a name, and linked to its path when it is a ring. Whoever is attached holds a
// shared lock on it, which the kernel drops when it dies; whoever gets it alone may remove the files. They are removed
// in an order that leaves the path for last, so that nobody attaches to a ring that has lost its bells.
import { modeOf, optionsOf } from "../ffi/arguments.ts";
import { IpcError } from "../ffi/error.ts";
import { IpcFd } from "../ffi/fd.ts";
import { tryLockFile } from "../ffi/file_lock.ts";
import { fileStatus, isSameFile } from "../ffi/file_status.ts";
import { check, cString, libc, systemError } from "../ffi/libc.ts";
import { allocate } from "../ffi/mapping.ts";
import { AT_FDCWD, AT_SYMLINK_FOLLOW, EEXIST, ENOENT, O_CLOEXEC, O_NONBLOCK, O_RDWR } from "../ffi/platform.ts";
import { CELL, DATA_START, HEADER_BYTES, ringSize, W_HEAD, W_TAIL } from "./ring_layout.ts";
import { capacityOf, RingMemory } from "./ring_memory.ts";

/**
 * How a named ring is to be made if it does not exist.
 *
 * @example A channel for all of a group
 * ```ts
 * import { IpcReceiver, IpcSender, type NamedChannelOptions } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const options: NamedChannelOptions = { capacity: 1 << 20, mode: 0o660 };
 * const path = `/dev/shm/jobs-${crypto.randomUUID()}`;
 * using receiver = IpcReceiver.create<string>(path, options);
 * using sender = IpcSender.open<string>(path); // in another process, usually
 * sender.sendSync("a job");
 * assertEquals(receiver.recvSync(), "a job");
 * sender.close(); // before the receiver, which removes the files then
 * ```
 */
export interface NamedChannelOptions {
  /**
   * Bytes that can wait in the channel, from 1 to 2^30; rounded up to a power of two, 64 KiB or more. 4 MiB unless told.
   * No message can be larger.
   */
  capacity?: number;
  /** Permission bits of the files, whatever the umask; 0o600, for this user alone, unless told. */
  mode?: number;
}

/** One attachment to a named ring. */
export interface RingFile {
  readonly path: string;
  readonly memory: RingMemory;
  /** Both directions of it are open, so that neither end ever sees the end of the other. */
  readonly bell: IpcFd;
  readonly room: IpcFd;
  /** Holds the shared lock. */
  readonly lock: IpcFd;
}

/** How often a path is looked up again while its files are just being removed. */
const ATTEMPTS = 1000;

const BELL = ".bell", ROOM = ".room";

/** The longest path, with what is appended to it. */
const PATH_LIMIT = 4096 - 8;

function checkPath(path: string): void {
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
 * @throws {IpcError} `Incompatible` if the path is something else, which is not touched.
 */
export function openRingFile(path: string, options: NamedChannelOptions): RingFile {
  checkPath(path);
  const what = `Cannot open the channel "${path}"`;
  const given = optionsOf(options, what);
  const capacity = capacityOf(given.capacity);
  const mode = modeOf(given.mode, "a channel");
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const found = attach(path, what);
    if (found !== undefined) return found;
    create(path, what, capacity / CELL, mode);
  }
  throw new IpcError("System", `${what}: its files are removed and made again all the time`);
}

/** `undefined` if there is no ring at the path (any more). */
function attach(path: string, what: string): RingFile | undefined {
  const { c, errnoCell } = libc();
  const status = fileStatus(path);
  if (status === undefined) return undefined;
  if (!status.regular) {
    const found = status.socket
      ? "the path is the socket of a server; use IpcServer.connect() or IpcSender.connect()"
      : `the path is ${status.folder ? "a folder" : "not a regular file"}, so not a channel; name a file`;
    throw new IpcError("Incompatible", `${what}: ${found}`);
  }
  const opened: IpcFd[] = [];
  let memory: RingMemory | undefined;
  const open = (name: string): IpcFd => {
    const fd = c.open(cString(name), O_RDWR | O_NONBLOCK | O_CLOEXEC, 0);
    const errno = errnoCell[0]!;
    if (fd < 0) throw systemError(`${what}, "${name}"`, "open", errno);
    const owner = new IpcFd(fd);
    opened.push(owner);
    return owner;
  };
  try {
    const lock = open(path);
    for (let spins = 0; !tryLockFile(lock.fd, "shared"); spins++) {
      // Somebody removes it, in microseconds.
      if (spins > 1_000_000) throw new IpcError("Incompatible", `${what}: another program has locked the file`);
      if (fileStatus(path) === undefined) break;
    }
    if (!isSameFile(fileStatus(lock.fd)!, path)) {
      for (const fd of opened) fd.close();
      return undefined;
    }
    // Apart from the lock: a mapping keeps its open file alive, and that its locks. Looked at before the FIFOs are: a path
    // that is something else must not get any.
    memory = RingMemory.attachFile(open(path), `${what}: the file is not a channel`);
    const bell = open(path + BELL), room = open(path + ROOM);
    for (const fifo of [bell, room]) {
      if (fileStatus(fifo.fd)?.pipe !== true) {
        throw new IpcError("Incompatible", `${what}: "${path}${BELL}" and "${path}${ROOM}" must be FIFOs`);
      }
    }
    return { path, memory, bell, room, lock };
  } catch (error) {
    memory?.release();
    for (const fd of opened) fd.close();
    if (error instanceof IpcError && error.errno === ENOENT) return undefined;
    throw error;
  }
}

/** Makes a ring at a path, unless somebody else does. */
function create(path: string, what: string, cells: number, mode: number): void {
  const { c, errnoCell, platform } = libc();
  for (const suffix of [BELL, ROOM]) {
    const made = c.mkfifo(cString(path + suffix), mode);
    const errno = errnoCell[0]!;
    if (made < 0 && errno === ENOENT) {
      throw new IpcError("NotFound", `${what}: its folder does not exist; make it first, or use another`, {
        errno,
        syscall: "mkfifo",
      });
    }
    if (made < 0 && errno !== EEXIST) throw systemError(`${what}, "${path}${suffix}"`, "mkfifo", errno);
    if (made === 0) setMode(path + suffix, mode); // whatever the umask says
  }
  const folder = path.slice(0, path.lastIndexOf("/") + 1) || ".";
  const opened = c.open(cString(folder), platform.O_TMPFILE | O_RDWR | O_CLOEXEC, 0o600);
  const fd = new IpcFd(check(opened, errnoCell[0]!, "open", `${what}: its folder must take unnamed files`));
  try {
    check(c.ftruncate(fd.fd, BigInt(ringSize(cells))), errnoCell[0]!, "ftruncate", what);
    // What every ring touches, now: a page that cannot be had later is a fault. The data is had as it is used.
    allocate(fd.fd, 0, DATA_START, what);
    check(c.fchmod(fd.fd, mode), errnoCell[0]!, "fchmod", what);
    RingMemory.format(fd.fd, cells, HEADER_BYTES);
    const source = cString(`/proc/self/fd/${fd.fd}`);
    const linked = c.linkat(AT_FDCWD, source, AT_FDCWD, cString(path), AT_SYMLINK_FOLLOW);
    const errno = errnoCell[0]!;
    if (linked < 0 && errno !== EEXIST) throw systemError(what, "linkat", errno);
  } finally {
    fd.close();
  }
}

function setMode(path: string, mode: number): void {
  const { c } = libc();
  const fd = c.open(cString(path), O_RDWR | O_NONBLOCK | O_CLOEXEC, 0);
  if (fd < 0) return;
  c.fchmod(fd, mode);
  c.close(fd);
}

/**
 * Gives an attachment up; releasing the memory is up to the caller.
 *
 * @param unused Asked once nobody else is attached, or can attach: whether to remove the files.
 */
export function leaveRingFile(
  file: Pick<RingFile, "path" | "bell" | "room" | "lock">,
  unused?: () => boolean,
): void {
  if (unused !== undefined && tryLockFile(file.lock.fd, "alone") && unused()) removeFiles(file.path, file.lock.fd);
  for (const fd of [file.bell, file.room, file.lock]) fd.close();
}

/** The caller has the lock alone, or does not care who is attached. */
function removeFiles(path: string, fd: number): void {
  const { c } = libc();
  const status = fileStatus(fd);
  if (status === undefined || !isSameFile(status, path)) return; // removed, and perhaps made again, by somebody else
  c.unlink(cString(path + ROOM));
  c.unlink(cString(path + BELL));
  c.unlink(cString(path));
}

/**
 * Removes the files of a named ring.
 *
 * @param force Also if somebody is attached; they go on with each other, without a name.
 * @returns Whether it was removed.
 */
export function removeRingFile(path: string, force: boolean): boolean {
  checkPath(path);
  const found = attach(path, `Cannot remove the channel "${path}"`);
  if (found === undefined) return false;
  found.memory.release();
  try {
    if (!force && !tryLockFile(found.lock.fd, "alone")) return false;
    removeFiles(path, found.lock.fd);
    return true;
  } finally {
    leaveRingFile(found);
  }
}

/**
 * Removes the files of a named ring that nobody is attached to and that nothing waits in. Nobody can attach between the
 * look and the removal: who tries makes a new ring.
 *
 * @returns Whether it was there, and was removed.
 */
export function removeEmptyRingFile(path: string): boolean {
  checkPath(path);
  const found = attach(path, `Cannot remove the channel "${path}"`);
  if (found === undefined) return false;
  const { words } = found.memory;
  let removed = false;
  leaveRingFile(found, () => removed = Atomics.load(words, W_HEAD) === Atomics.load(words, W_TAIL));
  found.memory.release();
  return removed;
}
