// One request for a lock, from its ticket to its end.
//
// It is Lamport's bakery: who comes takes a ticket, and has the lock when nobody that excludes it has a lower one. Nobody
// decides for others, so nobody can die half-way through a decision. Whether a request still counts, the kernel says: it
// drops the lock on its byte when its owner dies, in whatever container.
import { PendingWait, type WaitOptions } from "../../base/wait.ts";
import { IpcError } from "../../base/error.ts";
import { step } from "../../base/step_hook.ts";
import { BellListener } from "../../ffi/event/doorbell.ts";
import { createNamedBell, ringByName } from "../../ffi/event/named_bell.ts";
import { isPlaceTaken, leavePlace, tryTakePlace } from "../../ffi/file/file_lock.ts";
import { Trusted } from "../../ffi/file/trust.ts";
import { unlinkFile } from "../../ffi/file/unlink.ts";
import { ownPid } from "../../ffi/process/liveness.ts";
import { OpenThing } from "../../ffi/process/open_things.ts";
import {
  CHOOSING,
  EXCLUSIVE,
  FREE,
  HELD,
  R_MODE,
  R_PID,
  R_STATE,
  R_TICKET,
  requestAt,
  REQUESTS,
  SHARED,
  W_DIED,
  W_NEXT,
  WAITING,
} from "./layout.ts";
import { LockFile } from "./lock_file.ts";
import { bellPath } from "./lock_name.ts";

/** Milliseconds between two looks of one that waits: nobody rings for a holder that died. */
const LOOK_EVERY = 75;

/** The same behind one that is about to get its ticket, or without a bell. */
const LOOK_SOON = 5;

/**
 * How a lock is held: by one alone, or together with others that share it.
 *
 * @example Many may read, one may write
 * ```ts
 * import { type LockMode, locks } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const modeOf = (writes: boolean): LockMode => writes ? "exclusive" : "shared";
 * const mode = await locks.request("doc-table", { mode: modeOf(false) }, (lock) => lock.mode);
 * assertEquals(mode, "shared");
 * ```
 */
export type LockMode = "exclusive" | "shared";

/** A request that counts in all processes. */
export class LockRequest extends OpenThing {
  readonly name: string;
  readonly #file: LockFile;
  readonly #words: Int32Array<ArrayBuffer>;
  readonly #number: number;
  readonly #at: number;
  readonly #ticket: number;
  readonly #mode: number;
  #bell: BellListener | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;
  #ended = false;
  /** Once it is held: the process of a holder that has died, of which this one is the first to hear; 0 for none. */
  deadOwner = 0;

