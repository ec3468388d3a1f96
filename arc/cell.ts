// One cell as one isolate sees it, however many IpcArc objects the isolate has for it: the mapped memory, who holds the
// lock here, who waits for it and who watches.
import { IpcError } from "../base/error.ts";
import { pauseSync } from "../ffi/event/pause.ts";
import { ownThread } from "../ffi/process/liveness.ts";
import { OpenThing } from "../ffi/process/open_things.ts";
import type { Mapping } from "../ffi/memory/mapping.ts";
import type { LockResult } from "../ffi/contract/mutex.ts";
import { RobustMutex } from "../ffi/memory/robust_mutex.ts";
import { step } from "../base/step_hook.ts";
import { timeoutError } from "../base/wait.ts";
import { Bells, WANTS_CHANGE, WANTS_LOCK } from "./segment/bells.ts";
import type { SegmentFile } from "./segment/file.ts";
import {
  MUTEX_OFFSET,
  NAMESPACE,
  REF_COUNT,
  STARVING,
  STATE,
  STATE_GONE,
  VALUES_OFFSET,
  WAITERS,
  WATCHERS,
} from "./segment/header.ts";
import { ValueStore } from "./segment/value_store.ts";

/** How often, in milliseconds, a waiter looks for what no bell tells: a holder that died. */
const LOOK_EVERY = 75;
/** The same without a bell: all are taken, or doorbells cannot be made. */
const LOOK_EVERY_WITHOUT_BELL = 5;
/** Milliseconds after which a waiter that was rung, and found the lock taken again, asks the others to give way. */
const PATIENCE = 10;
/** Milliseconds for which a blocking caller gives way to such a waiter at most. */
const COURTESY = 20;

/** Somebody in this isolate who awaits the lock. */
export interface LockWaiter {
  /** When the wait began, on the clock of `performance.now()`. */
  readonly since: number;
  /** The place in the queue of all processes. */
  readonly ticket: number;
  /** Whether it was there when the lock could not be had. */
  tried: boolean;
  /** Hands the lock over; `false` if the waiter has given up. */
  grant(ownerDied: boolean): boolean;
  /** Ends the wait with an error. */
  fail(reason: unknown): void;
}

/** Who holds the lock in this isolate. */
export interface Holder {
  /** Makes the changes visible and gives the lock back. */
  release(): void;
  /** Gives the lock back without the changes. */
  abandon(): void;
  /** Whether it is held for an attachment. */
  isFor(attachment: Attachment): boolean;
  /** The cell is no longer used here. */
  retire(): void;
}

/** One hold on the cell, which counts as a reference. */
export class Attachment {
  readonly cell: Cell;
  readonly file: SegmentFile;
  closed = false;

  constructor(cell: Cell, file: SegmentFile) {
    this.cell = cell;
    this.file = file;
  }

  /** Ends it. The caller has released its guard and ended its waits. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    // Of an owner that was collected, so nobody else can: unmapping what is locked would leave a pointer to it in libc.
    const { holder } = this.cell;
    if (holder?.isFor(this) && !this.cell.pinned) holder.abandon();
    this.cell.detach(this);
  }
}

const cells = new Map<string, Cell>();

/** A cell of this isolate. */
export class Cell extends OpenThing {
  readonly mapping: Mapping;
  readonly words: Int32Array<ArrayBuffer>;
  readonly store: ValueStore;
  readonly bells: Bells;
  /** Who holds the lock in this isolate. */
  holder: Holder | undefined;
  /** The one object that ever holds it, for the next time. */
  hold: Holder | undefined;
  /** How many calls are at work that run code of the program and go on with the memory, and who was closed meanwhile. */
  #pins = 0;
  readonly #detaching: Attachment[] = [];
  readonly #mutex: RobustMutex;
  readonly #key: string;
  readonly #attachments = new Set<Attachment>();
  readonly #waiters = new Set<LockWaiter>(); // in the order of their arrival
  readonly #watchers = new Set<() => void>();
  #timer: ReturnType<typeof setInterval> | undefined;

  private constructor(file: SegmentFile, mapping: Mapping) {
    super();
    this.#key = file.key;
    this.mapping = mapping;
    this.words = new Int32Array(mapping.buffer, 0, VALUES_OFFSET >> 2);
    this.store = new ValueStore(mapping, this.words);
    this.#mutex = new RobustMutex(mapping, MUTEX_OFFSET);
    this.bells = new Bells(this.words, file.status.inode, file.status.mode, file.trusted, () => this.#onRing());
    this.opened();
  }

  /**
   * Attaches to the cell of a file; the isolate maps each cell once.
   *
   * @param file Joined already; from now on it belongs to the attachment, and is left if there is none.
   * @param mapping Its memory, if the caller has mapped it.
   */
  static attach(file: SegmentFile, mapping?: Mapping): Attachment {
    try {
      return Cell.#attach(file, mapping);
    } catch (error) {
      file.leave();
      throw error;
    }
  }

  static #attach(file: SegmentFile, mapping: Mapping | undefined): Attachment {
    let cell = cells.get(file.key);
    if (cell === undefined) {
      cell = new Cell(file, mapping ?? file.map());
      cells.set(file.key, cell);
    } else {
      mapping?.unmap();
      if (file.status.size < cell.mapping.length) {
        throw new IpcError("Corrupt", `Cannot use the cell "${file.name}": its file was cut short; remove it`);
      }
    }
    const attachment = new Attachment(cell, file);
    cell.#attachments.add(attachment);
    Atomics.store(cell.words, REF_COUNT, file.estimateHolders());
    if (cell.words[NAMESPACE] !== ownThread().namespace) Atomics.store(cell.words, NAMESPACE, 0);
    return attachment;
  }

