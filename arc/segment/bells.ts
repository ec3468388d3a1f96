// Waking isolates that wait for a cell: a table of bells in the segment, and a doorbell with a name for each that was ever needed.
//
// An isolate takes one bell when it first has to wait. It lies beside the cell, so that it works wherever the cell
// does: across containers and users, in C and Python. The event loop reads it, without a thread.
import { BellListener, hasListener, heardUnawaited, ringBell } from "../../ffi/event/doorbell.ts";
import { createNamedBell, ringByName } from "../../ffi/event/named_bell.ts";
import { listDirectory } from "../../ffi/file/directory.ts";
import type { IpcFd } from "../../ffi/file/fd.ts";
import {
  ID_TID,
  isOwnerAlive,
  leaveIdentity,
  settleIdentity,
  takeIdentity,
} from "../../ffi/process/shared_identity.ts";
import type { Trusted } from "../../ffi/file/trust.ts";
import { unlinkFile } from "../../ffi/file/unlink.ts";
import { SHARED_FOLDER } from "../../ffi/file/named_file.ts";
import { BELL_PREFIX, bellPath } from "./cell_name.ts";
import {
  BELL_COUNT,
  BELL_TABLE,
  BELL_WORDS,
  BELLS_IN_USE,
  NEXT_TICKET,
  STARVING,
  WAITERS,
  WATCHERS,
} from "./header.ts";

/**
 * ```text
 * 0  4  thread id of the owner; 0 if free, negative while it is being taken
 * 4  4  start time of that thread; its PID namespace while it is being taken
 * 8  4  its PID namespace
 * 12 4  wants: bit 0 to be rung when the lock is free, bit 1 when the value has changed
 * 16 4  ticket: of several that want the lock, the lowest is rung
 * 20 12 reserved, 0
 * ```
 */
const WANTS = 3, TICKET = 4;

/** Bits of the word `wants`. */
export const WANTS_LOCK = 1, WANTS_CHANGE = 2;

/** From how many doorbells on those of the dead are looked for when one more is opened, and most that are kept open. */
const LOOKED_THROUGH = 4, KEPT = 64;

/** The bells of one cell, as one isolate uses them. */
export class Bells {
  readonly #words: Int32Array<ArrayBuffer>;
  readonly #inode: bigint;
  readonly #mode: number;
  readonly #trusted: Trusted;
  readonly #onRing: () => void;
  #own = -1;
  #refused = false;
  #listener: BellListener | undefined;
  #awaited = false;
  /** Doorbells that this isolate has rung, open for the next time, the last one last. A dead owner's fails, and is opened anew. */
  readonly #ringing = new Map<number, IpcFd>();

  /**
   * @param words The header of the cell and its table.
   * @param inode The number of the cell's file, which the names of the doorbells contain.
   * @param mode The permissions of the cell's file; the doorbells get the same.
   * @param trusted Whose doorbells are used again, if they cannot be removed.
   * @param onRing Called from the event loop when this isolate is rung. Spurious calls happen.
   */
  constructor(words: Int32Array<ArrayBuffer>, inode: bigint, mode: number, trusted: Trusted, onRing: () => void) {
    this.#words = words;
    this.#inode = inode;
    this.#mode = mode;
    this.#trusted = trusted;
    this.#onRing = onRing;
  }

  /** Number of the bell of this isolate; -1 if it has none. */
  get own(): number {
    return this.#own;
  }

