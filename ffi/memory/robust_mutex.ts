// glibc's process-shared, robust mutex in mapped memory.
//
// Only for memory shared by processes that trust one another: the mutex holds pointers of glibc's, and a process that edits
// them owns the process that locks next.
//
// Of the normal type, which never compares the caller's thread number with the owner's: the main process of every
// container is number 1. For the same reason this never waits inside `pthread_mutex_lock`. While glibc waits there, it
// has told the kernel that this thread may own the mutex, and if the thread is killed, the kernel compares numbers: a
// namesake in another container would be declared dead while it holds the lock. So locking is trying, which takes
// nanoseconds, and waiting is a futex of ours on glibc's own lock word, in which glibc and the kernel keep the owner's
// number and a bit that says that somebody sleeps. Who unlocks, in any language, wakes one of those that sleep.
import { IpcError } from "../../base/error.ts";
import { NotedLock } from "../process/isolate_notes.ts";
import { libc, systemError } from "../libc/libc.ts";
import { runtime } from "../runtime/mod.ts";
import type { Pointer } from "../runtime/runtime.ts";
import type { CellMutex, LockResult } from "../contract/mutex.ts";
import type { MappedMemory } from "../contract/memory.ts";
import { sleepAt } from "./futex.ts";
import {
  EBUSY,
  ENOTRECOVERABLE,
  EOWNERDEAD,
  FUTEX_OWNER_DIED,
  FUTEX_TID_MASK,
  FUTEX_WAITERS,
  PTHREAD_MUTEX_NORMAL,
  PTHREAD_MUTEX_ROBUST,
  PTHREAD_PROCESS_SHARED,
} from "../libc/platform.ts";

/** Milliseconds that the thread sleeps at a time: what a wake-up that was lost costs at most. */
const LONGEST_SLEEP = 100;

/** The C library of this process, whose mutexes no other understands: the lowest byte of {@linkcode mutexMark}. */
const GLIBC = 1;

/** What a program must know of a mutex before it uses one that another has made: the C library, and its size there. */
export function mutexMark(): number {
  return GLIBC | libc().platform.mutexSize << 8;
}

/** The thread that holds a mutex, by its first word and in its own PID namespace's numbers; `undefined` if none does. */
export function mutexOwner(word: number): number | undefined {
  const tid = word & FUTEX_TID_MASK;
  return tid === 0 || (word & FUTEX_OWNER_DIED) !== 0 ? undefined : tid;
}

/**
 * A mutex at an address. Lock and unlock it on the isolate's own thread, always: to the kernel the owner is a thread,
 * so a lock taken by a `nonblocking` FFI call would belong to a thread of the pool. One object a thread and mutex: it knows
 * whether it holds the lock, by what it did and not by the number of the thread.
 */
export class RobustMutex implements CellMutex {
  #pointer: Pointer | null;
  /** glibc's lock word: the first of the mutex. */
  readonly #word: Int32Array;
  readonly #tid: number;
  readonly #c = libc().c;
  #held = false;
  readonly #note: NotedLock;

  /**
   * @param mapping The shared memory; it must stay mapped until {@linkcode close}.
   * @param offset Where the `pthread_mutex_t` lies in it, in bytes, a multiple of 8.
   */
  constructor(mapping: MappedMemory, offset: number) {
    mapping.outliveThread();
    this.#pointer = mapping.pointerAt(offset);
    this.#word = new Int32Array(mapping.buffer, offset, 1);
    this.#tid = libc().c.gettid();
    this.#note = new NotedLock(runtime.address(this.#pointer));
  }

  /** The address, as long as there is memory behind it. */
  get #address(): Pointer {
    if (this.#pointer === null) throw closed();
    return this.#pointer;
  }

  /** The memory is about to go: from now on every call is an error, not an access to it. */
  close(): void {
    this.#pointer = null;
    this.#note.forget();
  }

