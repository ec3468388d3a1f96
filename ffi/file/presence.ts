// Who holds a cell, as locks on single bytes of its file: countable, and dropped by the kernel when a process dies.
//
// ```text
// byte 64 × t + k               the k-th attachment of the isolate on thread t
// byte 0x10000000 + n           any other attachment, n < 65536: of other languages, and of isolates with more than 64
// ```
//
// The number of the thread is there for one case the kernel does not help with: a Worker that was terminated leaves its
// descriptors, and so its locks, to the process. The next attachment in that process closes them.
import { listDirectory, readTextFile } from "./directory.ts";
import { countPlacesTaken, tryTakePlace } from "./file_lock.ts";
import { type FileStatus, fileStatus } from "./file_status.ts";
import { libc } from "../libc/libc.ts";
import { ownThread } from "../process/liveness.ts";

const BYTES_A_THREAD = 64;
/** First byte of attachments that are of no thread; as many as there can be threads lie before it. */
const OTHERS = 0x1000_0000, OTHERS_LENGTH = 65536;

/** Counts an attachment from now on, until its descriptor is closed. `false` if there are too many. */
export function join(fd: number): boolean {
  const own = ownThread().tid * BYTES_A_THREAD;
  for (let k = 0; k < BYTES_A_THREAD && own < OTHERS; k++) if (tryTakePlace(fd, own + k)) return true;
  const first = Math.floor(Math.random() * OTHERS_LENGTH);
  for (let n = 0; n < OTHERS_LENGTH; n++) if (tryTakePlace(fd, OTHERS + (first + n) % OTHERS_LENGTH)) return true;
  return false;
}

/** How many attachments are counted, apart from that of this descriptor. */
export function countOthers(fd: number): number {
  return countPlacesTaken(fd, 0, OTHERS + OTHERS_LENGTH);
}

/** Closes what terminated Workers of this process have left of a cell. */
export function closeForDeadThreads(cell: FileStatus): void {
  // Where /proc is that of another PID namespace, as after `unshare --pid` alone, it has other threads under our numbers.
  if (ownThread().namespace === 0) return;
  for (const entry of listDirectory("/proc/self/fd")) {
    const fd = Number(entry);
    const status = fileStatus(fd);
    if (status?.inode !== cell.inode || status.device !== cell.device) continue;
    // lock:	1: OFDLCK ADVISORY  WRITE -1 00:1a:42 448 448
    const byte = /OFDLCK\s+ADVISORY\s+WRITE\s+\S+\s+\S+\s+(\d+)\s/.exec(readTextFile(`/proc/self/fdinfo/${fd}`) ?? "")
      ?.[1];
    // Without such a lock it is somebody else's, or about to be joined.
    if (byte === undefined || Number(byte) >= OTHERS) continue;
    const tid = Math.floor(Number(byte) / BYTES_A_THREAD);
    if (readTextFile(`/proc/self/task/${tid}/comm`) === undefined) libc().c.close(fd);
  }
}
