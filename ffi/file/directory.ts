// Names in a folder, links, and small files of /proc, read by libc so that no permission but --allow-ffi is needed.
import { cString, interrupted, libc } from "../libc/libc.ts";
import { O_CLOEXEC, O_RDONLY } from "../libc/platform.ts";
import { DIRENT } from "../libc/structs.ts";
import { runtime } from "../runtime/mod.ts";

/** The names in a folder; none if it cannot be read. */
export function listDirectory(path: string): string[] {
  const { c } = libc();
  const folder = c.opendir(cString(path));
  if (folder === null) return [];
  const names: string[] = [];
  for (let entry = c.readdir(folder); entry !== null; entry = c.readdir(folder)) {
    const name = runtime.textAt(entry, DIRENT.d_name);
    if (name !== "." && name !== "..") names.push(name);
  }
  c.closedir(folder);
  return names;
}

const buffer = new Uint8Array(16_384);

/**
 * The text of a file whose length is not known beforehand, as in /proc; `undefined` if it cannot be read.
 *
 * @param enough Bytes after which no more is read: for what stands at the beginning. By default all is read.
 */
export function readTextFile(path: string, enough = Infinity): string | undefined {
  const { c, errnoCell } = libc();
  const fd = c.open(cString(path), O_RDONLY | O_CLOEXEC, 0);
  if (fd < 0) return undefined;
  const decoder = new TextDecoder();
  let text = "";
  for (let read = 0; read < enough;) {
    const length = c.read(fd, buffer, BigInt(buffer.length));
    const errno = errnoCell[0]!;
    if (interrupted(length, errno)) continue;
    if (length < 0) {
      c.close(fd);
      return undefined; // of a process that ended in between: ESRCH
    }
    if (length === 0) break;
    text += decoder.decode(buffer.subarray(0, length), { stream: true });
    read += length;
  }
  c.close(fd);
  return text + decoder.decode();
}

/** The longest path, and more than the kernel ever writes into a link. */
const PATH_MAX = 4096;

/** Where a symbolic link leads; `undefined` if it is something else, or cannot be read. */
export function linkTarget(path: string): string | undefined {
  const target = new Uint8Array(PATH_MAX);
  const length = libc().c.readlink(cString(path), target, BigInt(target.length));
  return length < 0 ? undefined : new TextDecoder().decode(target.subarray(0, length));
}
