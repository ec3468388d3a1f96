// A subscriber's connection to its topic, apart from the object that the program has: where it reads, whether it can be
// rung, and how it goes over to the topic that takes the place of one that was removed.
import { IpcError } from "../../base/error.ts";
import { pauseSync } from "../../ffi/event/pause.ts";
import { backgroundTimer } from "../../ffi/event/background_timer.ts";
import { isFolder, isSameFile } from "../../ffi/file/file_status.ts";
import type { Trusted } from "../../ffi/file/trust.ts";
import { OpenThing } from "../../ffi/process/open_things.ts";
import { SpinBudget } from "../ring/spin_budget.ts";
import type { LentPublication } from "./borrowed.ts";
import { type From, TopicReader } from "./reader.ts";
import { Seat } from "./seats.ts";
import { folderOf, leaveTopic, openForSubscribing, type TopicFile } from "./topic_file.ts";
import { topicPath } from "./topic_name.ts";

/** Looks for a message before a wait sleeps, of some 10 ns each: blocking, and while the event loop waits as well. */
const MAX_SPINS = 4000, MIN_SPINS = 16, MAX_ASYNC_SPINS = 1000;

/** Milliseconds between two looks of a wait that cannot be rung: at first, and after a while. */
const FIRST_LOOK = 1, LAST_LOOK = 16;

/**
 * The same for one that can be: for what nobody rings for, a message whose publisher died before it rang, and files that
 * were removed behind everybody's back.
 */
const SLOW_LOOK = 1000;

/** The same while there is no topic at the path. */
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
  /** Ends the look for a topic that has not been made yet. */
  #looking: (() => void) | undefined;
  /** Missed in topics that were removed. */
  #missedBefore = 0;
  /** Milliseconds until the next look, of a wait without a seat. */
  #pause = FIRST_LOOK;
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
    // Of a topic that has not been made yet, everything counts: this looks for it, also while the program waits for nothing.
    if (this.#file === undefined) this.#looking = backgroundTimer(() => this.#lookForTopic(), LAST_LOOK);
    this.opened();
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
    this.#looking?.();
    this.#looking = undefined;
    return true;
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
    const began = performance.now();
    for (let i = 0; i < polls; i++) {
      if (!reader.mayBeWaiting) continue;
      budget.paid(performance.now() - began);
      return true;
    }
    return false;
  }

  /** A wait that has slept for so long has ended. */
  slept(milliseconds: number, blocking: boolean): void {
    (blocking ? this.#spins : this.#asyncSpins).inVain(milliseconds);
  }

  /** Asks to be rung; a message that is there by now must be looked for afterwards. `false` if that cannot be. */
  arm(): boolean {
    if (this.#file === undefined || this.#file.memory.removed) return false;
    const { seats, path, status } = this.#file;
    if (this.#seat === undefined && !this.#standing) {
      this.#seat = seats && Seat.take(seats, path, status.mode, this.#trusted);
      this.#standing = this.#seat === undefined;
    }
    this.#seat?.arm();
    return this.#seat !== undefined;
  }

  /** The seat, if it has one. */
  get seat(): Seat | undefined {
    return this.#seat;
  }

  /** Whether a message is there, for certain. */
  get hasMessage(): boolean {
    return this.#reader?.waiting ?? false;
  }

  /** Does not want to be rung any more. */
  disarm(): void {
    this.#seat?.disarm();
    this.#pause = FIRST_LOOK;
  }

  /** Milliseconds after which a wait should look by itself. */
  get nextLook(): number {
    if (this.#file?.memory.removed) return LOST_LOOK;
    if (this.#seat !== undefined) return SLOW_LOOK;
    const pause = this.#pause;
    this.#pause = Math.min(2 * pause, LAST_LOOK);
    return pause;
  }

  /** Blocks until it is rung, or until it should look by itself. The bell is armed, if there is one. */
  sleepSync(deadline: number): void {
    const began = performance.now(), until = Math.min(deadline, began + this.nextLook);
    if (this.#seat !== undefined && !this.#file?.memory.removed) {
      if (this.#seat.bell.waitSync(until) === "rung") this.#seat.rung();
      this.#seat.disarm();
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
    this.#looking?.();
    this.#letGoOfTopic();
  }

  override letGo(): void {
    this.close();
  }
}
