// The file of a cell: made whole, counted by the kernel, removed by the last one out.
//
// Every attachment has an open file description of its own with two locks, both of which the kernel drops when the
// process dies: a shared `flock`, which says "somebody holds the cell", and one byte, by which the holders can be counted
// (see `holders.ts`). Whoever gets the `flock` alone knows that nobody else holds the cell, and may remove it.
import { IpcError } from "../ffi/error.ts";
import { IpcFd } from "../ffi/fd.ts";
import { tryLockFile } from "../ffi/file_lock.ts";
import { type FileStatus, fileStatus, isSameFile } from "../ffi/file_status.ts";
import { check, cString, interrupted, libc, systemError } from "../ffi/libc.ts";
import { Mapping } from "../ffi/mapping.ts";
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
  O_RDWR,
} from "../ffi/platform.ts";
import { mutexMark } from "../ffi/robust_mutex.ts";
import { step } from "../ffi/step_hook.ts";
import { removeBells } from "./bells.ts";
import { closeForDeadThreads, countOthers, join } from "./holders.ts";
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
} from "./segment_layout.ts";

/** How often a name is looked up again when its file is just being removed, 1 ms apart. */
const ATTEMPTS = 2000;

/** One attachment to a cell, as the kernel sees it. */
export class SegmentFile {
  readonly name: string;
  readonly status: FileStatus;
  readonly #fd: IpcFd;

  constructor(name: string, fd: IpcFd, status: FileStatus) {
    this.name = name;
    this.#fd = fd;
    this.status = status;
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
      const again = new SegmentFile(this.name, fd, fileStatus(fd.fd)!);
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
   * @returns How many are left; if none, the file is gone.
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

/** Removes a cell that nobody holds. The caller has its file alone. */
function remove(name: string, status: FileStatus): void {
  step("arc:remove:begin");
  removeBells(status.inode);
  step("arc:remove:bells");
  const path = cellPath(name);
  // Nobody can give the name another file between the look and the removal, but who removes it by force first.
  if (isSameFile(status, path)) libc().c.unlink(cString(path));
  step("arc:remove:done");
}

/**
 * Makes a cell: in a file without a name, which gets its name when all of it is there.
 *
 * @param fill Writes the segment; its memory is zeros.
 * @returns The attachment and its memory, or `undefined` if a living cell has the name.
 * @throws {IpcError} `Incompatible` if something that is no cell has the name.
 */
export function createSegment(
  name: string,
  size: number,
  mode: number,
  fill: (mapping: Mapping) => void,
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
    // The memory itself, now: a page that cannot be had later is a SIGBUS.
    for (;;) {
      const result = c.fallocate(fd.fd, 0, 0n, BigInt(size));
      const errno = errnoCell[0]!;
      if (result === 0) break;
      if (interrupted(result, errno)) continue;
      throw errno === ENOSPC
        ? new IpcError(
          "System",
          `${what}: ${SHM_FOLDER} has no room for ${size} bytes (ENOSPC); free some, or enlarge it`,
          { errno, syscall: "fallocate" },
        )
        : systemError(what, "fallocate", errno);
    }
    step("arc:create:allocated");
    check(c.fchmod(fd.fd, mode), errnoCell[0]!, "fchmod", what);
    mapping = mapApart(fd.fd, size, what);
    fill(mapping);
    step("arc:create:filled");
    // Held before it can be found, so that nobody takes it for a dead one.
    tryLockFile(fd.fd, "shared");
    const file = new SegmentFile(name, fd, fileStatus(fd.fd)!);
    file.join();
    step("arc:create:held");
    const source = cString(`/proc/self/fd/${fd.fd}`);
    const target = cString(path);
    for (;;) {
      const result = c.linkat(AT_FDCWD, source, AT_FDCWD, target, AT_SYMLINK_FOLLOW);
      const errno = errnoCell[0]!;
      if (result === 0) break;
      if (errno !== EEXIST) throw systemError(what, "linkat", errno);
      const living = openSegment(name, what);
      if (living !== undefined) {
        living.leave();
        fd.close();
        mapping.unmap();
        return undefined;
      }
      // It was dead, and is removed now.
    }
    step("arc:create:linked");
    return { file, mapping };
  } catch (error) {
    fd.close();
    mapping?.unmap();
    throw error;
  }
}

/**
 * Attaches to a living cell. One whose holders are all dead is removed on the way.
 *
 * @param what Begins the messages of errors.
 * @returns The attachment, or `undefined` if there is no such cell.
 * @throws {IpcError} `Incompatible` if the name belongs to something else, which is left alone.
 */
export function openSegment(name: string, what: string): SegmentFile | undefined {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const found = openCellFile(name, what);
    if (found === undefined) return undefined;
    const { fd, status } = found;
    step("arc:open:opened");
    try {
      if (attempt > 0) closeForDeadThreads(status);
      if (tryLockFile(fd.fd, "alone")) {
        remove(name, status);
        fd.close();
        continue; // another may have made a new one
      }
      if (tryLockFile(fd.fd, "shared") && isSameFile(status, cellPath(name))) {
        const file = new SegmentFile(name, fd, status);
        try {
          checkHeader(fd.fd, status, what);
          file.join();
        } catch (error) {
          file.leave(); // by now it may be the last one to hold it
          throw error;
        }
        return file;
      }
    } catch (error) {
      fd.close();
      throw error;
    }
    // Somebody is just removing it, or looking whether it is dead.
    fd.close();
    libc().c.poll(NO_FDS, 0n, 1);
  }
  throw new IpcError("Timeout", `${what}: a process that is removing it has been stopped half-way; continue or end it`);
}

const NO_FDS = new Uint8Array(8);

/** Opens the file of a cell without holding it; `undefined` if there is none. */
export function openCellFile(name: string, what: string): { fd: IpcFd; status: FileStatus } | undefined {
  const path = cellPath(name);
  const { c, errnoCell, platform } = libc();
  const number = c.open(cString(path), O_RDWR | O_CLOEXEC | O_NONBLOCK | platform.O_NOFOLLOW, 0);
  const errno = errnoCell[0]!;
  if (number < 0) {
    if (errno === ENOENT) return undefined;
    if (errno === ELOOP || errno === EISDIR || errno === ENXIO) throw notACell(what, path, "not a regular file");
    throw systemError(what, "open", errno);
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
