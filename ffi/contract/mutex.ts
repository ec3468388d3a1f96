// Concept: the cell's mutex.
import type { MappedMemory } from "./memory.ts";

/**
 * How an attempt to lock ended.
 *
 * - `locked`: held now.
 * - `owner-died`: held now; the last owner died holding it. Repair the data, then {@linkcode CellMutex.consistent}.
 * - `busy`, `timeout`: not held.
 * - `deadlock`: this very object holds it already.
 */
export type LockResult = "locked" | "owner-died" | "busy" | "timeout" | "deadlock";

/** A mutex in shared memory. All calls are made on the isolate's own thread. */
export interface CellMutex {
  /** Makes a new one in memory that nobody else sees yet. */
  initialize(): void;
  /** Takes the lock if nobody holds it. */
  tryLock(): LockResult;
  /** Waits for the lock, some milliseconds at most; the thread sleeps. */
  lock(timeout?: number): LockResult;
  /** Declares the data repaired after `owner-died`. Without it the mutex can never be locked again. */
  consistent(): void;
  /** Gives the lock back. */
  unlock(): void;
  /** The memory is about to go: from now on every call is an error. */
  close(): void;
}

/** A word of shared memory that threads sleep at. */
export interface SleepingWord {
  /** Sleeps while the word has a value, until woken, or for some milliseconds. Wakes for nothing, too. */
  sleep(value: number, milliseconds: number): void;
  /** Wakes one of those who sleep. */
  wakeOne(): void;
}

/**
 * A lock for the threads of several processes of one trust domain. The system gives it on when its owner dies, at any
 * instruction, and says so.
 */
export interface CellMutexes {
  /** A number that differs wherever such a mutex would mean something else: to be compared before one is used. */
  mark(): number;
  /** The mutex at some byte of the memory, a multiple of 8, which must stay mapped until it is closed. */
  at(memory: MappedMemory, offset: number): CellMutex;
  /** The thread that holds a mutex, by its first word and in its own numbers; `undefined` if none does. */
  ownerOf(word: number): number | undefined;
  /** A word to sleep at, of four bytes at a multiple of 4: for who waits without a lock. */
  word(memory: MappedMemory, offset: number): SleepingWord;
}
