// Finds the named channels of a folder, and what is known of them without attaching.
import { IpcFd } from "../ffi/fd.ts";
import { listDirectory } from "../ffi/directory.ts";
import { tryLockFile } from "../ffi/file_lock.ts";
import { cString, libc } from "../ffi/libc.ts";
import { O_CLOEXEC, O_NONBLOCK, O_RDWR } from "../ffi/platform.ts";
import { CELL, W_HEAD, W_TAIL } from "./ring_layout.ts";
import { RingMemory } from "./ring_memory.ts";

/** A named channel, as its file tells. */
export interface NamedChannelInfo {
  /** Where it is. */
  readonly path: string;
  /** Bytes that it can hold. */
  readonly capacity: number;
  /** Bytes in it that no receiver has taken, rounded up to whole cells. */
  readonly waiting: number;
  /** Whether a living process is attached to it. */
  readonly attached: boolean;
}

/** The named channels in a folder that this user may open. */
export function listNamedChannels(folder: string): NamedChannelInfo[] {
  const found: NamedChannelInfo[] = [];
  const names = new Set(listDirectory(folder));
  for (const name of names) {
    // The FIFO beside it tells a channel from all other files before anything is opened.
    if (!names.has(`${name}.bell`)) continue;
    const info = namedChannelInfo(`${folder.replace(/\/+$/, "")}/${name}`);
    if (info !== undefined) found.push(info);
  }
  return found;
}

/** What is known of the channel at a path; `undefined` if there is none that can be opened. */
export function namedChannelInfo(path: string): NamedChannelInfo | undefined {
  const { c } = libc();
  const fd = c.open(cString(path), O_RDWR | O_NONBLOCK | O_CLOEXEC, 0);
  if (fd < 0) return undefined;
  const lock = new IpcFd(fd);
  try {
    const memory = RingMemory.attachFile(lock.clone(), `Cannot look at "${path}"`);
    const waiting = ((Atomics.load(memory.words, W_TAIL) - Atomics.load(memory.words, W_HEAD)) | 0) * CELL;
    const capacity = memory.cells * CELL;
    memory.release();
    // Given up at once, by the close below; whoever attaches in this moment tries again.
    return { path, capacity, waiting, attached: !tryLockFile(lock.fd, "alone") };
  } catch {
    return undefined; // some other file
  } finally {
    lock.close();
  }
}
