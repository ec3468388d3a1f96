// Sleeping until a word of shared memory changes, and waking those who sleep: across processes, without a descriptor.
import { libc, systemError } from "../libc/libc.ts";
import { EAGAIN, EINTR, ETIMEDOUT, FUTEX_WAIT, FUTEX_WAKE } from "../libc/platform.ts";
import type { Pointer } from "../runtime/runtime.ts";
import type { MappedMemory } from "../contract/memory.ts";
import type { SleepingWord } from "../contract/mutex.ts";

/** The longest sleep, in milliseconds. */
const LONGEST = 999;

/** `struct timespec`. */
const SLEEP = new BigInt64Array(2);

/**
 * Sleeps while a word has a value, until woken, or for so long. Wakes for nothing, too.
 *
 * @param milliseconds At most; less than a second.
 * @param what Begins the message of an error.
 */
export function sleepAt(word: Pointer, value: number, milliseconds: number, what: string): void {
  const { c, errnoCell, platform } = libc();
  SLEEP[0] = 0n, SLEEP[1] = BigInt(Math.ceil(Math.min(milliseconds, LONGEST) * 1e6));
  const result = c.syscall(BigInt(platform.SYS_futex), word, FUTEX_WAIT, value, SLEEP, null, 0);
  const errno = errnoCell[0]!;
  if (result < 0 && errno !== EAGAIN && errno !== ETIMEDOUT && errno !== EINTR) {
    throw systemError(what, "futex", errno);
  }
}

/** One word that threads sleep at. */
export class Futex implements SleepingWord {
  readonly #pointer: Pointer;

  /**
   * @param mapping Shared memory that outlives this object.
   * @param offset Where the word is, in bytes, a multiple of 4.
   */
  constructor(mapping: MappedMemory, offset: number) {
    this.#pointer = mapping.pointerAt(offset);
  }

  /**
   * Sleeps while the word has a value, until woken, or for so long. Wakes for nothing, too: look at the word again.
   *
   * @param milliseconds At most; less than a second.
   */
  sleep(value: number, milliseconds: number): void {
    sleepAt(this.#pointer, value, milliseconds, "Cannot wait for another process");
  }

  /** Wakes one of those who sleep. */
  wakeOne(): void {
    const { c, platform } = libc();
    c.syscall(BigInt(platform.SYS_futex), this.#pointer, FUTEX_WAKE, 1, null, null, 0);
  }
}
