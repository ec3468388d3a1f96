// What kind of file a path or a descriptor stands for, and which one.
import { cString, libc } from "../libc/libc.ts";
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_STATX_DONT_SYNC,
  AT_SYMLINK_NOFOLLOW,
  STATX_BASIC_STATS,
} from "../libc/platform.ts";
import { STATX } from "../libc/structs.ts";

/** The part of `struct statx` that this package uses. */
export interface FileStatus {
  /** Whether it is a regular file: not a folder, link, FIFO, socket or device. */
  readonly regular: boolean;
  /** Whether it is a folder. */
  readonly folder: boolean;
  /** Whether it is a FIFO or a pipe. */
  readonly pipe: boolean;
  /** Whether it is a socket, or the file that a socket was bound to. */
  readonly socket: boolean;
  /** Whether it is of no kind that has a place in a file system: an event counter, a timer, a set of polled files. */
  readonly anonymous: boolean;
  /** Permission bits. */
  readonly mode: number;
  /** Owner. */
  readonly uid: number;
  /** Group. */
  readonly gid: number;
  /** Length in bytes. */
  readonly size: number;
  /** Number of the file; with `device` it tells one file from every other. */
  readonly inode: bigint;
  /** The file system, as `major:minor` in hexadecimal, the way `/proc/locks` writes it. */
  readonly device: string;
}

/**
 * Looks at an open file, or at what lies at a path; `undefined` if there is nothing.
 *
 * @param follow Whether to look at what a link at the path leads to, and not at the link.
 */
export function fileStatus(file: number | string, follow = false): FileStatus | undefined {
  const { c } = libc();
  const result = typeof file === "number"
    // What is known of it: it may be a peer's, in a file system whose program lets everybody wait who asks it.
    ? c.statx(file, EMPTY_PATH, AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_BASIC_STATS, viewBytes)
    : c.statx(AT_FDCWD, cString(file), follow ? 0 : AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, viewBytes);
  if (result < 0) return undefined;
  const mode = view.getUint16(STATX.stx_mode, true);
  return {
    regular: (mode & 0o170000) === 0o100000,
    folder: (mode & 0o170000) === 0o040000,
    pipe: (mode & 0o170000) === 0o010000,
    socket: (mode & 0o170000) === 0o140000,
    anonymous: (mode & 0o170000) === 0,
    mode: mode & 0o7777,
    uid: view.getUint32(STATX.stx_uid, true),
    gid: view.getUint32(STATX.stx_gid, true),
    size: Number(view.getBigUint64(STATX.stx_size, true)),
    inode: view.getBigUint64(STATX.stx_ino, true),
    device: `${hex2(view.getUint32(STATX.stx_dev_major, true))}:${hex2(view.getUint32(STATX.stx_dev_minor, true))}`,
  };
}

const EMPTY_PATH = new Uint8Array(1);
/** What `statx` has told. */
const view = new DataView(new ArrayBuffer(STATX.size)), viewBytes = new Uint8Array(view.buffer);

function hex2(number: number): string {
  return number.toString(16).padStart(2, "0");
}

/** Whether an open file and what lies at a path are the same file. */
export function isSameFile(status: FileStatus, path: string): boolean {
  const there = fileStatus(path);
  return there !== undefined && there.inode === status.inode && there.device === status.device;
}

/** Whether a folder is at a path, or at the end of a link there. */
export function isFolder(path: string): boolean {
  return fileStatus(path, true)?.folder === true;
}
