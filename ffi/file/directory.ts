// Names in a folder, and small files of /proc, read by libc so that no permission but --allow-ffi is needed.
import { cString, libc } from "../libc/libc.ts";
import { O_CLOEXEC, O_RDONLY } from "../libc/platform.ts";
import { DIRENT } from "../libc/structs.ts";

/** The names in a folder; none if it cannot be read. */
export function listDirectory(path: string): string[] {
  const { c } = libc();
  const folder = c.opendir(cString(path));
  if (folder === null) return [];
  const names: string[] = [];
  for (let entry = c.readdir(folder); entry !== null; entry = c.readdir(folder)) {
    const name = Deno.UnsafePointerView.getCString(entry, DIRENT.d_name);
    if (name !== "." && name !== "..") names.push(name);
  }
  c.closedir(folder);
  return names;
}

/** The text of a file whose length is not known beforehand, as in /proc; `undefined` if it cannot be read. */
export function readTextFile(path: string): string | undefined {
  const { c } = libc();
  const fd = c.open(cString(path), O_RDONLY | O_CLOEXEC, 0);
  if (fd < 0) return undefined;
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(16384);
  let text = "";
  for (;;) {
    const length = c.read(fd, buffer, BigInt(buffer.length));
    if (length <= 0) break;
    text += decoder.decode(buffer.subarray(0, length), { stream: true });
  }
  c.close(fd);
  return text + decoder.decode();
}
