// glibc's process-shared, robust, error-checking mutex in mapped memory.
//
// Only for memory shared by processes that trust one another: the mutex holds pointers of glibc's, and whoever edits
// them owns the process that locks next.
import { IpcError } from "./error.ts";
import { libc, systemError } from "./libc.ts";
import type { Mapping } from "./mapping.ts";
import {
  EBUSY,
  EDEADLK,
  ENOTRECOVERABLE,
  EOWNERDEAD,
  ETIMEDOUT,
  PTHREAD_MUTEX_ERRORCHECK,
  PTHREAD_MUTEX_ROBUST,
  PTHREAD_PROCESS_SHARED,
} from "./platform.ts";

const CLOCK_MONOTONIC = 1;
/** Nanoseconds. */
const SECOND = 1_000_000_000n;
/** The longest time-out, in milliseconds: 31 years, whose nanoseconds fit in 64 bits. */
const LONGEST = 1e12;

/**
 * What came of an attempt to lock.
 *
 * - `locked`: held now.
 * - `owner-died`: held now; the last owner died holding it. Repair the data, then {@linkcode RobustMutex.consistent}.
 * - `busy`, `timeout`: not held.
 * - `deadlock`: this very thread holds it already.
 */
export type LockResult = "locked" | "owner-died" | "busy" | "timeout" | "deadlock";

/**
 * A mutex at an address. Lock and unlock it on the isolate's own thread, always: to the kernel the owner is a thread,
 * so a lock taken by a `nonblocking` FFI call would belong to a thread of the pool.
 */
export class RobustMutex {
  readonly #pointer: Deno.PointerObject;

  /**
   * @param mapping The shared memory; it must stay mapped as long as the mutex is used.
   * @param offset Where the `pthread_mutex_t` lies in it, in bytes, a multiple of 8.
   */
  constructor(mapping: Mapping, offset: number) {
    this.#pointer = mapping.pointerAt(offset);
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
    expectZero(c.pthread_mutexattr_settype(attributes, PTHREAD_MUTEX_ERRORCHECK), "pthread_mutexattr_settype", what);
    expectZero(c.pthread_mutex_init(this.#pointer, attributes), "pthread_mutex_init", what);
  }

  /** Takes the lock if nobody holds it. */
  tryLock(): LockResult {
    return toResult(libc().c.pthread_mutex_trylock(this.#pointer), "pthread_mutex_trylock");
  }

  /**
   * Waits for the lock; the thread sleeps.
   *
   * @param timeout Milliseconds; `Infinity` waits for ever.
   */
  lock(timeout = Infinity): LockResult {
    const { c } = libc();
    if (timeout === Infinity) return toResult(c.pthread_mutex_lock(this.#pointer), "pthread_mutex_lock");
    // The monotonic clock: somebody may set the other one while this waits.
    const timespec = new BigInt64Array(2); // { time_t tv_sec; long tv_nsec }
    c.clock_gettime(CLOCK_MONOTONIC, timespec);
    const nanoseconds = timespec[1]! + BigInt(Math.ceil(Math.min(Math.max(0, timeout), LONGEST) * 1e6));
    timespec[0]! += nanoseconds / SECOND;
    timespec[1] = nanoseconds % SECOND;
    return toResult(c.pthread_mutex_clocklock(this.#pointer, CLOCK_MONOTONIC, timespec), "pthread_mutex_clocklock");
  }

  /** Declares the data repaired after `owner-died`. Without it the mutex can never be locked again. */
  consistent(): void {
    expectZero(
      libc().c.pthread_mutex_consistent(this.#pointer),
      "pthread_mutex_consistent",
      "Cannot repair a mutex whose owner died",
    );
  }

  /** Gives the lock back. Only the thread that holds it may. */
  unlock(): void {
    const result = libc().c.pthread_mutex_unlock(this.#pointer);
    if (result !== 0) throw systemError("Cannot unlock a mutex", "pthread_mutex_unlock", result);
  }
}

function expectZero(result: number, syscall: string, what: string): void {
  if (result !== 0) throw systemError(what, syscall, result);
}

function toResult(result: number, syscall: string): LockResult {
  switch (result) {
    case 0:
      return "locked";
    case EOWNERDEAD:
      return "owner-died";
    case EBUSY:
      return "busy";
    case ETIMEDOUT:
      return "timeout";
    case EDEADLK:
      return "deadlock";
    case ENOTRECOVERABLE:
      throw new IpcError(
        "Corrupt",
        "Cannot lock: the last owner died and whoever came next did not repair the data; remove the shared memory",
        { errno: result, syscall },
      );
    default:
      throw systemError("Cannot lock a mutex", syscall, result);
  }
}
