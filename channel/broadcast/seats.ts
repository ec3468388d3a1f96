// Who is at a topic, and who of them sleeps: the file beside it, which only those can open who may publish. They are the
// publishers, and the subscribers of their users; other subscribers, who may do no more than read, look by the clock.
//
// ```text
// byte (of PATH.seats)
//    0  WAITING (4)   not 0 if a subscriber may be asleep: the ticket of the last one that went to sleep
//    8  magic (8)     "ISTHSEAT"
//  256  wants         512 of 4 bytes, one for each seat: the ticket of a subscriber that is asleep, 0 if it is not
//
// lock on the file    shared: attached, as a publisher or as such a subscriber · alone: may remove the topic
// lock on byte n      the publisher in slot n lives, n < 1024
// lock on 2048 + n    the subscriber in seat n lives; it listens at the FIFO PATH.bell.n
// ```
//
// Subscribers write their words by system calls, one word each: they have no memory that they could damage.
import { fence } from "../../base/fence.ts";
import { loadOrdered } from "../../ffi/memory/ordered_load.ts";
import { step } from "../../base/step_hook.ts";
import { BellListener, ringBell } from "../../ffi/event/doorbell.ts";
import { createNamedBell, ringByName } from "../../ffi/event/named_bell.ts";
import type { IpcFd } from "../../ffi/file/fd.ts";
import { leavePlace, tryTakePlace } from "../../ffi/file/file_lock.ts";
import { setLength } from "../../ffi/file/named_file.ts";
import { readWordsAt } from "../../ffi/file/read_at.ts";
import { reopen } from "../../ffi/file/open.ts";
import type { Trusted } from "../../ffi/file/trust.ts";
import { unlinkFile } from "../../ffi/file/unlink.ts";
import { writeWordAt } from "../../ffi/file/write_at.ts";
import { Mapping } from "../../ffi/memory/mapping.ts";
import { allocate } from "../../ffi/memory/storage.ts";
import { bellPath } from "./topic_name.ts";

/** Subscribers that can wait for a ring at a time. */
export const SEATS = 512;
/** Bytes of the file. */
export const SEATS_SIZE = 4096;

const W_WAITING = 0, W_MAGIC = 2, W_WANTS = 64;
/** "ISTHSEAT", as two little-endian words. */
const MAGIC_LOW = 0x48545349, MAGIC_HIGH = 0x54414553;
/** The byte that the first seat is locked by. */
const FIRST_LOCK = 2048;

/** Makes the file what it is to be. */
export function formatSeats(fd: number, what: string): void {
  setLength(fd, SEATS_SIZE, what);
  allocate(fd, 0, SEATS_SIZE, what);
  writeWordAt(fd, W_MAGIC * 4, MAGIC_LOW, what);
  writeWordAt(fd, W_MAGIC * 4 + 4, MAGIC_HIGH, what);
}

/** Whether a file is one of these. */
export function areSeats(fd: number, size: number): boolean {
  if (size < SEATS_SIZE) return false;
  const words = readWordsAt(fd, 0, W_MAGIC + 2);
  return words[W_MAGIC] === MAGIC_LOW && words[W_MAGIC + 1] === MAGIC_HIGH;
}

/** Who may ring the bells of a topic, and lock its seats: who may write to the topic itself. */
export function seatsMode(topicMode: number): number {
  const writers = topicMode & 0o222;
  return writers | (writers << 1);
}

/** What a publisher does when there is a message. */
export class Ringer {
  readonly #mapping: Mapping;
  readonly #words: Int32Array;
  readonly #path: string;
  /** Bells that were rung before. One whose owner is dead fails, and is opened anew. */
  readonly #open = new Map<number, IpcFd>();

  /** @param seats The file, at least {@linkcode SEATS_SIZE} bytes; stays the caller's. */
  constructor(seats: IpcFd, path: string) {
    // By a description of its own: a mapping keeps it open, and with it the locks.
    const apart = reopen(seats.fd, `Cannot publish to "${path}"`);
    try {
      this.#mapping = Mapping.shared(apart.fd, SEATS_SIZE);
      this.#words = new Int32Array(this.#mapping.buffer);
      this.#path = path;
    } finally {
      apart.close();
    }
  }

