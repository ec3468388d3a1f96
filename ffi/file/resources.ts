// How much of what the system shares out is left: descriptors, and room in a file system.
import { readTextFile } from "./directory.ts";
import { check, cString, libc } from "../libc/libc.ts";
import { RLIMIT_NOFILE } from "../libc/platform.ts";
import { RLIMIT, STATVFS } from "../libc/structs.ts";

/** Room in a file system, in bytes. */
export interface FileSystemSpace {
  readonly size: number;
  /** For processes without privileges. */
  readonly free: number;
}

/** How much room the file system of a path has; `undefined` if there is no such path. */
export function fileSystemSpace(path: string): FileSystemSpace | undefined {
  const buffer = new Uint8Array(STATVFS.size);
  if (libc().c.statvfs(cString(path), buffer) < 0) return undefined;
  const view = new DataView(buffer.buffer);
  const fragment = Number(view.getBigUint64(STATVFS.f_frsize, true));
  return {
    size: fragment * Number(view.getBigUint64(STATVFS.f_blocks, true)),
    free: fragment * Number(view.getBigUint64(STATVFS.f_bavail, true)),
  };
}

const limit = new Uint8Array(RLIMIT.size), limitView = new DataView(limit.buffer);

/** How many descriptors this process may have: now, and after asking for more. */
export function descriptorLimit(): { soft: number; hard: number } {
  const { c, errnoCell } = libc();
  check(c.getrlimit(RLIMIT_NOFILE, limit), errnoCell[0]!, "getrlimit", "Cannot read the limit of descriptors");
  return {
    soft: Number(limitView.getBigUint64(RLIMIT.rlim_cur, true)),
    hard: Number(limitView.getBigUint64(RLIMIT.rlim_max, true)),
  };
}

/** Bytes of memory and swap space that could be had now, as the kernel estimates; `undefined` if it does not say. */
export function availableMemory(): number | undefined {
  const text = readTextFile("/proc/meminfo") ?? "";
  const memory = /^MemAvailable: *([0-9]+) kB$/m.exec(text), swap = /^SwapFree: *([0-9]+) kB$/m.exec(text);
  if (memory === null) return undefined;
  return (Number(memory[1]) + Number(swap?.[1] ?? 0)) * 1024;
}
