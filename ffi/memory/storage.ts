// The memory behind a file: how much there is, having it in advance, giving it back.
import { check, interrupted, libc } from "../libc/libc.ts";
import {
  AT_EMPTY_PATH,
  AT_STATX_DONT_SYNC,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  SEEK_END,
  STATX_BLOCKS,
  STATX_INO,
} from "../libc/platform.ts";
import { STATX } from "../libc/structs.ts";

/** The size in bytes of an open file. */
export function fileSize(fd: number): number {
  const { c, errnoCell } = libc();
  return check(Number(c.lseek(fd, 0n, SEEK_END)), errnoCell[0]!, "lseek", "Cannot read the size of a file");
}

/** Gives the memory of a range of a file back to the system; the range reads as zeros afterwards. */
export function punchHole(fd: number, offset: number, length: number): void {
  // Only advice: where the file system cannot, the memory stays.
  libc().c.fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, BigInt(offset), BigInt(length));
}

/** Allocates the memory of a range of a file now, so that running out is an error here and not a fault later. */
export function allocate(fd: number, offset: number, length: number, what: string): void {
  const { c, errnoCell } = libc();
  for (;;) {
    const result = c.fallocate(fd, 0, BigInt(offset), BigInt(length));
    const errno = errnoCell[0]!;
    if (interrupted(result, errno)) continue;
    check(result, errno, "fallocate", what);
    return;
  }
}

/** A text that is the same for two descriptors of the same file, and for no others that are open. */
export function sameFileKey(fd: number): string {
  const { c, errnoCell } = libc();
  check(
    c.statx(fd, EMPTY_PATH, AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, statxBytes),
    errnoCell[0]!,
    "statx",
    "Cannot identify a file",
  );
  const device = `${statx.getUint32(STATX.stx_dev_major, true)}:${statx.getUint32(STATX.stx_dev_minor, true)}`;
  return `${statx.getBigUint64(STATX.stx_ino, true)}:${device}`;
}

/** Bytes of memory that a memory file takes; 0 if that cannot be told. */
export function memoryOf(fd: number): number {
  if (libc().c.statx(fd, EMPTY_PATH, AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_BLOCKS, statxBytes) < 0) return 0;
  return Number(statx.getBigUint64(STATX.stx_blocks, true)) * 512; // blocks of 512 bytes, always
}

const EMPTY_PATH = new Uint8Array(1);
/** What `statx` has told. */
const statx = new DataView(new ArrayBuffer(STATX.size)), statxBytes = new Uint8Array(statx.buffer);
