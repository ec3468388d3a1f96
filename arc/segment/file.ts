// The file of a cell: made whole, counted by the kernel, removed by the last one out.
//
// Every attachment has an open file description of its own with two locks, both of which the kernel drops when the
// process dies: a shared `flock`, which says "somebody holds the cell", and one byte, by which the holders can be counted
// (see `holders.ts`). Whoever gets the `flock` alone knows that nobody else holds the cell, and may remove it.
import { IpcError } from "../../base/error.ts";
import { IpcFd } from "../../ffi/file/fd.ts";
import { tryLockFile } from "../../ffi/file/file_lock.ts";
import { type FileStatus, fileStatus, isSameFile } from "../../ffi/file/file_status.ts";
import { check, cString, libc, systemError } from "../../ffi/libc/libc.ts";
import { allocate, Mapping } from "../../ffi/memory/mapping.ts";
import { unlinkFile } from "../../ffi/file/unlink.ts";
import {
  AT_FDCWD,
  AT_SYMLINK_FOLLOW,
  EEXIST,
  EISDIR,
  ELOOP,
  ENOENT,
  ENOSPC,
  ENXIO,
  O_CLOEXEC,
  O_NONBLOCK,
  O_RDONLY,
  O_RDWR,
} from "../../ffi/libc/platform.ts";
import { mutexMark } from "../../ffi/memory/robust_mutex.ts";
import { step } from "../../base/step_hook.ts";
import { type Trusted, userText } from "../../ffi/file/trust.ts";
import { removeBells } from "./bells.ts";
import { closeForDeadThreads, countOthers, join } from "../../ffi/file/presence.ts";
import { cellPath, SHM_FOLDER } from "./cell_name.ts";
import {
  BELL_TABLE,
  BUFFER_OFFSET,
  BUFFER_STRIDE,
  CAPACITY,
  FORMAT_VERSION,
  KIND,
  KIND_POD,
  MAGIC,
  MUTEX_MARK,
  SIZE_HIGH,
  SIZE_LOW,
  VALUES_OFFSET,
  VERSION,
} from "./header.ts";

/** How often a name is looked up again when its file is just being removed, 1 ms apart. */
const ATTEMPTS = 2000;

/** One attachment to a cell, as the kernel sees it. */
export class SegmentFile {
  readonly name: string;
  readonly status: FileStatus;
  /** Whose files are used beside it. */
  readonly trusted: Trusted;
  readonly #fd: IpcFd;

  constructor(name: string, fd: IpcFd, status: FileStatus, trusted: Trusted) {
    this.name = name;
    this.#fd = fd;
    this.status = status;
    this.trusted = trusted;
  }

  /** Tells the file from every other. */
  get key(): string {
    return `${this.status.device}/${this.status.inode}`;
  }

