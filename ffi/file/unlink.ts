// Removing files, with the result looked at.
import { cString, libc } from "../libc/libc.ts";
import { ENOENT } from "../libc/platform.ts";

/**
 * Removes a file.
 *
 * @returns 0 if there is none at the path now, else the number of the error.
 */
export function unlinkFile(path: string): number {
  const { c, errnoCell } = libc();
  const name = cString(path);
  if (c.unlink(name) === 0) return 0;
  const errno = errnoCell[0]!;
  return errno === ENOENT ? 0 : errno;
}