  /** Wakes everybody who sleeps. Costs one load if nobody does. */
  ring(): void {
    if (loadOrdered(this.#words, W_WAITING) !== 0) this.#ringAll();
  }

  /**
   * The byte goes first, then the word of that subscriber, then the sign that there is any: should this publisher die in
   * between, the next one rings.
   */
  #ringAll(): void {
    const words = this.#words;
    const waiting = Atomics.load(words, W_WAITING);
    for (let seat = 0; seat < SEATS; seat++) {
      const ticket = words[W_WANTS + seat]!;
      if (ticket === 0) continue;
      step("ringing");
      this.#ringOne(seat);
      step("rung");
      Atomics.compareExchange(words, W_WANTS + seat, ticket, 0);
    }
    Atomics.compareExchange(words, W_WAITING, waiting, 0);
  }

  #ringOne(seat: number): void {
    const known = this.#open.get(seat);
    if (known !== undefined) {
      if (ringBell(known.fd)) return;
      known.close();
      this.#open.delete(seat);
    }
    const opened = ringByName(bellPath(this.#path, seat));
    if (opened !== undefined) this.#open.set(seat, opened);
  }

  close(): void {
    for (const fd of this.#open.values()) fd.close();
    this.#open.clear();
    this.#mapping.unmap();
  }
}

/** The seat of a subscriber that can be rung. */
export class Seat {
  readonly #seats: IpcFd;
  readonly #number: number;
  readonly #path: string;
  /** Its doorbell. */
  readonly bell: BellListener;
  #tickets = 0;
  #armed = false;

  private constructor(seats: IpcFd, number: number, path: string, bell: IpcFd) {
    this.#seats = seats;
    this.#number = number;
    this.#path = path;
    this.bell = new BellListener(bell);
  }

  /**
   * Takes a seat, if there is one.
   *
   * @param seats An open file description of this subscriber's alone, for reading and writing; stays the caller's.
   */
  static take(seats: IpcFd, path: string, topicMode: number, trusted: Trusted): Seat | undefined {
    try {
      for (let number = 0; number < SEATS; number++) {
        if (!tryTakePlace(seats.fd, FIRST_LOCK + number)) continue;
        const bell = createNamedBell(bellPath(path, number), seatsMode(topicMode), trusted);
        if (bell !== undefined) return new Seat(seats, number, path, bell);
        leavePlace(seats.fd, FIRST_LOCK + number); // what lies there is another's
      }
    } catch {
      // A file system without locks, or no descriptor left: this one looks by the clock.
    }
    return undefined;
  }

  /** Asks to be rung at the next message. What is there must be looked at once more afterwards. */
  arm(): void {
    // No ticket comes twice while a publisher may have looked at it: not even those of different seats are the same.
    this.#tickets = (this.#tickets + 1) & 0x1f_ffff;
    const ticket = (this.#number << 21) | this.#tickets || 1 << 30;
    const what = "Cannot wait for a message";
    writeWordAt(this.#seats.fd, (W_WANTS + this.#number) * 4, ticket, what);
    writeWordAt(this.#seats.fd, W_WAITING * 4, ticket, what);
    this.#armed = true;
    fence(); // this look at the newest message comes after the words; publishers do it the other way round
  }

  /** It was rung, and publishers have taken the word back. */
  rung(): void {
    this.#armed = false;
  }

  /** Takes the wish back. */
  disarm(): void {
    if (!this.#armed) return;
    this.#armed = false;
    writeWordAt(this.#seats.fd, (W_WANTS + this.#number) * 4, 0, "Cannot end a wait for a message");
  }

  close(): void {
    try {
      this.disarm();
    } finally {
      this.bell.close();
      unlinkFile(bellPath(this.#path, this.#number)); // another user's, used again, stays
      leavePlace(this.#seats.fd, FIRST_LOCK + this.#number);
    }
  }
}