  /** Whether {@linkcode pin} is in force. */
  get pinned(): boolean {
    return this.#pins > 0;
  }

  /** From here to {@linkcode unpin} everything stays as it is, whatever code of the program closes. */
  pin(): void {
    this.#pins++;
  }

  /** Does what was put off. */
  unpin(): void {
    if (--this.#pins > 0) return;
    for (const attachment of this.#detaching.splice(0)) this.detach(attachment);
  }

  /** Ends an attachment; the last one of the isolate unmaps. */
  detach(attachment: Attachment): void {
    if (this.#pins > 0) {
      this.#detaching.push(attachment);
      return;
    }
    this.#attachments.delete(attachment);
    if (this.#attachments.size === 0) {
      this.ended();
      cells.delete(this.#key);
      this.hold?.retire();
      clearInterval(this.#timer);
      this.#timer = undefined;
      this.bells.close();
    }
    const left = attachment.file.leave();
    Atomics.store(this.words, REF_COUNT, left);
    if (left === 0) Atomics.store(this.words, STATE, STATE_GONE);
    if (this.#attachments.size === 0) {
      this.#mutex.close();
      this.mapping.unmap();
    }
  }

  /** A program that just ends counts as one that has closed its cells. Who waits for the lock here does not get it. */
  override letGo(): void {
    this.#waiters.clear();
    this.holder?.abandon();
    for (const attachment of [...this.#attachments]) attachment.close();
  }

  // --- The lock ------------------------------------------------------------------------------------------------------

  /** Takes the lock if it is free. `undefined` if it is not, else whether its last owner died. */
  tryLock(): boolean | undefined {
    return this.#locked(this.#mutex.tryLock());
  }

  /** Blocks until the lock is free. The caller has seen that this isolate does not hold it. */
  lockSync(timeout: number, what: string): boolean {
    const left = Atomics.load(this.words, STARVING) === 0 ? timeout : this.#giveWay(timeout);
    const atOnce = this.tryLock(); // as nearly always
    if (atOnce !== undefined) return atOnce;
    const ownerDied = left === 0 ? undefined : this.#locked(this.#mutex.lock(left));
    if (ownerDied === undefined) throw timeoutError(what, timeout);
    return ownerDied;
  }

  #locked(result: LockResult): boolean | undefined {
    switch (result) {
      case "locked":
        // A write may have been left unfinished without a death: a guard that was forgotten, a program in another language.
        return this.store.repair();
      case "owner-died":
        step("arc:repair:begin");
        this.store.repair();
        step("arc:repair:done");
        this.#mutex.consistent();
        return true;
      default:
        return undefined;
    }
  }

  /** Lets a waiter through that has waited long. Returns what is left of the time. */
  #giveWay(timeout: number): number {
    // Waiters that are woken through an event loop always come too late for a lock that is taken again at once.
    const starving = Atomics.load(this.words, STARVING);
    if (starving === 0 || starving === this.bells.own + 1 || timeout === 0) return timeout;
    const start = performance.now();
    const until = start + Math.min(timeout, COURTESY);
    while (Atomics.load(this.words, STARVING) === starving) {
      if (performance.now() >= until) {
        // It is dead or stopped, or the lock is held all the time: nobody else need give way to it.
        Atomics.compareExchange(this.words, STARVING, starving, 0);
        break;
      }
      pauseSync(1);
    }
    return Math.max(0, timeout - (performance.now() - start));
  }

  /** Gives the lock back, and wakes who waits for it. */
  unlock(): void {
    this.holder = undefined;
    this.#mutex.unlock();
    // The unlocking comes before this look, and a waiter shows itself before it tries the lock: one sees the other.
    if (Atomics.load(this.words, WAITERS) !== 0) this.bells.ringWaiter();
    if (this.#waiters.size > 0) this.#pump(false);
  }

  /** Whether somebody else must go first. */
  get mustQueue(): boolean {
    if (this.#waiters.size > 0) return true;
    const starving = Atomics.load(this.words, STARVING);
    return starving !== 0 && starving !== this.bells.own + 1;
  }

  /** Puts a waiter at the end of this isolate's queue. */
  enqueue(waiter: LockWaiter): void {
    this.#waiters.add(waiter);
    this.#pump(false);
    this.#watchTime();
  }

  /** Takes a waiter out that has given up. */
  dequeue(waiter: LockWaiter): void {
    this.#waiters.delete(waiter);
    this.#rest();
  }

  /** Hands the lock to the first waiter if it can be had. `insist`: even if another asks us to give way. */
  #pump(insist: boolean): void {
    try {
      while (this.#waiters.size > 0 && this.holder === undefined) {
        const first: LockWaiter = this.#waiters.values().next().value!;
        const ownerDied = this.#tryInTurn(first, insist);
        if (ownerDied === undefined) return;
        this.#waiters.delete(first);
        if (Atomics.load(this.words, STARVING) === this.bells.own + 1) Atomics.store(this.words, STARVING, 0);
        // `grant` sets the holder.
        if (first.grant(ownerDied)) continue;
        if (ownerDied) this.store.leaveUnfinished(); // the next one is told instead
        this.#mutex.unlock();
      }
      if (this.#waiters.size === 0) this.#rest();
    } catch (error) {
      // The lock is beyond repair: nobody here will ever get it.
      const waiters = [...this.#waiters];
      this.#waiters.clear();
      for (const waiter of waiters) waiter.fail(error);
      this.#rest();
    }
  }

  #tryInTurn(waiter: LockWaiter, insist: boolean): boolean | undefined {
    const starving = Atomics.load(this.words, STARVING);
    const yields = !insist && starving !== 0 && starving !== this.bells.own + 1;
    if (!yields) {
      const ownerDied = this.tryLock();
      if (ownerDied !== undefined) {
        // Free, although somebody asked to be let through and was: that one is dead or stopped.
        if (insist) Atomics.compareExchange(this.words, STARVING, starving, 0);
        return ownerDied;
      }
    }
    this.bells.arm(WANTS_LOCK, waiter.ticket);
    if (yields) return undefined;
    // It may have been given back before the bell could be seen.
    const ownerDied = this.tryLock();
    if (ownerDied !== undefined) this.bells.disarm(WANTS_LOCK);
    // Not the first time, however long that took: it has not been passed over yet, and would go before those who have
    // waited longer.
    else if (waiter.tried && this.bells.own >= 0 && performance.now() - waiter.since > PATIENCE) {
      Atomics.compareExchange(this.words, STARVING, 0, this.bells.own + 1);
    }
    waiter.tried = true;
    return ownerDied;
  }

  /** When nobody waits here any more: hands on what was meant for this isolate. */
  #rest(): void {
    if (this.#waiters.size > 0 || this.bells.own < 0) {
      this.#watchTime();
      return;
    }
    if (Atomics.load(this.words, STARVING) === this.bells.own + 1) Atomics.store(this.words, STARVING, 0);
    const unrung = this.bells.disarm(WANTS_LOCK);
    if (!unrung && this.holder === undefined) this.bells.ringWaiter();
    this.#watchTime();
  }

  // --- Changes -------------------------------------------------------------------------------------------------------

  /** Tells watchers, in all processes, that the value was switched. Costs one load when there are none. */
  announce(): void {
    if (Atomics.load(this.words, WATCHERS) !== 0) this.bells.ringWatchers();
  }

  /** Calls `wake` when the value may have changed, until {@linkcode unwatch}. */
  watch(wake: () => void): void {
    this.#watchers.add(wake);
    this.bells.arm(WANTS_CHANGE);
    this.#watchTime();
  }

  /** Asks to be rung at the next change; the value must be looked at once more afterwards. */
  rearm(): void {
    this.bells.arm(WANTS_CHANGE);
  }

  /** Ends what {@linkcode watch} began. */
  unwatch(wake: () => void): void {
    this.#watchers.delete(wake);
    if (this.#watchers.size === 0) this.bells.disarm(WANTS_CHANGE);
    this.#watchTime();
  }

  // --- The event loop ------------------------------------------------------------------------------------------------

  #onRing(): void {
    if (this.#attachments.size === 0) return;
    if (this.#waiters.size > 0) this.#pump(false);
    else this.#rest();
    for (const wake of [...this.#watchers]) wake();
  }

  #onLook(): void {
    this.#pump(true);
    for (const wake of [...this.#watchers]) wake();
  }

  /** Looks now and then while somebody awaits; this also keeps the process alive exactly as long. */
  #watchTime(): void {
    const needed = this.#waiters.size > 0 || this.#watchers.size > 0;
    if (needed && this.#timer === undefined) {
      const pause = this.bells.available ? LOOK_EVERY : LOOK_EVERY_WITHOUT_BELL;
      this.#timer = setInterval(() => this.#onLook(), pause);
      this.bells.awaited = true;
    } else if (!needed && this.#timer !== undefined) {
      clearInterval(this.#timer);
      this.#timer = undefined;
      this.bells.awaited = false;
    }
  }
}
