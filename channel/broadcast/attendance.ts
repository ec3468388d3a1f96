// A subscriber's connection to its topic, apart from the object that the program has: where it reads, whether it can be
// rung, and how it goes over to the topic that takes the place of one that was removed.
import { IpcError } from "../../base/error.ts";
import { pauseSync } from "../../ffi/event/pause.ts";
import { isSameFile } from "../../ffi/file/file_status.ts";
import type { Trusted } from "../../ffi/file/trust.ts";
import { OpenThing } from "../../ffi/process/open_things.ts";
import { SpinBudget } from "../ring/spin_budget.ts";
import type { LentPublication } from "./borrowed.ts";
import { type From, TopicReader } from "./reader.ts";
import { Seat } from "./seats.ts";
import { leaveTopic, openForSubscribing, type TopicFile } from "./topic_file.ts";
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
  readonly #trusted: Trusted;
  #file: TopicFile;
  #reader: TopicReader;
  #seat: Seat | undefined;
  /** Whether there is no seat for it. */
  #standing = false;
  #closed = false;
  /** Missed in topics that were removed. */
  #missedBefore = 0;
  /** Milliseconds until the next look, of a wait without a seat. */
  #pause = FIRST_LOOK;
  readonly #spins = new SpinBudget(MAX_SPINS, MIN_SPINS);
  readonly #asyncSpins = new SpinBudget(MAX_ASYNC_SPINS, 0);
  readonly #lent = new Set<LentPublication>();

  /**
   * @throws {IpcError} `NotFound` if there is no such topic, `Incompatible`, `Permission`.
   */
  constructor(name: string, from: From, trusted: Trusted) {
    super();
    const path = topicPath(name), what = `Cannot subscribe to "${name}"`;
    const file = openForSubscribing(path, what, trusted);
    if (file === undefined) {
      throw new IpcError(
        "NotFound",
        `${what}: there is no topic of that name; open a publisher first, which makes it (looked for "${path}")`,
      );
    }
    this.name = name;
    this.#trusted = trusted;
    this.#file = file;
    this.#reader = new TopicReader(file.memory, from);
    this.opened();
  }

  get closed(): boolean {
    return this.#closed;
  }

  get missed(): number {
    return this.#missedBefore + this.#reader.missed;
  }

  get path(): string {
    return this.#file.path;
  }

  get capacity(): number {
    return this.#open().#file.memory.capacity;
  }

  /** The reader: another one after this has gone over to another topic. */
  get reader(): TopicReader {
    this.#open();
    return this.#reader;
  }

  #open(): this {
    if (this.#closed) throw new IpcError("Closed", `Cannot receive from "${this.name}": this subscriber was closed`);
    return this;
  }

  /** Looks for a message for some microseconds, if messages have been coming in quick succession. */
  spin(blocking: boolean): boolean {
    const budget = blocking ? this.#spins : this.#asyncSpins;
    const { polls } = budget, reader = this.#reader;
    if (polls === 0) return false;
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
    if (this.#reader.memory.removed) return false;
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
    return this.#reader.waiting;
  }

  /** Does not want to be rung any more. */
  disarm(): void {
    this.#seat?.disarm();
    this.#pause = FIRST_LOOK;
  }

  /** Milliseconds after which a wait should look by itself. */
  get nextLook(): number {
    if (this.#reader.memory.removed) return LOST_LOOK;
    if (this.#seat !== undefined) return SLOW_LOOK;
    const pause = this.#pause;
    this.#pause = Math.min(2 * pause, LAST_LOOK);
    return pause;
  }

  /** Blocks until it is rung, or until it should look by itself. The bell is armed, if there is one. */
  sleepSync(deadline: number): void {
    const began = performance.now(), until = Math.min(deadline, began + this.nextLook);
    if (this.#seat !== undefined && !this.#reader.memory.removed) {
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
    this.#missedBefore += this.#reader.missed;
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
      leaveTopic(this.#file);
    }
  }

  /** Leaves the topic. Twice is harmless. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.ended();
    this.#letGoOfTopic();
  }

  override letGo(): void {
    this.close();
  }
}
