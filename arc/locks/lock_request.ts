// One request for a lock, from its ticket to its end.
//
// It is Lamport's bakery: who comes takes a ticket, and has the lock when nobody that excludes it has a lower one. Nobody
// decides for others, so nobody can die half-way through a decision. Whether a request still counts, the kernel says: it
// drops the lock on its byte when its owner dies, in whatever container.
import { PendingWait, type WaitOptions } from "../../base/wait.ts";
import { IpcError } from "../../base/error.ts";
import { step } from "../../base/step_hook.ts";
import { createNamedBell } from "../../ffi/event/named_bell.ts";
import type { IpcFd } from "../../ffi/file/fd.ts";
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
import { lifePath } from "./lock_name.ts";
import { Predecessor } from "./predecessor.ts";

/**
 * Milliseconds between two looks, at first and at most, behind a request that cannot be watched: one that is about to get
 * its ticket or to be found dead, which takes a moment unless it was stopped then, or one without a sign of life.
 */
const FIRST_LOOK = 1, LAST_LOOK = 75;

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
  /** Both ends of a pipe, until this request ends: who watches it hears of that, also if this process is killed. */
  readonly #life: IpcFd | undefined;
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
    // Before anybody can find out that this request comes before theirs.
    this.#life = createNamedBell(lifePath(file.path, this.#number), 0o600, Trusted.user);
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

  /** Lets the next holder know that one died; any number but 0 says that there was one. */
  #noteDeath(n: number): void {
    Atomics.store(this.#words, W_DIED, Atomics.load(this.#words, requestAt(n) + R_PID) || -1);
  }

  /**
   * Takes the lock if nobody that excludes it comes first.
   *
   * @returns Whether it has it now. If not, the request that is the last one before it; "soon" if that cannot be told for a
   * moment.
   */
  tryGrant(): true | "soon" | { readonly before: number; readonly ticket: number } {
    const words = this.#words;
    const found: { readonly n: number; readonly distance: number }[] = [];
    for (let n = 0; n < REQUESTS; n++) {
      if (n === this.#number || !this.#precedes(n)) continue;
      // Those without a ticket last: it matters only if there is nobody to wait for.
      const hasNone = Atomics.load(words, requestAt(n) + R_STATE) === CHOOSING;
      found.push({ n, distance: hasNone ? Infinity : this.#distance(n) });
    }
    found.sort((a, b) => a.distance - b.distance);
    for (const { n } of found) {
      if (isPlaceTaken(this.#file.fd.fd, n)) {
        // It may have got its ticket, or have ended, since it was looked at.
        const ticket = Atomics.load(words, requestAt(n) + R_TICKET);
        if (!this.#precedes(n)) continue;
        return Atomics.load(words, requestAt(n) + R_STATE) === CHOOSING ? "soon" : { before: n, ticket };
      }
      if (!tryTakePlace(this.#file.fd.fd, n)) return "soon"; // another buries it, or has just come
      this.#bury(n);
      leavePlace(this.#file.fd.fd, n);
    }
    Atomics.store(words, this.#at + R_STATE, HELD);
    step("lock-held");
    this.deadOwner = Atomics.exchange(words, W_DIED, 0);
    return true;
  }

  /** How many tickets lie between a request and this one; below 0 if it comes later. */
  #distance(n: number): number {
    return (this.#ticket - Atomics.load(this.#words, requestAt(n) + R_TICKET)) | 0; // tickets wrap around, this does not
  }

  /** Whether a request, if its owner lives, must end before this one has the lock. */
  #precedes(n: number): boolean {
    const words = this.#words, at = requestAt(n);
    const state = Atomics.load(words, at + R_STATE);
    if (state === FREE) return false;
    if (state === CHOOSING) return true;
    if (this.#mode === SHARED && Atomics.load(words, at + R_MODE) === SHARED) {
      // A dead one excludes nobody, but the next holder must learn of it.
      return state === HELD && !isPlaceTaken(this.#file.fd.fd, n);
    }
    return this.#distance(n) > 0;
  }

  /**
   * Resolves when it has the lock.
   *
   * It watches the last request before it, and only that one: when that one ends, however it does, this one looks again,
   * and has the lock, or watches the one before. So the end of a request wakes those whose turn it may be, and nobody else.
   */
  async wait(options: WaitOptions): Promise<void> {
    const wait = new PendingWait<void>(`get the lock "${this.name}"`, options, () => {});
    let timer: ReturnType<typeof setTimeout> | undefined;
    let pause = FIRST_LOOK;
    const predecessor = new Predecessor(this.#file.path, () => look());
    const look = () => {
      if (wait.settled || this.#ended) return;
      clearTimeout(timer);
      try {
        for (let i = 0; i < REQUESTS; i++) {
          const granted = this.tryGrant();
          if (granted === true) return void wait.resolve();
          if (granted === "soon") break;
          if (predecessor.watches(granted.before, granted.ticket)) {
            if (predecessor.hasEnded) break; // the kernel has closed its pipe, and is about to drop its lock
            return;
          }
          if (!predecessor.watch(granted.before, granted.ticket)) break;
          pause = FIRST_LOOK; // it may have ended before it was watched: once more
        }
        timer = setTimeout(look, pause);
        pause = Math.min(2 * pause, LAST_LOOK);
      } catch (error) {
        wait.reject(error);
      }
    };
    try {
      look();
      await wait.promise;
    } finally {
      clearTimeout(timer);
      predecessor.forget();
    }
  }

  /** Gives the lock back, or leaves the queue, which those behind it hear of. Twice is harmless. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.ended();
    Atomics.store(this.#words, this.#at + R_STATE, FREE);
    step("lock-ended");
    // While the place is this request's, so that the name is not its successor's; and the hang-up after all else, so that
    // who hears of it finds the lock free.
    if (this.#life !== undefined) unlinkFile(lifePath(this.#file.path, this.#number));
    leavePlace(this.#file.fd.fd, this.#number);
    this.#life?.close();
    this.#file.close();
  }

  /** The program ends while it holds the lock: to the next one it has died. */
  override letGo(): void {
    if (Atomics.load(this.#words, this.#at + R_STATE) === HELD) this.#noteDeath(this.#number);
    this.end();
  }
}
