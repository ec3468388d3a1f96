// Waits for messages of many channels at once.
import { IpcError } from "../ffi/error.ts";
import { POLLHUP, POLLIN } from "../ffi/platform.ts";
import { pollMany } from "../ffi/poll.ts";
import {
  deadlineAfter,
  PendingWait,
  type SyncWaitOptions,
  timeoutError,
  timeoutOf,
  type WaitOptions,
} from "../ffi/wait.ts";
import { IpcBytesReceiver } from "./bytes_receiver.ts";
import { IpcReceiver, OpaqueIpcReceiver } from "./receiver.ts";
import { MEMBER, MOVE_OUT, type SetMember } from "./receiver_base.ts";

/**
 * What {@linkcode IpcReceiverSet} reports: a message of a member, or that a member's senders are all gone.
 *
 * @example A message, and the end of a member
 * ```ts
 * import { channel, IpcReceiverSet, type SelectEvent } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const text = (event: SelectEvent) => event.type === "message" ? `message ${event.value}` : "closed";
 *
 * using set = new IpcReceiverSet();
 * const [sender, receiver] = channel<number>();
 * const id = set.add(receiver);
 * sender.sendSync(7);
 * const [message] = await set.select();
 * assertEquals([message!.id, text(message!)], [id, "message 7"]);
 * sender.close();
 * assertEquals((await set.select()).map(text), ["closed"]);
 * ```
 */
export type SelectEvent =
  | { id: number; type: "message"; value: unknown }
  | { id: number; type: "closed" };

/**
 * What a set takes in.
 *
 * @example Receivers of every kind
 * ```ts
 * import { bytesChannel, channel, IpcReceiverSet, type SetReceiver } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const [words, wordReceiver] = channel<string>();
 * const [packets, packetReceiver] = bytesChannel();
 * const [hidden, hiddenReceiver] = channel<boolean>();
 * const receivers: SetReceiver[] = [wordReceiver, packetReceiver, hiddenReceiver.toOpaque()];
 *
 * using set = new IpcReceiverSet();
 * const ids = receivers.map((receiver) => set.add(receiver));
 * assertEquals(new Set(ids).size, 3);
 * for (const sender of [words, packets, hidden]) sender.close();
 * ```
 */
export type SetReceiver = IpcReceiver<unknown> | IpcBytesReceiver | OpaqueIpcReceiver;

/** Messages of one member in a row, before the others get their turn. */
const TURN = 32;

/** Milliseconds between two looks while a member waits for a claim that its sender has not committed. */
const GAP_LOOK = 5;

const SELECT = "receive from any member of the set";

/** A member and what is known about it. */
interface Entry {
  readonly id: number;
  readonly member: SetMember;
  /** Whether it is in the queue of those to look at. */
  queued: boolean;
  /** Whether the event loop hears its bell. */
  heard: boolean;
}

/**
 * Receives from many channels at once. A receiver that is added moves into the set. The set is fair: one channel that
 * is always full does not keep the others waiting.
 *
 * @example
 * ```ts
 * import { channel, IpcReceiverSet } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const [first, firstReceiver] = channel<string>();
 * const [second, secondReceiver] = channel<number>();
 * using set = new IpcReceiverSet();
 * set.add(firstReceiver);
 * const numbers = set.add(secondReceiver);
 *
 * second.sendSync(42);
 * assertEquals(await set.select(), [{ id: numbers, type: "message", value: 42 }]);
 *
 * second.close();
 * assertEquals(await set.select(), [{ id: numbers, type: "closed" }]);
 * first.close();
 * ```
 */
export class IpcReceiverSet implements Disposable, AsyncIterable<SelectEvent> {
  readonly #entries = new Map<number, Entry>();
  /** Those that may have something, in the order in which they are looked at. All others are armed. */
  #queue: Entry[] = [];
  #nextId = 1;
  #wait: PendingWait<SelectEvent[]> | undefined;
  #gapTimer: ReturnType<typeof setTimeout> | undefined;
  /** Keeps the process alive during a select: cheaper than one reference a member. */
  #keepAlive: ReturnType<typeof setTimeout> | undefined;
  #deferred: unknown;
  #closed = false;

  /** The number of receivers in the set. */
  get size(): number {
    return this.#entries.size;
  }