  /** Makes a new mutex in memory that nobody else sees yet. */
  initialize(): void {
    const { c } = libc();
    const attributes = new Uint8Array(16); // pthread_mutexattr_t is 4 bytes on x86-64, 8 on arm64
    const what = "Cannot make a process-shared mutex";
    expectZero(c.pthread_mutexattr_init(attributes), "pthread_mutexattr_init", what);
    expectZero(
      c.pthread_mutexattr_setpshared(attributes, PTHREAD_PROCESS_SHARED),
      "pthread_mutexattr_setpshared",
      what,
    );
    expectZero(c.pthread_mutexattr_setrobust(attributes, PTHREAD_MUTEX_ROBUST), "pthread_mutexattr_setrobust", what);
    expectZero(c.pthread_mutexattr_settype(attributes, PTHREAD_MUTEX_NORMAL), "pthread_mutexattr_settype", what);
    expectZero(c.pthread_mutex_init(this.#address, attributes), "pthread_mutex_init", what);
  }

  /** Takes the lock if nobody holds it. */
  tryLock(): LockResult {
    const address = this.#pointer;
    if (address === null) throw closed();
    // A namesake: not even an attempt, for the reason above. This thread itself does not hold it.
    const word = this.#word[0]!;
    if (word !== 0 && (word & ~FUTEX_WAITERS) === this.#tid) return "busy";
    const result = this.#c.pthread_mutex_trylock(address);
    if (result === 0) {
      this.#held = this.#note.held = true;
      return "locked";
    }
    if (result === EBUSY) return "busy";
    if (result !== EOWNERDEAD) throw lockError(result);
    this.#held = this.#note.held = true;
    return "owner-died";
  }

  /**
   * Waits for the lock; the thread sleeps.
   *
   * @param timeout Milliseconds; by default as long as it takes.
   */
  lock(timeout = Infinity): LockResult {
    if (this.#held) return "deadlock";
    const first = this.tryLock();
    if (first !== "busy") return first;
    const deadline = performance.now() + timeout;
    for (let left = timeout; left > 0; left = deadline - performance.now()) {
      this.#sleep(Math.min(left, LONGEST_SLEEP));
      const result = this.tryLock();
      if (result === "busy") continue;
      // Others may sleep as well, and the attempt does not say so: who unlocks wakes the next one.
      Atomics.or(this.#word, 0, FUTEX_WAITERS);
      return result;
    }
    return "timeout";
  }

  /** Until the lock is given back, the owner dies, or the time is over. */
  #sleep(milliseconds: number): void {
    const word = this.#word;
    const found = Atomics.load(word, 0);
    if ((found & FUTEX_TID_MASK) === 0 || (found & FUTEX_OWNER_DIED) !== 0) return;
    const marked = found | FUTEX_WAITERS;
    if (found !== marked && Atomics.compareExchange(word, 0, found, marked) !== found) return;
    sleepAt(this.#address, marked, milliseconds, "Cannot wait for a mutex");
  }

  /** Declares the data repaired after `owner-died`. Without it the mutex can never be locked again. */
  consistent(): void {
    expectZero(
      libc().c.pthread_mutex_consistent(this.#address),
      "pthread_mutex_consistent",
      "Cannot repair a mutex whose owner died",
    );
  }

  /** Gives the lock back. Only the thread that holds it may. */
  unlock(): void {
    const address = this.#pointer;
    if (address === null) throw closed();
    const result = this.#c.pthread_mutex_unlock(address);
    this.#held = false;
    if (result !== 0) throw systemError("Cannot unlock a mutex", "pthread_mutex_unlock", result);
    this.#note.held = false;
  }
}

function expectZero(result: number, syscall: string, what: string): void {
  if (result !== 0) throw systemError(what, syscall, result);
}

function closed(): IpcError {
  return new IpcError("Closed", "Cannot lock a cell: it was closed; load it again");
}

function lockError(errno: number): IpcError {
  const syscall = "pthread_mutex_trylock";
  if (errno !== ENOTRECOVERABLE) return systemError("Cannot lock a mutex", syscall, errno);
  return new IpcError(
    "Corrupt",
    "Cannot lock: the last owner died, and the next one did not repair the data; remove the shared memory",
    { errno, syscall },
  );
}
