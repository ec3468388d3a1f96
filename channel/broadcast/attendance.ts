// A subscriber's connection to its topic, apart from the object that the program has: where it reads, whether it can be
// rung, and how it goes over to the topic that takes the place of one that was removed.
import { IpcError } from "../../base/error.ts";
import type { BellListener } from "../../ffi/event/doorbell.ts";
import { pauseSync } from "../../ffi/event/pause.ts";
import { backgroundTimer } from "../../ffi/event/background_timer.ts";
import { isFolder, isSameFile } from "../../ffi/file/file_status.ts";
import type { Trusted } from "../../ffi/file/trust.ts";
import { OpenThing } from "../../ffi/process/open_things.ts";
import { spinPause } from "../ring/spin_pause.ts";
import { SpinBudget } from "../ring/spin_budget.ts";
import type { LentPublication } from "./borrowed.ts";
import { type From, TopicReader } from "./reader.ts";
import { EarlyBell } from "./early_bell.ts";
import { Seat } from "./seats.ts";
import { folderOf, leaveTopic, openForSubscribing, type TopicFile } from "./topic_file.ts";
import { topicPath } from "./topic_name.ts";

/** Looks for a message before a wait sleeps, of some 40 ns each: blocking, and while the event loop waits as well. */
const MAX_SPINS = 1000, MIN_SPINS = 16, MAX_ASYNC_SPINS = 250;

/** Looks before it is worth asking for the time. */
const UNMEASURED_SPINS = 100;

/** Pauses, of some 30 ns each, before the first look: in questions and answers, and at most where messages stream. */
const SHORTEST_BREATH = 4, LONGEST_BREATH = 64;

/** So many messages since the last wait are a stream. */
const STREAM = 3;

/** Milliseconds between two looks of a wait that cannot be rung: at first, and after a while. */
const FIRST_LOOK = 1, LAST_LOOK = 16;

/**
 * The same for one that can be: for what nobody rings for, a message or a topic whose publisher died before it rang, and
 * files that were removed behind everybody's back.
 */
const FIRST_SLOW_LOOK = 5000, LAST_SLOW_LOOK = 60_000;

/** The same, without a doorbell, while there is no topic at the path any more. */
const LOST_LOOK = 50;

/** One subscriber at a topic. */
export class Attendance extends OpenThing {
  readonly name: string;
  readonly path: string;
  readonly #trusted: Trusted;
  /** Both `undefined` until a publisher has made the topic. */
  #file: TopicFile | undefined;
  #reader: TopicReader | undefined;
  #seat: Seat | undefined;
  /** Whether there is no seat for it. */
  #standing = false;
  #closed = false;
  /** While there is no topic at the path: rung when there is. */
  #early: EarlyBell | undefined;
  /** Whether there is no doorbell to be had for that. */
  #unlisted = false;
  /** In its place: ends the look for a topic that has not been made yet. */
  #looking: (() => void) | undefined;
  /** Somebody who waits for a message, and is to look again. */
  #onRing: (() => void) | undefined;
  /** Missed in topics that were removed. */
  #missedBefore = 0;
  /** Milliseconds until the next look, of a wait without a seat. */
  #pause = FIRST_LOOK;
  /** The same, of one that is rung. */
  #slowPause = FIRST_SLOW_LOOK;
  /** Pauses before the next spin, and what had been read before the last. */
  #breath = SHORTEST_BREATH;
  #readBefore = 0;
  readonly #spins = new SpinBudget(MAX_SPINS, MIN_SPINS);
  readonly #asyncSpins = new SpinBudget(MAX_ASYNC_SPINS, 0);
  readonly #lent = new Set<LentPublication>();

  /**
   * @throws {IpcError} `NotFound` if there is no folder for such a topic, `Incompatible`, `Permission`.
   */
  constructor(name: string, from: From, trusted: Trusted) {
    super();
    this.name = name;
    this.path = topicPath(name);
    this.#trusted = trusted;
    if (!this.#attach(from) && !isFolder(folderOf(this.path))) {
      throw new IpcError("NotFound", `Cannot subscribe to "${name}": the folder of "${this.path}" does not exist`);
    }
    // Of a topic that has not been made yet, everything counts: this goes to it also while the program waits for nothing.
    if (this.#file === undefined) this.#comeEarly();
    this.opened();
  }

  #comeEarly(): void {
    const rung = this.#listenForTopic();
    this.#looking = backgroundTimer(() => this.#lookForTopic(), rung ? LAST_SLOW_LOOK : LAST_LOOK);
    try {
      this.#attach("successor"); // it may have been made before anybody could ring
    } catch (error) {
      this.#stopLooking();
      throw error;
    }
  }