  /** Whether the set was closed. */
  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Takes a receiver in. It moves: the object that is passed is closed. A pending {@linkcode select} hears it as well; it
   * rejects if this process has no descriptor left for that.
   *
   * @param receiver The receiver.
   * @returns Its number, which the events carry.
   * @throws {IpcError} `Closed` if the receiver or the set is closed.
   * @throws {TypeError} If it is no receiver.
   */
  add(receiver: SetReceiver): number {
    if (this.#closed) throw new IpcError("Closed", "Cannot add a receiver: the set was closed");
    const id = this.#nextId++;
    const member = moveIn(receiver)[MEMBER]();
    const entry: Entry = { id, member, queued: false, heard: false };
    this.#entries.set(id, entry);
    this.#enqueue(entry);
    if (this.#wait !== undefined) {
      try {
        this.#listen(entry);
      } catch (error) {
        // No descriptor for its bell: it is a member all the same, and whoever waits cannot wait for it.
        const wait = this.#wait;
        this.#rest();
        wait.reject(error);
        return id;
      }
      this.#serve();
    }
    return id;
  }

  /**
   * Takes a receiver out and closes it.
   *
   * @param id Its number.
   * @returns Whether it was in the set: `false` if no receiver of it has this number.
   */
  remove(id: number): boolean {
    const entry = this.#entries.get(id);
    if (entry === undefined) return false;
    this.#entries.delete(id);
    this.#queue = this.#queue.filter((other) => other !== entry);
    entry.member.close();
    return true;
  }

  /**
   * Waits until any member has something.
   *
   * @param options How long to wait at most, and how to call it off; no event is lost by either.
   * @returns At least one event; several messages of a member in their order.
   * @throws {IpcError} `Timeout`; `Closed`; `Disconnected` if the set is empty; `Serialization` for a message that cannot
   * be decoded, which is skipped.
   */
  select(options?: WaitOptions): Promise<SelectEvent[]> {
    try {
      const timeout = timeoutOf(options);
      options?.signal?.throwIfAborted();
      if (this.#wait !== undefined) {
        throw new IpcError("Deadlock", "Cannot wait for a receiver set twice at a time: await the first select");
      }
      const events = this.#collect();
      if (events.length > 0) return Promise.resolve(events);
      this.#requireMembers();
      if (timeout === 0) throw timeoutError(SELECT, 0);
      for (const entry of this.#entries.values()) this.#listen(entry);
      const wait = new PendingWait<SelectEvent[]>(SELECT, options, () => this.#rest());
      this.#wait = wait;
      this.#keepAlive = setTimeout(() => {}, 0x7fff_ffff);
      this.#serve();
      return wait.promise;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * The blocking twin of {@linkcode select}.
   *
   * @param options How long to wait at most.
   * @returns At least one event.
   * @throws {IpcError} As {@linkcode select}.
   */
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
      this.#lookAtBells(POLLIN, until);
    }
  }

  /**
   * Takes what is there now.
   *
   * @returns The events, possibly none.
   * @throws {IpcError} `Closed`, `Serialization`, `Corrupt`.
   */
  trySelect(): SelectEvent[] {
    const events = this.#collect();
    if (events.length > 0) return events;
    // Messages were found without their bells; the end of a member is something that only the system knows.
    if (this.#entries.size > 0) this.#lookAtBells(0, 0);
    return this.#collect();
  }

  /** Iterates over the events until the set is empty, as members close or are removed, or closed. */
  async *[Symbol.asyncIterator](): AsyncIterableIterator<SelectEvent> {
    while (this.#entries.size > 0) yield* await this.select();
  }

  /** Closes the set and every receiver in it. A pending select rejects with `Closed`. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#queue = [];
    for (const { member } of this.#entries.values()) member.close();
    this.#entries.clear();
    const wait = this.#wait;
    this.#rest();
    wait?.reject(new IpcError("Closed", "Cannot receive: the receiver set was closed while it was awaited"));
  }

  /** Same as {@linkcode close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  #requireMembers(): void {
    if (this.#closed) throw new IpcError("Closed", "Cannot receive: the receiver set was closed");
    if (this.#entries.size === 0) {
      throw new IpcError("Disconnected", "Cannot receive: the receiver set is empty, nothing can come; add a receiver");
    }
  }

  #enqueue(entry: Entry): void {
    if (entry.queued) return;
    entry.queued = true;
    this.#queue.push(entry);
  }

  /** One turn of every queued member. Members that are found empty are armed and leave the queue. */
  #collect(): SelectEvent[] {
    if (this.#closed) this.#requireMembers();
    if (this.#deferred !== undefined) {
      const error = this.#deferred;
      this.#deferred = undefined;
      throw error;
    }
    const events: SelectEvent[] = [];
    // Bells are heard by the event loop, one at a time, if at all; a look at every ring costs 40 ns.
    for (const entry of this.#entries.values()) if (entry.member.ring.ready) this.#enqueue(entry);
    const queue = this.#queue;
    this.#queue = [];
    for (let i = 0; i < queue.length; i++) {
      const entry = queue[i]!;
      entry.queued = false;
      try {
        this.#turn(entry, events);
      } catch (error) {
        // Whoever is left is looked at next time; what was taken is not lost: the error comes with the next call.
        this.#enqueue(entry);
        for (const rest of queue.slice(i + 1)) {
          rest.queued = false;
          this.#enqueue(rest);
        }
        if (events.length === 0) throw error;
        this.#deferred = error;
        return events;
      }
    }
    return events;
  }

  #turn(entry: Entry, events: SelectEvent[]): void {
    const { id, member } = entry;
    const { ring } = member;
    for (let taken = 0; taken < TURN; taken++) {
      if (!ring.next()) {
        const state = ring.poll();
        if (state === "disconnected") {
          events.push({ id, type: "closed" });
          this.#entries.delete(id);
          member.close();
          return;
        }
        if (state === "empty") {
          const gapLook = ring.arm();
          if (!ring.next()) {
            if (gapLook > 0) this.#enqueue(entry); // its sender may be dead, and will not ring then
            return;
          }
          ring.disarm();
        }
      }
      events.push({ id, type: "message", value: member.take() });
    }
    this.#enqueue(entry);
  }

  #anyGap(): boolean {
    return this.#queue.length > 0;
  }

  /** Blocks until a bell rings or a member's senders are gone, and queues those members. */
  #lookAtBells(events: number, deadline: number): void {
    const entries = [...this.#entries.values()];
    const pollfds = new Int32Array(entries.length * 2);
    for (let i = 0; i < entries.length; i++) {
      pollfds[2 * i] = entries[i]!.member.ring.bell.fd.fd;
      pollfds[2 * i + 1] = events;
    }
    if (pollMany(pollfds, deadline) === 0) return;
    for (let i = 0; i < entries.length; i++) {
      const found = pollfds[2 * i + 1]! >>> 16;
      if (found === 0) continue;
      const { bell } = entries[i]!.member.ring;
      if ((found & POLLIN) !== 0) bell.clear();
      if ((found & (POLLIN | POLLHUP)) !== 0) this.#enqueue(entries[i]!);
    }
  }

  #listen(entry: Entry): void {
    if (entry.heard) return;
    entry.member.ring.bell.listen(() => {
      if (!this.#entries.has(entry.id)) return;
      this.#enqueue(entry);
      this.#serve();
    });
    entry.heard = true;
  }

  /** Gives whoever waits what has come. */
  #serve(): void {
    const wait = this.#wait;
    if (wait === undefined) return;
    try {
      const events = this.#collect();
      if (events.length > 0) {
        this.#rest();
        wait.resolve(events);
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
        this.#serve();
      }, GAP_LOOK);
    }
  }

  /** Nobody waits: the process may exit. The bells stay armed, for the next select. */
  #rest(): void {
    this.#wait = undefined;
    clearTimeout(this.#gapTimer);
    clearTimeout(this.#keepAlive);
    this.#gapTimer = undefined;
  }
}

/** A receiver object of the set's own, so that the caller's is closed. */
function moveIn(receiver: SetReceiver): IpcReceiver<unknown> | IpcBytesReceiver {
  if (receiver instanceof OpaqueIpcReceiver) return receiver.to();
  if (receiver instanceof IpcBytesReceiver) return new IpcBytesReceiver(receiver[MOVE_OUT]());
  if (receiver instanceof IpcReceiver) return receiver.retyped();
  throw new TypeError("Cannot add to a receiver set: only IpcReceiver, IpcBytesReceiver and OpaqueIpcReceiver can be");
}
