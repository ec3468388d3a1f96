// Names of cells, and the files in shared memory that they stand for.
import { SHARED_FOLDER } from "../../ffi/file/named_file.ts";

/** What the files of cells begin with; the rest is the name. */
export const CELL_PREFIX = "isthmus.";

/** What the files of doorbells begin with; the rest is the number of the cell's file and that of the bell. */
export const BELL_PREFIX = "isthmus-bell.";

/** Most bytes of a name: with the prefix it must stay a file name, of at most 255 bytes. */
const NAME_LIMIT = 200;

/** @throws {TypeError} If a name cannot be that of a cell; the message states the rule. */
export function checkCellName(name: string): void {
  const rule = `the name of a cell is text of 1 to ${NAME_LIMIT} bytes without "/" and NUL`;
  if (typeof name !== "string") throw new TypeError(`Cannot use ${String(name)} as a name: ${rule}`);
  const length = new TextEncoder().encode(name).length;
  if (length > NAME_LIMIT) {
    throw new TypeError(`Cannot use a name of ${length} bytes, "${name.slice(0, 40)}…": ${rule}`);
  }
  // A lone surrogate would become U+FFFD, and two names one file.
  if (length === 0 || name.includes("/") || name.includes("\0") || !name.isWellFormed()) {
    throw new TypeError(`Cannot use ${JSON.stringify(name)} as a name: ${rule}`);
  }
}

/**
 * The file of a cell.
 *
 * @throws {TypeError} If the name cannot be that of a cell.
 */
export function cellPath(name: string): string {
  checkCellName(name);
  return `${SHARED_FOLDER}/${CELL_PREFIX}${name}`;
}

/** The file of one doorbell of a cell. The file's number, not its name, so that no name of a cell can collide. */
export function bellPath(inode: bigint, bell: number): string {
  return `${SHARED_FOLDER}/${BELL_PREFIX}${inode.toString(16)}.${bell}`;
}
