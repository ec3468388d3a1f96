// The machinery of a receiver set: who has its turn, what was taken and not delivered, and who waits for it.
import { IpcError } from "../../base/error.ts";
import { afterOthers, giveWay, mustGiveWay } from "../../base/event_loop.ts";
import { CALLED_OFF, iterate, type IterationOptions, NOT_NOW } from "../../base/iteration.ts";
import { heardUnawaited } from "../../ffi/event/doorbell.ts";
import { waitForBells } from "../../ffi/event/many_bells.ts";
import {
  deadlineAfter,
  PendingWait,
  type SyncWaitOptions,
  timeoutError,
  timeoutOf,
  type WaitOptions,
} from "../../base/wait.ts";
import { IpcBytesReceiver, moveOutBytes } from "./bytes_receiver.ts";
import { discard } from "../message/discard.ts";
import { IpcReceiver, moveOut, moveOutOpaque, OpaqueIpcReceiver } from "./receiver.ts";
import type { ReceiverCore } from "./receiver_core.ts";
import type { SelectEvent } from "./select_event.ts";
import { SetEntry } from "./set_entry.ts";

/** Milliseconds between two looks while a member waits for a claim that its sender has not committed. */
const GAP_LOOK = 5;

const SELECT = "receive from any member of the set";

/** Somebody who waits for events, and which of them are for them. */
interface Waiting {
  readonly wait: PendingWait<unknown>;
  readonly get: () => unknown;
  /** Milliseconds until it gives up, from when the event loop had its turn. */
  readonly timeout: number;
  /** Whether the event loop has its turn first. */
  held: boolean;
}