  /** Maps the file. */
  map(): Mapping {
    return mapApart(this.#fd.fd, this.status.size, `Cannot map the cell "${this.name}"`);
  }

  /** How many attachments live, this one included. Exact, also after kills. */
  countHolders(): number {
    const others = countOthers(this.#fd.fd);
    if (others === 0) return 1;
    closeForDeadThreads(this.status);
    return countOthers(this.#fd.fd) + 1;
  }

  /** The same without a look for terminated Workers, which may still be counted: cheaper. */
  estimateHolders(): number {
    return countOthers(this.#fd.fd) + 1;
  }

  /** Makes this attachment one that is counted. */
  join(): void {
    if (!join(this.#fd.fd)) {
      throw new IpcError("System", `Cannot attach to the cell "${this.name}": it has too many attachments; close some`);
    }
  }

  /** Another attachment to the same file, even if the name is gone by now. */
  reopen(): SegmentFile {
    const what = `Cannot attach to the cell "${this.name}" once more`;
    const fd = openAgain(this.#fd.fd, what);
    try {
      // This attachment holds the file, so nobody can hold it alone.
      if (!tryLockFile(fd.fd, "shared")) throw new IpcError("Corrupt", `${what}: another program has locked its file`);
      const again = new SegmentFile(this.name, fd, fileStatus(fd.fd)!, this.trusted);
      again.join();
      return again;
    } catch (error) {
      fd.close();
      throw error;
    }
  }

  /**
   * Gives the attachment up.
   *
   * @returns How many are left. If none, the file is gone, unless it is another user's in a folder where only its owner
   * may remove it: then it lies there dead, and who creates the cell again uses it again.
   */
  leave(): number {
    const fd = this.#fd;
    if (fd.closed) return 0;
    const others = this.countHolders() - 1;
    // The change from shared to alone is not atomic: the kernel drops the one before it tries for the other. As this
    // attachment ends anyway, that is harmless: of several that leave at one time, the last to try finds no other.
    const last = tryLockFile(fd.fd, "alone");
    if (last) remove(this.name, this.status);
    fd.close();
    return last ? 0 : others;
  }
}

/** Another open file description of the same file, even if it has no name. */
function openAgain(fd: number, what: string): IpcFd {
  const { c, errnoCell } = libc();
  const path = cString(`/proc/self/fd/${fd}`);
  return new IpcFd(check(c.open(path, O_RDWR | O_CLOEXEC, 0), errnoCell[0]!, "open", what));
}

/**
 * Maps a file by a description of its own. A mapping keeps its description alive, and that its locks: one attachment
 * could not be given up while another uses the memory.
 */
function mapApart(fd: number, length: number, what: string): Mapping {
  const apart = openAgain(fd, what);
  try {
    return Mapping.shared(apart.fd, length);
  } finally {
    apart.close();
  }
}

/**
 * Removes a cell that nobody holds. The caller has its file alone.
 *
 * @returns 0, or the number of the error: `/dev/shm` is sticky, so only its owner, and root, can remove a file.
 */
function remove(name: string, status: FileStatus): number {
  step("arc:remove:begin");
  removeBells(status.inode);
  step("arc:remove:bells");
  const path = cellPath(name);
  // Nobody can give the name another file between the look and the removal, but who removes it by force first.
  const errno = isSameFile(status, path) ? unlinkFile(path) : 0;
  step("arc:remove:done");
  return errno;
}

/** How a new segment is written into memory that is zeros but for the magic. */
export type Fill = (mapping: Mapping) => void;

/**
 * Makes a cell: in a file without a name, which gets its name when all of it is there.
 *
 * @param fill Writes the segment.
 * @returns The attachment and its memory, or `undefined` if a living cell has the name.
 * @throws {IpcError} `Incompatible` if something that is no cell has the name, `Permission` if it is somebody else's.
 */
export function createSegment(
  name: string,
  size: number,
  mode: number,
  trusted: Trusted,
  fill: Fill,
): { file: SegmentFile; mapping: Mapping } | undefined {
  const path = cellPath(name);
  const { c, errnoCell, platform } = libc();
  const what = `Cannot create the cell "${name}"`;
  const fd = new IpcFd(
    check(
      c.open(cString(SHM_FOLDER), platform.O_TMPFILE | O_RDWR | O_CLOEXEC, 0o600),
      errnoCell[0]!,
      "open",
      `${what} in ${SHM_FOLDER}`,
    ),
  );
  let mapping: Mapping | undefined;
  try {
    step("arc:create:file");
    reserve(fd.fd, size, what);
    step("arc:create:allocated");
    trusted.give(fd.fd, what);
    check(c.fchmod(fd.fd, mode), errnoCell[0]!, "fchmod", what);
    mapping = mapApart(fd.fd, size, what);
    fill(mapping);
    step("arc:create:filled");
    // Held before it can be found, so that nobody takes it for a dead one.
    if (!tryLockFile(fd.fd, "shared")) throw new IpcError("System", `${what}: its new file is locked already`);
    const file = new SegmentFile(name, fd, fileStatus(fd.fd)!, trusted);
    file.join();
    step("arc:create:held");
    const source = cString(`/proc/self/fd/${fd.fd}`);
    const target = cString(path);
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const result = c.linkat(AT_FDCWD, source, AT_FDCWD, target, AT_SYMLINK_FOLLOW);
      const errno = errnoCell[0]!;
      if (result === 0) {
        step("arc:create:linked");
        return { file, mapping };
      }
      if (errno !== EEXIST) throw systemError(what, "linkat", errno);
      const found = find(name, what, trusted);
      if (found === undefined) continue; // it was dead, and is removed now
      if (found.living === undefined) {
        const again = reuse(name, found.dead, found.status, size, trusted, fill);
        if (again === undefined) continue; // another was faster
        fd.close();
        mapping.unmap();
        return again;
      }
      found.living.leave();
      fd.close();
      mapping.unmap();
      return undefined;
    }
    throw new IpcError("Timeout", `${what}: others create and remove it all the time`);
  } catch (error) {
    fd.close();
    mapping?.unmap();
    throw error;
  }
}

/** Allocates the memory itself, now: a page that cannot be had later is a SIGBUS. */
function reserve(fd: number, size: number, what: string): void {
  try {
    allocate(fd, 0, size, what);
  } catch (error) {
    if (!(error instanceof IpcError) || error.errno !== ENOSPC) throw error;
    throw new IpcError(
      "System",
      `${what}: ${SHM_FOLDER} has no room for ${size} bytes (ENOSPC); free some, or enlarge it`,
      { errno: ENOSPC, syscall: "fallocate" },
    );
  }
}

/**
 * Makes a cell in the file of a dead one that cannot be removed, as it is another user's. It is held alone meanwhile:
 * nobody takes it for a living one before it is whole, and if this process dies it is a dead one again.
 *
 * @param fd Held alone; closed if it cannot be used.
 */
function reuse(
  name: string,
  fd: IpcFd,
  status: FileStatus,
  size: number,
  trusted: Trusted,
  fill: Fill,
): { file: SegmentFile; mapping: Mapping } | undefined {
  const what = `Cannot create the cell "${name}" in the file that ${userText(status.uid)} left`;
  let mapping: Mapping | undefined;
  try {
    step("arc:reuse:begin");
    // Never smaller: a program that does not hold it may still have it mapped.
    const length = Math.max(size, status.size);
    reserve(fd.fd, length, what);
    mapping = mapApart(fd.fd, length, what);
    new Uint8Array(mapping.buffer).fill(0, MAGIC.length);
    step("arc:reuse:zeroed");
    fill(mapping);
    step("arc:reuse:filled");
    // From alone to shared is not one step: somebody may take it for dead in between.
    if (tryLockFile(fd.fd, "shared") && isSameFile(status, cellPath(name))) {
      const file = new SegmentFile(name, fd, fileStatus(fd.fd)!, trusted);
      file.join();
      return { file, mapping };
    }
  } catch (error) {
    fd.close();
    mapping?.unmap();
    throw error;
  }
  fd.close();
  mapping.unmap();
  return undefined;
}

/** What has the name of a cell: a living one, held now; or a dead one that cannot be removed, held alone. */
type Found =
  | { readonly living: SegmentFile }
  | { readonly living: undefined; readonly dead: IpcFd; readonly status: FileStatus };

/**
 * Attaches to a living cell. One whose holders are all dead is removed on the way, if that can be.
 *
 * @param what Begins the messages of errors.
 * @returns The attachment, or `undefined` if there is no living cell of that name.
 * @throws {IpcError} `Incompatible` if the name belongs to something else, which is left alone; `Permission` if it is
 * somebody else's.
 */
export function openSegment(name: string, what: string, trusted: Trusted): SegmentFile | undefined {
  const found = find(name, what, trusted);
  if (found?.living === undefined) found?.dead.close();
  return found?.living;
}

function find(name: string, what: string, trusted: Trusted): Found | undefined {
  const path = cellPath(name);
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const opened = openCellFile(name, what);
    if (opened === undefined) return undefined;
    const { fd, status } = opened;
    step("arc:open:opened");
    try {
      trusted.check(status, what, path);
      if (attempt > 0) closeForDeadThreads(status);
      if (tryLockFile(fd.fd, "alone")) {
        const errno = remove(name, status);
        if (errno !== 0 && isSameFile(status, path)) return { living: undefined, dead: fd, status };
        fd.close();
        continue; // another may have made a new one
      }
      if (tryLockFile(fd.fd, "shared") && isSameFile(status, path)) {
        // By now, and not when it was opened: it may have been made anew in the same file meanwhile.
        const file = new SegmentFile(name, fd, fileStatus(fd.fd)!, trusted);
        try {
          checkHeader(fd.fd, file.status, what);
          file.join();
        } catch (error) {
          file.leave(); // by now it may be the last one to hold it
          throw error;
        }
        return { living: file };
      }
    } catch (error) {
      fd.close();
      throw error;
    }
    // Somebody is just removing it, making it anew, or looking whether it is dead.
    fd.close();
    libc().c.poll(NO_FDS, 0n, 1);
  }
  throw new IpcError("Timeout", `${what}: a process that is removing it has been stopped half-way; continue or end it`);
}

const NO_FDS = new Uint8Array(8);

/**
 * Removes a cell if all its holders are dead, also another user's: its memory is not looked at.
 *
 * @returns Whether it was removed; `false` if it lives, or there is none.
 * @throws {IpcError} If it is dead, and cannot be removed.
 */
export function removeDead(name: string): boolean {
  const what = `Cannot remove the cell "${name}"`;
  const found = openCellFile(name, what);
  if (found === undefined) return false;
  using fd = found.fd;
  closeForDeadThreads(found.status);
  if (!tryLockFile(fd.fd, "alone")) return false;
  const errno = remove(name, found.status);
  if (errno !== 0) throw notRemoved(what, found.status, errno);
  return true;
}

/**
 * Removes the file of a cell, whatever holders it has.
 *
 * @returns `false` if there is none.
 * @throws {IpcError} `Incompatible` if the name belongs to something else; `Permission` if it cannot be removed.
 */
export function removeByForce(name: string): boolean {
  const what = `Cannot remove the cell "${name}"`;
  const found = openCellFile(name, what, O_RDONLY);
  if (found === undefined) return false;
  using fd = found.fd;
  if (!fd.closed && !isSameFile(found.status, cellPath(name))) return false;
  const errno = unlinkFile(cellPath(name));
  if (errno !== 0) throw notRemoved(what, found.status, errno);
  return true;
}

function notRemoved(what: string, { uid }: FileStatus, errno: number): IpcError {
  const failed = systemError(what, "unlink", errno);
  return new IpcError(failed.code, `${failed.message}; its file belongs to ${userText(uid)}, who can remove it`, {
    errno,
    syscall: "unlink",
  });
}

/**
 * Opens the file of a cell without holding it; `undefined` if there is none.
 *
 * @param access For looking at it alone, `O_RDONLY`.
 */
export function openCellFile(
  name: string,
  what: string,
  access: number = O_RDWR,
): { fd: IpcFd; status: FileStatus } | undefined {
  const path = cellPath(name);
  const { c, errnoCell, platform } = libc();
  const number = c.open(cString(path), access | O_CLOEXEC | O_NONBLOCK | platform.O_NOFOLLOW, 0);
  const errno = errnoCell[0]!;
  if (number < 0) {
    if (errno === ENOENT) return undefined;
    if (errno === ELOOP || errno === EISDIR || errno === ENXIO) throw notACell(what, path, "not a regular file");
    const uid = fileStatus(path)?.uid;
    throw systemError(uid === undefined ? what : `${what}, which belongs to ${userText(uid)}`, "open", errno);
  }
  const fd = new IpcFd(number);
  try {
    const status = fileStatus(number);
    if (status === undefined || !status.regular) throw notACell(what, path, "not a regular file");
    if (status.size === 0) throw cutShort(what, path, 0);
    if (!hasMagic(readHeader(number))) throw notACell(what, path, "a file of another kind");
    return { fd, status };
  } catch (error) {
    fd.close();
    throw error;
  }
}

function notACell(what: string, path: string, found: string): IpcError {
  return new IpcError("Incompatible", `${what}: ${path} is ${found}, not a cell; use another name, or remove it`);
}

function cutShort(what: string, path: string, size: number): IpcError {
  return new IpcError("Corrupt", `${what}: ${path} was cut short to ${size} bytes; remove it`);
}

/** The words before the table of bells, zeros where the file is shorter. Read, not mapped: a short file is no SIGBUS. */
export function readHeader(fd: number): Int32Array {
  const { c } = libc();
  const header = new Uint8Array(BELL_TABLE * 4);
  c.lseek(fd, 0n, 0);
  c.read(fd, header, BigInt(header.length));
  return new Int32Array(header.buffer);
}

function hasMagic(header: Int32Array): boolean {
  const bytes = new Uint8Array(header.buffer, 0, MAGIC.length);
  return MAGIC.every((byte, i) => bytes[i] === byte);
}

/** Checks every number of a header that anything relies on, before the segment is mapped. */
export function checkHeader(fd: number, status: FileStatus, what: string): void {
  const header = readHeader(fd);
  const version = header[VERSION]!;
  if (version !== FORMAT_VERSION) {
    throw new IpcError(
      "Incompatible",
      `${what}: it has format ${version}, and this version of the library knows format ${FORMAT_VERSION}; use the same ` +
        "version in all programs that share it",
    );
  }
  const mark = header[MUTEX_MARK]!;
  if (mark !== mutexMark()) {
    const found = mark === 0
      ? "an older version of the library has made it, with another kind of lock; end its programs, or use one version"
      : `its lock is that of another C library or processor (mark ${mark}, and here it is ${mutexMark()}), which would ` +
        "keep nobody apart; share cells among programs that use glibc";
    throw new IpcError("Incompatible", `${what}: ${found}`);
  }
  const size = (header[SIZE_LOW]! >>> 0) + (header[SIZE_HIGH]! >>> 0) * 2 ** 32;
  if (status.size < size) throw cutShort(what, `its file of ${size} bytes`, status.size);
  const offset = header[BUFFER_OFFSET]!, stride = header[BUFFER_STRIDE]!, capacity = header[CAPACITY]!;
  const kind = header[KIND]!;
  const fits = status.size === size && kind >= 0 && kind <= KIND_POD && capacity > 0 && offset >= VALUES_OFFSET &&
    offset % 64 === 0 &&
    (stride === 0 ? kind === KIND_POD && capacity <= 8 : stride >= capacity && stride % 64 === 0) &&
    offset + stride + capacity <= size;
  if (!fits) {
    throw new IpcError("Corrupt", `${what}: the numbers in its header contradict one another; remove it`);
  }
}