  #at(bell: number, word: number): number {
    return BELL_TABLE + bell * BELL_WORDS + word;
  }

  /** Whether this isolate has a bell, or can have one as far as it knows. */
  get available(): boolean {
    return !this.#refused;
  }

  /** How many bells to look at. Others may write this word, so it is bounded. */
  get #inUse(): number {
    return Math.min(Math.max(Atomics.load(this.#words, BELLS_IN_USE), 0), BELL_COUNT);
  }

  /** Takes a bell unless this isolate has one. `false` if it cannot: the caller must look now and then instead. */
  open(): boolean {
    if (this.#own >= 0) return true;
    if (this.#refused) return false;
    const bell = this.#claim();
    const fd = bell < 0 ? undefined : createNamedBell(bellPath(this.#inode, bell), this.#mode, this.#trusted);
    if (fd === undefined) {
      if (bell >= 0) leaveIdentity(this.#words, this.#at(bell, 0));
      this.#refused = true;
      return false;
    }
    this.#listener = new BellListener(fd);
    this.#listener.listen(this.#onRing);
    this.awaited = this.#awaited;
    // The event loop has a descriptor of its own, which ends with the isolate even if a Worker is terminated.
    fd.close();
    this.#own = bell;
    return true;
  }

  /** Takes a bell: a free one, or, if there is none, one whose owner is dead. */
  #claim(): number {
    const words = this.#words;
    for (const takeOver of [false, true]) {
      for (let bell = 0; bell < BELL_COUNT; bell++) {
        const at = this.#at(bell, 0);
        if (!takeOver && Atomics.load(words, at + ID_TID) !== 0) continue;
        if (!takeIdentity(words, at, (tid, start) => takeOver && !isOwnerAlive(words, at, tid, start))) continue;
        Atomics.store(words, this.#at(bell, WANTS), 0);
        settleIdentity(words, at);
        for (let used = this.#inUse; used <= bell; used = this.#inUse) {
          Atomics.compareExchange(words, BELLS_IN_USE, used, bell + 1);
        }
        return bell;
      }
    }
    return -1;
  }

  /** A number that is lower than what later callers get, in all processes. */
  takeTicket(): number {
    return Atomics.add(this.#words, NEXT_TICKET, 1);
  }

  /** Asks to be rung. What is waited for must be looked at once more afterwards. `false` if there is no bell. */
  arm(wants: number, ticket = 0): boolean {
    if (!this.open()) return false;
    const words = this.#words;
    if ((wants & WANTS_LOCK) !== 0) Atomics.store(words, this.#at(this.#own, TICKET), ticket);
    // First the bell, then the sign that bells are wanted: a ringer takes the sign down before it looks at the bells.
    Atomics.or(words, this.#at(this.#own, WANTS), wants);
    Atomics.store(words, (wants & WANTS_LOCK) !== 0 ? WAITERS : WATCHERS, 1);
    return true;
  }

  /** Takes the wish back. `false` if somebody has rung, or is about to, or there was no wish. */
  disarm(wants: number): boolean {
    if (this.#own < 0) return false;
    return (Atomics.and(this.#words, this.#at(this.#own, WANTS), ~wants) & wants) !== 0;
  }

  /** Rings who has waited longest for the lock, if anybody does. Call it when the lock was given back. */
  ringWaiter(): void {
    const words = this.#words;
    if (Atomics.load(words, WAITERS) === 0) return;
    Atomics.store(words, WAITERS, 0);
    for (;;) {
      const starving = Atomics.load(words, STARVING) - 1;
      let chosen = -1, lowest = 0, wanting = 0;
      for (let bell = this.#inUse - 1; bell >= 0; bell--) {
        if ((Atomics.load(words, this.#at(bell, WANTS)) & WANTS_LOCK) === 0) continue;
        wanting++;
        const ticket = Atomics.load(words, this.#at(bell, TICKET));
        // Tickets wrap around; differences do not.
        if (chosen < 0 || bell === starving || (chosen !== starving && ((ticket - lowest) | 0) < 0)) {
          chosen = bell;
          lowest = ticket;
        }
      }
      if (chosen < 0) return;
      if (wanting > 1) Atomics.store(words, WAITERS, 1);
      if ((Atomics.and(words, this.#at(chosen, WANTS), ~WANTS_LOCK) & WANTS_LOCK) === 0) continue; // rung by another
      if (this.#ringBell(chosen)) return;
      if (chosen === starving) Atomics.compareExchange(words, STARVING, chosen + 1, 0);
    }
  }

  /** Rings everybody who waits for a change. Call it when the value was switched. */
  ringWatchers(): void {
    const words = this.#words;
    if (Atomics.load(words, WATCHERS) === 0) return;
    Atomics.store(words, WATCHERS, 0);
    for (let bell = this.#inUse - 1; bell >= 0; bell--) {
      if ((Atomics.and(words, this.#at(bell, WANTS), ~WANTS_CHANGE) & WANTS_CHANGE) !== 0) this.#ringBell(bell);
    }
  }

  /** Rings one bell; `false` if its owner is dead. */
  #ringBell(bell: number): boolean {
    if (bell === this.#own) {
      queueMicrotask(this.#onRing);
      return true;
    }
    const known = this.#ringing.get(bell);
    if (known !== undefined) {
      if (ringBell(known.fd)) return true;
      known.close();
      this.#ringing.delete(bell);
    }
    const opened = ringByName(bellPath(this.#inode, bell));
    if (opened === undefined) return false;
    this.#keep(bell, opened);
    return true;
  }

  /** Keeps a doorbell open for the next time, in the place of those whose owners are gone. */
  #keep(bell: number, opened: IpcFd): void {
    if (this.#ringing.size >= LOOKED_THROUGH) {
      for (const [other, fd] of this.#ringing) {
        if (!hasListener(fd.fd) || this.#ringing.size >= KEPT) {
          fd.close();
          this.#ringing.delete(other);
        }
      }
    }
    this.#ringing.set(bell, opened);
  }

  /** Whether somebody waits here, whose timer keeps the process alive. */
  set awaited(value: boolean) {
    this.#awaited = value;
    if (!heardUnawaited && this.#listener !== undefined) this.#listener.awaited = value;
  }

  /** Gives the bell of this isolate back and closes what it rang. */
  close(): void {
    for (const fd of this.#ringing.values()) fd.close();
    this.#ringing.clear();
    this.#listener?.close();
    this.#listener = undefined;
    if (this.#own < 0) return;
    const words = this.#words;
    Atomics.store(words, this.#at(this.#own, WANTS), 0);
    unlinkFile(bellPath(this.#inode, this.#own)); // another user's, used again, stays
    leaveIdentity(words, this.#at(this.#own, 0));
    this.#own = -1;
  }
}

/** Removes what the dead left of a cell whose file nobody holds any more. Before the cell itself: then nothing is lost
 * if this process dies in between. */
export function removeBells(inode: bigint): void {
  const beginning = bellPath(inode, 0).slice(SHARED_FOLDER.length + 1, -1);
  for (const name of listDirectory(SHARED_FOLDER)) {
    // Those of another user stay, and are used again, or removed by who may.
    if (name.startsWith(BELL_PREFIX) && name.startsWith(beginning)) unlinkFile(`${SHARED_FOLDER}/${name}`);
  }
}