  /** Goes to the topic, if there is one by now. */
  #attach(from: From | "successor"): boolean {
    const file = openForSubscribing(this.path, `Cannot subscribe to "${this.name}"`, this.#trusted);
    if (file === undefined) return false;
    try {
      this.#reader = new TopicReader(file.memory, from);
    } catch (error) {
      leaveTopic(file);
      throw error;
    }
    this.#file = file;
    this.#stopLooking();
    return true;
  }

  #stopLooking(): void {
    this.#looking?.();
    this.#looking = undefined;
    this.#early?.close();
    this.#early = undefined;
    this.#unlisted = false;
  }

  /** Has a publisher that makes the topic ring. `false` if none can, or others may make it, who cannot. */
  #listenForTopic(): boolean {
    if (this.#early === undefined && !this.#unlisted && this.#trusted.isUserAlone) {
      this.#early = EarlyBell.make(this.path, () => {
        this.#lookForTopic();
        this.#onRing?.();
      });
    }
    this.#unlisted = this.#early === undefined;
    return !this.#unlisted;
  }

  #lookForTopic(): void {
    try {
      if (this.#file === undefined && !this.#closed) this.#attach("successor");
    } catch {
      // Another user's, or something else: the next wait says so.
    }
  }

  /** Whether there is a next message; {@linkcode reader} has found it then. */
  next(): boolean {
    if (this.#closed) this.#open();
    const reader = this.#reader;
    if (reader !== undefined) return reader.next();
    return this.#attach("successor") && this.#reader!.next();
  }

  get closed(): boolean {
    return this.#closed;
  }

  get missed(): number {
    return this.#missedBefore + (this.#reader?.missed ?? 0);
  }

  get capacity(): number {
    this.#open();
    if (this.#file === undefined) this.#attach("successor");
    const file = this.#file as TopicFile | undefined;
    if (file !== undefined) return file.memory.capacity;
    throw new IpcError("NotFound", `Cannot tell the capacity of "${this.name}": no publisher has made it yet`);
  }

  /** What {@linkcode next} has found a message with: another one after this has gone over to another topic. */
  get reader(): TopicReader {
    return this.#reader!;
  }

  #open(): this {
    if (this.#closed) throw new IpcError("Closed", `Cannot receive from "${this.name}": this subscriber was closed`);
    return this;
  }

  /** Looks for a message for some microseconds, if messages have been coming in quick succession. */
  spin(blocking: boolean): boolean {
    const budget = blocking ? this.#spins : this.#asyncSpins;
    const { polls } = budget, reader = this.#reader;
    if (polls === 0 || reader === undefined) return false;
    // Publishers keep the cache line that they write next, for longer the more has come since the last spin.
    const streams = reader.read - this.#readBefore >= STREAM;
    this.#readBefore = reader.read;
    this.#breath = streams ? Math.min(2 * this.#breath, LONGEST_BREATH) : SHORTEST_BREATH;
    for (let i = 0; i < this.#breath; i++) spinPause();
    const unmeasured = Math.min(polls, UNMEASURED_SPINS);
    for (let i = 0; i < unmeasured; i++) {
      if (reader.mayBeWaiting) {
        budget.paid(0);
        return true;
      }
      spinPause();
    }
    const began = performance.now();
    for (let i = unmeasured; i < polls; i++) {
      if (reader.mayBeWaiting) {
        budget.paid(performance.now() - began);
        return true;
      }
      spinPause();
    }
    return false;
  }

  /** A wait that has slept for so long has ended. */
  slept(milliseconds: number, blocking: boolean): void {
    (blocking ? this.#spins : this.#asyncSpins).inVain(milliseconds);
  }

  /**
   * Asks to be rung; a message, or a topic, that is there by now must be looked for afterwards.
   *
   * @param onRing Called by the event loop then; without it this is for {@linkcode sleepSync}.
   * @returns `false` if that cannot be.
   */
  arm(onRing?: () => void): boolean {
    this.#onRing = onRing;
    if (this.#file === undefined || this.#file.memory.removed) return this.#listenForTopic();
    const { seats, path, status } = this.#file;
    if (this.#seat === undefined && !this.#standing) {
      this.#seat = seats && Seat.take(seats, path, status.mode, this.#trusted);
      this.#standing = this.#seat === undefined;
    }
    if (this.#seat === undefined) return false;
    this.#seat.arm();
    if (onRing !== undefined) this.#seat.bell.listen(this.#onSeatRing);
    return true;
  }

  readonly #onSeatRing = () => {
    this.#seat?.rung();
    this.#onRing?.();
  };

  /** What rings, if anything does. */
  get #bell(): BellListener | undefined {
    return this.#early?.bell ?? this.#seat?.bell;
  }

  /** The program waits by what {@linkcode arm} asked for: keeps the process alive. */
  await(): void {
    const bell = this.#bell;
    if (bell !== undefined) bell.awaited = true;
  }

  /** Whether a message is there, for certain. */
  get hasMessage(): boolean {
    return this.#reader?.waiting ?? false;
  }

  /** Does not want to be rung any more. */
  disarm(): void {
    this.#seat?.disarm();
    this.#pause = FIRST_LOOK;
    this.#slowPause = FIRST_SLOW_LOOK;
  }

  /** Nobody waits: nothing is to be called, nor the process to be kept alive. */
  rest(): void {
    this.disarm();
    this.#onRing = undefined;
    if (this.#early !== undefined) this.#early.bell.awaited = false; // it still rings for the topic itself
    if (this.#seat === undefined) return;
    this.#seat.bell.awaited = false;
    this.#seat.bell.rest();
  }

  /** Milliseconds after which a wait should look by itself; longer each time. */
  get nextLook(): number {
    if (this.#bell !== undefined) {
      const pause = this.#slowPause;
      this.#slowPause = Math.min(2 * pause, LAST_SLOW_LOOK);
      return pause;
    }
    if (this.#file?.memory.removed) return LOST_LOOK;
    const pause = this.#pause;
    this.#pause = Math.min(2 * pause, LAST_LOOK);
    return pause;
  }

  /** Blocks until it is rung, or until it should look by itself. The bell is armed, if there is one. */
  sleepSync(deadline: number): void {
    const began = performance.now(), until = Math.min(deadline, began + this.nextLook);
    const bell = this.#bell;
    if (bell !== undefined) {
      if (bell.waitSync(until) === "rung") this.#seat?.rung();
      this.#seat?.disarm();
    } else pauseSync(Math.max(1, Math.ceil(until - began)));
    this.slept(performance.now() - began, true);
  }

  /**
   * Goes over to the topic that has taken the place of this one, if there is one. Called when this one has no message.
   *
   * @returns Whether it has.
   */
  follow(): boolean {
    const file = this.#file;
    if (file === undefined) return this.#attach("successor");
    if (isSameFile(file.status, file.path)) return false;
    const next = openForSubscribing(file.path, `Cannot go on receiving from "${this.name}"`, this.#trusted);
    if (next === undefined) return false;
    let reader: TopicReader;
    try {
      reader = new TopicReader(next.memory, "successor");
    } catch (error) {
      leaveTopic(next);
      throw error;
    }
    // All of the old one first: nothing more comes to it, unless a publisher goes on without a name.
    this.#missedBefore += this.#reader!.missed;
    this.#letGoOfTopic();
    this.#file = next;
    this.#stopLooking();
    this.#reader = reader;
    this.#standing = false;
    return true;
  }

  /** A message is lent. */
  lend(lent: LentPublication): void {
    this.#lent.add(lent);
  }

  /** A message that was lent has been taken back. */
  readonly takenBack = (lent: LentPublication): void => {
    this.#lent.delete(lent);
  };

  #letGoOfTopic(): void {
    for (const lent of [...this.#lent]) lent.end();
    try {
      this.#seat?.close();
    } finally {
      this.#seat = undefined;
      if (this.#file !== undefined) leaveTopic(this.#file);
    }
  }

  /** Leaves the topic. Twice is harmless. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.ended();
    this.#stopLooking();
    this.#letGoOfTopic();
  }

  override letGo(): void {
    this.close();
  }
}
