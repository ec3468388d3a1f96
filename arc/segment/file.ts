// The file of a cell: made whole, counted by the kernel, removed by the last one out.
//
// Every attachment has an open file description of its own with two locks, both of which the kernel drops when the
// process dies: a shared lock of the file, which says "somebody holds the cell", and a place, by which the holders can be
// counted (see `ffi/file/presence.ts`). Who gets the lock alone knows that nobody else holds the cell, and may remove it.
import { IpcError } from "../../base/error.ts";
import { step } from "../../base/step_hook.ts";
import { pauseSync } from "../../ffi/event/pause.ts";
import type { IpcFd } from "../../ffi/file/fd.ts";
import { tryLockFile } from "../../ffi/file/file_lock.ts";
import { type FileStatus, fileStatus, isSameFile } from "../../ffi/file/file_status.ts";
import { reopen } from "../../ffi/file/open.ts";
import { closeForDeadThreads, countOthers, join } from "../../ffi/file/presence.ts";
import type { Trusted } from "../../ffi/file/trust.ts";
import { Mapping } from "../../ffi/memory/mapping.ts";
import { checkHeader, openCellFile } from "./cell_file.ts";
import { cellPath } from "./cell_name.ts";
import { removeAlone } from "./remove.ts";

/** How often a name is looked up again when its file is just being removed, 1 ms apart. */
export const ATTEMPTS = 2000;

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
    const fd = reopen(this.#fd.fd, what);
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
    if (last) removeAlone(this.name, this.status);
    fd.close();
    return last ? 0 : others;
  }
}

/**
 * Maps a file by a description of its own. A mapping keeps its description alive, and that its locks: one attachment
 * could not be given up while another uses the memory.
 */
export function mapApart(fd: number, length: number, what: string): Mapping {
  const apart = reopen(fd, what);
  try {
    return Mapping.shared(apart.fd, length);
  } finally {
    apart.close();
  }
}

/** What has the name of a cell: a living one, held now; or a dead one that cannot be removed, held alone. */
export type Found =
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

/** What has a name; `undefined` if nothing has. */
export function find(name: string, what: string, trusted: Trusted): Found | undefined {
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
        const failure = removeAlone(name, status);
        if (failure !== 0 && isSameFile(status, path)) return { living: undefined, dead: fd, status };
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
    pauseSync(1);
  }
  throw new IpcError("Timeout", `${what}: a process that is removing it has been stopped half-way; continue or end it`);
}