/** A receiver set without its face. What the methods are for the program is said at `IpcReceiverSet`; routers use it, too. */
export class SetCore {
  readonly #entries = new Map<number, SetEntry>();
  /** Those that may have something, in the order in which they are looked at. All others are armed. */
  #queue: SetEntry[] = [];
  /** What was taken from the members, and not delivered yet. */
  #events: SelectEvent[] = [];
  #nextId = 1;
  #waiting: Waiting | undefined;
  #gapTimer: ReturnType<typeof setTimeout> | undefined;
  /** Keeps the process alive during a select: cheaper than one reference a member. */
  #keepAlive: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  get size(): number {
    return this.#entries.size;
  }

  get closed(): boolean {
    return this.#closed;
  }

  add(receiver: IpcReceiver<unknown> | IpcBytesReceiver | OpaqueIpcReceiver): number {
    if (this.#closed) throw new IpcError("Closed", "Cannot add a receiver: the set was closed");
    const id = this.#nextId++;
    const entry = new SetEntry(id, moveIn(receiver));
    this.#entries.set(id, entry);
    this.#enqueue(entry);
    const waiting = this.#waiting;
    if (waiting !== undefined && !waiting.held) {
      try {
        this.#listen(entry);
        this.#awaitBells(true);
      } catch (error) {
        // No descriptor for its bell: it is a member all the same, and the one who waits cannot wait for it.
        this.#rest();
        waiting.wait.reject(error);
        return id;
      }
      this.#serve(false);
    }
    return id;
  }

  remove(id: number): boolean {
    const entry = this.#entries.get(id);
    const before = this.#events.length;
    this.#dropEvents((event) => event.id === id);
    if (entry === undefined) return this.#events.length < before; // it had ended, and nobody knew
    this.#entries.delete(id);
    this.#queue = this.#queue.filter((other) => other !== entry);
    entry.close();
    this.#serve(false);
    return true;
  }

  /** Forgets events; nobody will ever have the endpoints in their messages. */
  #dropEvents(which: (event: SelectEvent) => boolean): void {
    if (!this.#events.some(which)) return;
    for (const event of this.#events) if (which(event) && event.type === "message") discard(event.value);
    this.#events = this.#events.filter((event) => !which(event));
  }

  select(options?: WaitOptions): Promise<SelectEvent[]> {
    return this.#first(() => this.#takeAll(), options);
  }

  #takeAll(): SelectEvent[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }

  /** What `get` takes of the events, as soon as there are any. */
  #first<R>(get: () => R, options: WaitOptions | undefined): Promise<R> {
    try {
      const timeout = timeoutOf(options);
      options?.signal?.throwIfAborted();
      if (this.#waiting !== undefined) {
        throw new IpcError("Deadlock", "Cannot wait for a receiver set twice at a time: await the first select");
      }
      const found = this.#collect();
      if (!found) {
        this.#requireMembers();
        if (timeout === 0) throw timeoutError(SELECT, 0);
      }
      if (found && !mustGiveWay()) return Promise.resolve(get());
      return this.#wait(get, options, timeout, found);
    } catch (error) {
      return afterOthers(Promise.reject(error));
    }
  }

  #wait<R>(get: () => R, options: WaitOptions | undefined, timeout: number, held: boolean): Promise<R> {
    if (!held) this.#listenToAll();
    const { signal } = options ?? {};
    const wait = new PendingWait<R>(SELECT, held ? signal && { signal } : options, () => this.#rest());
    const waiting: Waiting = { wait: wait as PendingWait<unknown>, get, timeout, held };
    this.#waiting = waiting;
    if (held) void giveWay().then(() => this.#release(waiting));
    else this.#await();
    return wait.promise;
  }

  /** The event loop had its turn: what is there is delivered. It may have been removed meanwhile. */
  #release(waiting: Waiting): void {
    if (this.#waiting !== waiting) return;
    waiting.held = false;
    if (this.#events.length > 0) return this.#serve(true);
    try {
      this.#listenToAll();
    } catch (error) {
      this.#rest();
      waiting.wait.reject(error);
      return;
    }
    waiting.wait.limit(waiting.timeout);
    this.#await();
  }

  #await(): void {
    this.#keepAlive = setTimeout(() => {}, 0x7fff_ffff);
    this.#awaitBells(true);
    this.#serve(false);
  }

  #callOff(pending: Promise<unknown>): void {
    const waiting = this.#waiting;
    if (waiting?.wait.promise !== pending) return;
    this.#rest();
    waiting.wait.reject(CALLED_OFF);
  }

  selectSync(options?: SyncWaitOptions): SelectEvent[] {
    const timeout = timeoutOf(options);
    const deadline = deadlineAfter(timeout);
    for (;;) {
      const events = this.trySelect();
      if (events.length > 0) return events;
      this.#requireMembers();
      const now = performance.now();
      if (now >= deadline) throw timeoutError(SELECT, timeout);
      // All are armed now: whatever comes rings.
      const until = this.#anyGap() ? Math.min(deadline, now + GAP_LOOK) : deadline;
      this.#lookAtBells(true, until);
    }
  }

  trySelect(): SelectEvent[] {
    // Messages were found without their bells; the end of a member is something that only the system knows.
    if (!this.#collect() && this.#entries.size > 0) {
      this.#lookAtBells(false, 0);
      this.#collect();
    }
    return this.#takeAll();
  }

  values(options?: IterationOptions): AsyncIterableIterator<SelectEvent> {
    const closed = () => this.#closed;
    return iterate<SelectEvent>({
      get closed() {
        return closed();
      },
      now: () => this.#waiting === undefined && this.#collect() && !mustGiveWay() ? this.#events.shift()! : NOT_NOW,
      next: () => this.#first(() => this.#events.shift()!, undefined),
      callOff: (pending) => this.#callOff(pending),
    }, options);
  }

  /**
   * Hands every event to a function, until the set is empty or closed.
   *
   * @param handle Must not throw.
   * @param fail Told why it cannot wait for events; that is tried again.
   */
  async each(handle: (event: SelectEvent) => void, fail: (error: unknown) => Promise<void>): Promise<void> {
    for (;;) {
      try {
        await this.#first(() => {}, undefined);
      } catch (error) {
        if (this.#closed || (this.#entries.size === 0 && this.#events.length === 0)) return;
        // Empty for a moment, and somebody has added a member since.
        if (!(error instanceof IpcError && error.code === "Disconnected")) await fail(error);
      }
      while (this.#events.length > 0) {
        this.#handNext(handle);
        if (mustGiveWay()) await giveWay(); // handlers may take their time
      }
    }
  }

  /** By itself, so that nothing of the event lives on in a function that waits. */
  #handNext(handle: (event: SelectEvent) => void): void {
    handle(this.#events.shift()!);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#queue = [];
    for (const entry of this.#entries.values()) entry.close();
    this.#entries.clear();
    this.#dropEvents(() => true);
    const waiting = this.#waiting;
    this.#rest();
    waiting?.wait.reject(new IpcError("Closed", "Cannot receive: the receiver set was closed while it was awaited"));
  }

  #requireMembers(): void {
    if (this.#closed) throw new IpcError("Closed", "Cannot receive: the receiver set was closed");
    if (this.#entries.size === 0) {
      throw new IpcError("Disconnected", "Cannot receive: the receiver set is empty, nothing can come; add a receiver");
    }
  }

  #enqueue(entry: SetEntry): void {
    if (entry.queued) return;
    entry.queued = true;
    this.#queue.push(entry);
  }

  /**
   * One turn of every queued member, unless there are events that were not delivered yet. Members that are found empty are
   * armed and leave the queue.
   *
   * @returns Whether there are events.
   */
  #collect(): boolean {
    if (this.#closed) this.#requireMembers();
    if (this.#events.length > 0) return true;
    // Bells are heard by the event loop, one at a time, if at all; a look at every ring costs 40 ns.
    for (const entry of this.#entries.values()) if (entry.ring.ready) this.#enqueue(entry);
    const queue = this.#queue;
    this.#queue = [];
    const failing: SetEntry[] = [];
    for (const entry of queue) {
      if (entry.failing) failing.push(entry);
      else this.#turn(entry);
    }
    for (const entry of failing) this.#turn(entry);
    return this.#events.length > 0;
  }

  #turn(entry: SetEntry): void {
    entry.queued = false;
    if (entry.turn(this.#events)) this.#enqueue(entry);
    else if (entry.ended) this.#entries.delete(entry.id);
  }

  #anyGap(): boolean {
    return this.#queue.length > 0;
  }

  /** Blocks until a bell rings or a member's senders are gone, and queues those members. */
  #lookAtBells(rings: boolean, deadline: number): void {
    const entries = [...this.#entries.values()];
    const heard = waitForBells(entries.map(({ ring }) => ring.bell), rings, deadline);
    heard?.forEach((something, i) => something && this.#enqueue(entries[i]!));
  }

  #listenToAll(): void {
    for (const entry of this.#entries.values()) this.#listen(entry);
  }

  #listen(entry: SetEntry): void {
    if (entry.heard) return;
    entry.ring.bell.listen(() => {
      if (!this.#entries.has(entry.id)) return;
      this.#enqueue(entry);
      this.#serve(true);
    });
    entry.heard = true;
  }

  /**
   * Gives what has come to those that wait.
   *
   * @param turned Whether it is the event loop that calls.
   */
  #serve(turned: boolean): void {
    const waiting = this.#waiting;
    if (waiting === undefined || waiting.held) return;
    const { wait, get } = waiting;
    try {
      if (this.#collect()) {
        if (!turned && mustGiveWay()) {
          waiting.held = true;
          void giveWay().then(() => this.#release(waiting));
          return;
        }
        this.#rest();
        wait.resolve(get());
        return;
      }
      this.#requireMembers();
    } catch (error) {
      this.#rest();
      wait.reject(error);
      return;
    }
    if (this.#anyGap()) {
      this.#gapTimer ??= setTimeout(() => {
        this.#gapTimer = undefined;
        this.#serve(true);
      }, GAP_LOOK);
    }
  }

  #awaitBells(value: boolean): void {
    if (heardUnawaited) return;
    for (const { ring } of this.#entries.values()) ring.bell.awaited = value;
  }

  /** Nobody waits: the process may exit. The bells stay armed, for the next select. */
  #rest(): void {
    this.#waiting = undefined;
    clearTimeout(this.#gapTimer);
    clearTimeout(this.#keepAlive);
    this.#awaitBells(false);
    this.#gapTimer = undefined;
  }
}

/** What is inside of a receiver, so that the caller's counts as closed. */
function moveIn(receiver: IpcReceiver<unknown> | IpcBytesReceiver | OpaqueIpcReceiver): ReceiverCore<unknown> {
  if (receiver instanceof OpaqueIpcReceiver) return moveOutOpaque(receiver);
  if (receiver instanceof IpcBytesReceiver) return moveOutBytes(receiver);
  if (receiver instanceof IpcReceiver) return moveOut(receiver);
  throw new TypeError("Cannot add to a receiver set: only IpcReceiver, IpcBytesReceiver and OpaqueIpcReceiver can be");
}