  /**
   * Joins the queue.
   *
   * @throws {IpcError} `System` if there are too many requests for the lock; `Permission`, `Incompatible`.
   */
  constructor(name: string, mode: LockMode) {
    super();
    this.name = name;
    this.#mode = mode === "shared" ? SHARED : EXCLUSIVE;
    const file = this.#file = LockFile.open(name);
    const words = this.#words = file.words;
    try {
      this.#number = this.#takeNumber();
    } catch (error) {
      file.close();
      throw error;
    }
    this.#at = requestAt(this.#number);
    // First the sign that it has no ticket yet: who has a higher one and does not see this sign has come before.
    Atomics.store(words, this.#at + R_STATE, CHOOSING);
    step("lock-choosing");
    this.#ticket = Atomics.add(words, W_NEXT, 1);
    step("lock-ticket");
    Atomics.store(words, this.#at + R_TICKET, this.#ticket);
    Atomics.store(words, this.#at + R_MODE, this.#mode);
    Atomics.store(words, this.#at + R_PID, ownPid());
    Atomics.store(words, this.#at + R_STATE, WAITING);
    step("lock-waiting");
    this.opened();
  }

  /** A free place in the table, or, if there is none, one whose owner is dead. */
  #takeNumber(): number {
    const { fd } = this.#file.fd;
    for (const any of [false, true]) {
      for (let n = 0; n < REQUESTS; n++) {
        if (!any && Atomics.load(this.#words, requestAt(n) + R_STATE) !== FREE) continue;
        if (!tryTakePlace(fd, n)) continue;
        this.#bury(n);
        return n;
      }
    }
    throw new IpcError("System", `Cannot request the lock "${this.name}": ${REQUESTS} requests wait for it already`);
  }

  /** What the last owner of a place has left, which is dead or has left it; the place is taken. */
  #bury(n: number): void {
    const state = requestAt(n) + R_STATE;
    if (Atomics.load(this.#words, state) === HELD) this.#noteDeath(n);
    Atomics.store(this.#words, state, FREE);
  }

  /** Has the next holder told of the death of one; any number but 0 says that there was one. */
  #noteDeath(n: number): void {
    Atomics.store(this.#words, W_DIED, Atomics.load(this.#words, requestAt(n) + R_PID) || -1);
  }

  /**
   * Takes the lock if nobody that excludes it comes first.
   *
   * @returns Whether it has it now; "soon" if that cannot be told for a moment.
   */
  tryGrant(): boolean | "soon" {
    for (let n = 0; n < REQUESTS; n++) {
      if (n === this.#number || !this.#precedes(n)) continue;
      if (isPlaceTaken(this.#file.fd.fd, n)) {
        // It may have got its ticket, or have ended, since it was looked at.
        if (!this.#precedes(n)) continue;
        return Atomics.load(this.#words, requestAt(n) + R_STATE) === CHOOSING ? "soon" : false;
      }
      if (!tryTakePlace(this.#file.fd.fd, n)) return "soon"; // another buries it, or has just come
      this.#bury(n);
      leavePlace(this.#file.fd.fd, n);
    }
    Atomics.store(this.#words, this.#at + R_STATE, HELD);
    step("lock-held");
    this.deadOwner = Atomics.exchange(this.#words, W_DIED, 0);
    return true;
  }

  /** Whether a request, if its owner lives, must end before this one has the lock. */
  #precedes(n: number): boolean {
    const words = this.#words, at = requestAt(n);
    const state = Atomics.load(words, at + R_STATE);
    if (state === FREE) return false;
    if (state === CHOOSING) return true;
    if (this.#mode === SHARED && Atomics.load(words, at + R_MODE) === SHARED) {
      // A dead one excludes nobody, but somebody must be told of it.
      return state === HELD && !isPlaceTaken(this.#file.fd.fd, n);
    }
    return ((Atomics.load(words, at + R_TICKET) - this.#ticket) | 0) < 0; // tickets wrap around; differences do not
  }

  /** Resolves when it has the lock. */
  async wait(options: WaitOptions): Promise<void> {
    const wait = new PendingWait<void>(`get the lock "${this.name}"`, options, () => {});
    const look = () => {
      if (wait.settled || this.#ended) return;
      try {
        const granted = this.tryGrant();
        if (granted === true) wait.resolve();
        else if (granted === "soon") setTimeout(look, LOOK_SOON);
      } catch (error) {
        wait.reject(error);
      }
    };
    try {
      this.#listen(look);
      this.#timer = setInterval(look, this.#bell === undefined ? LOOK_SOON : LOOK_EVERY);
      look(); // the bell is there now: who ends after this look rings
      await wait.promise;
    } finally {
      this.#rest();
    }
  }

  #listen(look: () => void): void {
    const path = bellPath(this.#file.path, this.#number);
    const fd = createNamedBell(path, 0o600, Trusted.user);
    if (fd === undefined) return;
    this.#bell = new BellListener(fd);
    try {
      this.#bell.listen(look);
      this.#bell.awaited = true;
    } catch {
      this.#closeBell(); // no descriptor left: this one looks by itself
    }
  }

  #closeBell(): void {
    if (this.#bell === undefined) return;
    this.#bell.close();
    this.#bell = undefined;
    unlinkFile(bellPath(this.#file.path, this.#number));
  }

  #rest(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#closeBell();
  }

  /** Gives the lock back, or leaves the queue, and wakes who comes next. Twice is harmless. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.ended();
    this.#rest();
    Atomics.store(this.#words, this.#at + R_STATE, FREE);
    step("lock-ended");
    leavePlace(this.#file.fd.fd, this.#number);
    this.#ringNext();
    this.#file.close();
  }

  /** Those that may have the lock now: the one with the lowest ticket, and all behind it that share it. */
  #ringNext(): void {
    const words = this.#words;
    const waiting: { n: number; ticket: number; shared: boolean }[] = [];
    for (let n = 0; n < REQUESTS; n++) {
      const at = requestAt(n);
      if (Atomics.load(words, at + R_STATE) !== WAITING) continue;
      waiting.push({ n, ticket: (words[at + R_TICKET]! - this.#ticket) | 0, shared: words[at + R_MODE] === SHARED });
    }
    waiting.sort((a, b) => a.ticket - b.ticket);
    let sharing = false;
    for (const { n, shared } of waiting) {
      if (sharing && !shared) return;
      const bell = ringByName(bellPath(this.#file.path, n));
      if (bell === undefined) continue; // dead, or just coming: that one looks by itself
      bell.close();
      if (!shared) return;
      sharing = true;
    }
  }

  /** The program ends while it holds the lock: to the next one it has died. */
  override letGo(): void {
    if (Atomics.load(this.#words, this.#at + R_STATE) === HELD) this.#noteDeath(this.#number);
    this.end();
  }
}
