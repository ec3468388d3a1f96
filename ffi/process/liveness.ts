// Whether a thread of some process still lives, exactly: by its number and the moment it started.
import { linkTarget, listDirectory, readTextFile } from "../file/directory.ts";
import { fileStatus } from "../file/file_status.ts";
import { libc } from "../libc/libc.ts";
import { ESRCH } from "../libc/platform.ts";
import { runtime } from "../runtime/mod.ts";

/** Names one thread for as long as the machine runs: numbers are used again, a number and its start time are not. */
export interface ThreadIdentity {
  /** Thread id, as this process's namespace counts. */
  readonly tid: number;
  /** Start time in clock ticks since boot, low 32 bits; 0 if unknown. */
  readonly start: number;
  /**
   * Low 32 bits of the PID namespace's inode: numbers of another namespace mean nothing here. 0 if unknown. Another number
   * where the time since boot is another as well, so that start times mean nothing either.
   */
  readonly namespace: number;
}

/** The inode of the time namespace that Linux begins with, `PROC_TIME_INIT_INO`. */
const FIRST_TIME_NAMESPACE = 0xefff_fffa | 0;

let own: ThreadIdentity | undefined;

/** The thread of this isolate. */
export function ownThread(): ThreadIdentity {
  if (own === undefined) {
    const tid = libc().c.gettid(), namespace = ownNamespace();
    own = { tid, start: namespace === 0 ? 0 : startOf(tid) ?? 0, namespace };
  }
  return own;
}

/** The process that this isolate runs in. */
export function ownPid(): number {
  return runtime.pid;
}

/**
 * Whether a thread lives. One that only has been stopped lives; a zombie does not. When it cannot be known (another
 * PID namespace, no /proc) the answer is `true`, as a living thread must never count as dead.
 */
export function isAlive(thread: ThreadIdentity): boolean {
  const { namespace } = ownThread();
  if (thread.tid <= 0 || namespace === 0 || thread.namespace !== namespace) return true;
  const start = startOf(thread.tid);
  if (start === undefined) return false;
  return start === 0 || thread.start === 0 || start === thread.start;
}

/**
 * Whether a thread has certainly ended, by one cheap system call: `false` may still be a zombie, or a number used
 * again.
 */
export function hasEnded(pid: number, tid: number): boolean {
  const { c, errnoCell } = libc();
  return c.tgkill(pid, tid, 0) < 0 && errnoCell[0]! === ESRCH;
}

/** Start time of a thread that lives, `undefined` if it does not, 0 if that cannot be told. */
function startOf(tid: number): number | undefined {
  // Not /proc/TID/stat: of the own process, QEMU's user mode makes that one up, with a later start than others see.
  const text = readTextFile(`/proc/${tid}/task/${tid}/stat`, 1);
  if (text === undefined || text === "") {
    const { c, errnoCell } = libc();
    // /proc may be hidden (`hidepid`) or not mounted: then the existence of the number is all there is. By `kill`, which
    // finds any thread; `tgkill` needs the number of its process, too, which is another where it is a Worker's.
    if (c.kill(tid, 0) === 0) return 0;
    return errnoCell[0]! === ESRCH ? undefined : 0;
  }
  // The command name may hold spaces and brackets; what follows the last bracket does not.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const state = fields[0];
  if (state === "Z" || state === "X" || state === "x") return undefined;
  return Number(BigInt(fields[19] ?? "0") & 0xffff_ffffn) | 0;
}

/** 0 if it cannot be told, or /proc is that of another namespace: there a number is that of another thread. */
function ownNamespace(): number {
  if (linkTarget("/proc/self") !== `${libc().c.getpid()}`) return 0;
  return namespaceOf("self");
}

/** The namespace of a process, as {@linkcode ThreadIdentity} has it, by its name in /proc; 0 if it cannot be told. */
function namespaceOf(process: string): number {
  const pid = inodeOf(`/proc/${process}/ns/pid`), time = inodeOf(`/proc/${process}/ns/time`);
  // /proc counts start times as the reader's time namespace does, if it has one of its own.
  return pid === 0 || time === 0 || time === FIRST_TIME_NAMESPACE ? pid : Math.imul(pid ^ time, 0x9e37_79b1);
}

/**
 * The process of a thread, as this process numbers it.
 *
 * @param tid The number of the thread in its own PID namespace.
 * @param namespace That namespace, as {@linkcode ThreadIdentity} has it; 0 if it may be any.
 * @param candidates Processes, as this process numbers them, one of which it is.
 * @param count How many there are, with those that cannot be seen.
 * @returns `undefined` unless it is certain.
 */
export function processOfThread(
  tid: number,
  namespace: number,
  candidates: readonly number[],
  count: number,
): number | undefined {
  if (tid === 0 || (namespace === 0 && candidates.length < count)) return undefined; // it may be one of those
  const found: number[] = [];
  for (const pid of new Set(candidates)) {
    if (namespace !== 0 && namespaceOf(`${pid}`) !== namespace) continue;
    for (const task of listDirectory(`/proc/${pid}/task`)) {
      // NSpid:	4711	1
      const numbers = /^NSpid:((?:\s+\d+)+)$/m.exec(readTextFile(`/proc/${pid}/task/${task}/status`) ?? "")?.[1];
      if (numbers !== undefined && Number(numbers.trim().split(/\s+/).at(-1)) === tid) found.push(pid);
    }
  }
  return found.length === 1 ? found[0] : undefined;
}

/** Low 32 bits; 0 if there is none. */
function inodeOf(path: string): number {
  return Number((fileStatus(path, true)?.inode ?? 0n) & 0xffff_ffffn) | 0;
}
