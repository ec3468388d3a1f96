// Those who wait for a message of one receiver without blocking: in the order in which they came.
import { IpcError } from "../../base/error.ts";
import { afterOthers, giveWay, mustGiveWay } from "../../base/event_loop.ts";
import { CALLED_OFF } from "../../base/iteration.ts";
import { PendingWait, timeoutError, timeoutOf, type WaitOptions } from "../../base/wait.ts";
import { UNFINISHED } from "../message/record.ts";
import type { RingConsumer } from "../ring/consumer.ts";
import type { RinglessReceiver } from "../ring/ringless_receiver.ts";
import type { ReceiverSeat } from "./receiver_seat.ts";

/** What waits for a message try to do, for their errors. */
export const RECEIVE = "receive a message";

/** Milliseconds that an asynchronous call reads the body of a large message before other work gets its turn. */
const BODY_TURN = 10;

/** Gets the message that a ring has found out of it. */
export type Get<R> = (ring: RingConsumer) => R;

/**
 * What messages come through: a ring, or what comes before it. Only one `get` is ever called with the latter, and knows it: see
 * `ReceiverCore`.
 */
export type Source = RingConsumer | RinglessReceiver;

/** Somebody who waits for a message, and how it is got out of the ring for them. */
interface Waiting {
  readonly wait: PendingWait<unknown>;
  readonly get: Get<unknown>;
  /** Milliseconds until it gives up, from when it begins to wait: not before the event loop had its turn. */
  timeout: number;
}

/** Whose waits they are. */
interface Receiver {
  /** What this can be got out of; throws what is still to be thrown. */
  open<R>(get: Get<R>): Source;
  /** The same, but for that. */
  source<R>(get: Get<R>): Source;
}

/** The asynchronous waits of one receiver. */
export class ReceiverWaits {
  readonly #seat: ReceiverSeat;
  /** Also that it is not collected while somebody waits, which would close it. */
  readonly #receiver: Receiver;
  readonly #waits: Waiting[] = [];
  #gapTimer: ReturnType<typeof setTimeout> | undefined;
  /** Whether messages that are there stay there until the event loop had its turn. */
  #held = false;
  /** Whose bell wakes it. */
  #listening: Source | undefined;
  readonly #onRing = () => this.#pump(true);

  /** @param receiver Whose waits they are; opening it throws what is still to be thrown. */
  constructor(seat: ReceiverSeat, receiver: Receiver) {
    this.#seat = seat;
    this.#receiver = receiver;
  }

  /** Whether anybody waits. */
  get any(): boolean {
    return this.#waits.length > 0;
  }

  /** Waits for the next message, behind those who wait already. */
  begin<R>(get: Get<R>, options: WaitOptions | undefined): Promise<R> {
    if (this.#held) return this.later(get, options);
    if (options?.timeout === 0) return afterOthers(Promise.resolve(this.#now(get)));
    const ring = this.#receiver.source(get);
    this.#listen(ring); // may find no room for a descriptor: nobody waits then
    const { promise } = this.#enqueue(get, options, false);
    this.#pump(false);
    return promise;
  }

  /**
   * The same once the event loop had its turn. Until then the message stays where it is, so that a caller who does not want it
   * any more by then has not lost it.
   */
  later<R>(get: Get<R>, options: WaitOptions | undefined): Promise<R> {
    if (options?.timeout === 0) return giveWay().then(() => this.#now(get));
    const { promise } = this.#enqueue(get, options, true);
    this.#hold();
    return promise;
  }

  /** Begins to wait there. */
  #listen(ring: Source): void {
    ring.bell.listen(this.#onRing);
    this.#listening = ring;
    ring.wait.begins();
    ring.bell.awaited = true;
  }

  /** The outcome without a wait. */
  #now<R>(get: Get<R>): R {
    const ring = this.#receiver.open(get);
    const state = ring.wait.poll();
    if (state === "message") return get(ring as RingConsumer);
    if (state === "over") return this.#now(get);
    throw state === "empty" ? timeoutError(RECEIVE, 0) : disconnected();
  }

  #enqueue<R>(get: Get<R>, options: WaitOptions | undefined, later: boolean): PendingWait<R> {
    const { signal } = options ?? {};
    const wait = new PendingWait<R>(RECEIVE, later ? signal && { signal } : options, () => this.#forget(item));
    const item: Waiting = { wait: wait as PendingWait<unknown>, get, timeout: later ? timeoutOf(options) : Infinity };
    this.#waits.push(item);
    return wait;
  }

  #forget(item: Waiting): void {
    const at = this.#waits.indexOf(item);
    if (at >= 0) this.#waits.splice(at, 1);
    if (this.#waits.length === 0) this.#rest();
  }

  /** Ends a wait that is pending, without a message. */
  cancel(promise: Promise<unknown>): void {
    const item = this.#waits.find(({ wait }) => wait.promise === promise);
    if (item === undefined) return;
    item.wait.reject(CALLED_OFF);
    this.#forget(item);
  }

  /** Ends all waits: the receiver is closed, or elsewhere. */
  end(why: string): void {
    const waits = this.#waits.splice(0);
    this.#rest();
    // An error costs 5 µs: only where somebody gets it.
    for (const { wait } of waits) wait.reject(new IpcError("Closed", why));
  }

  /** A blocking wait has taken the flag down that an asynchronous one had put up. */
  rearm(ring: Source): void {
    ring.wait.arm();
    this.lookSoon();
  }

  /** Something may have come that was not announced. */
  lookSoon(): void {
    queueMicrotask(this.#onRing);
  }

  #hold(): void {
    if (this.#held) return;
    this.#held = true;
    void giveWay().then(() => this.#release());
  }

  /** The event loop had its turn: hands out what is there; who gets nothing begins to wait. */
  #release(): void {
    this.#held = false;
    if (this.#seat.state !== "open") return;
    // Without a bell as long as that will do: it takes a descriptor.
    while (this.#waits.length > 0 && !this.#held && this.#handOut());
    if (this.#held) return this.#limitWaits();
    if (this.#waits.length === 0) return this.#rest();
    try {
      this.#listen(this.#receiver.source(this.#waits[0]!.get));
    } catch (error) {
      this.#rejectAll(error);
      return;
    }
    this.#limitWaits();
    this.#pump(true);
  }

  #rejectAll(error: unknown): void {
    for (const { wait } of this.#waits.splice(0)) wait.reject(error);
  }

  /** Starts the timers of those who waited for the event loop's turn first. */
  #limitWaits(): void {
    for (const item of this.#waits) {
      item.wait.limit(item.timeout);
      item.timeout = Infinity;
    }
  }

  /** Hands a message, or what is wrong with it, to the one who has waited longest; `false` if there is none. */
  #handOut(): boolean {
    let ring: Source;
    try {
      ring = this.#receiver.source(this.#waits[0]!.get);
      if (!ring.next()) return false;
    } catch (error) {
      this.#waits.shift()?.wait.reject(error);
      return true;
    }
    this.#handNext(ring);
    return true;
  }

  /** Hands the message that the ring has found to the one who has waited longest; holds it if more of it is to be read. */
  #handNext(ring: Source): void {
    const item = this.#waits.shift();
    if (item === undefined || handOver(item, ring)) return;
    this.#waits.unshift(item);
    this.#hold();
  }

  /**
   * Hands messages to those who wait, and arms the bell if somebody still does.
   *
   * Called by the event loop, so the continuations of a promise that is settled here may run inside any later call into
   * Deno, before this returns: nothing is assumed to be as it was before.
   *
   * @param turned Whether it is the event loop that calls.
   */
  #pump(turned: boolean): void {
    if (this.#seat.state !== "open" || this.#held) return;
    while (this.#waits.length > 0) {
      try {
        const ring = this.#receiver.source(this.#waits[0]!.get);
        if (ring !== this.#listening) this.#listen(ring); // what comes before a ring is over
        const state = ring.wait.poll(true);
        if (state === "over") continue;
        if (state === "disconnected") {
          this.#disconnect();
          continue;
        }
        if (state === "empty") {
          const gapLook = ring.wait.arm();
          // A message that came between the look and the flag was not announced.
          if (!ring.next()) {
            this.#lookAtGapIn(gapLook);
            return;
          }
          ring.wait.disarm();
        }
        ring.wait.ended();
        if (!turned && mustGiveWay()) return this.#hold();
        this.#handNext(ring);
        if (this.#held) return;
      } catch (error) {
        this.#waits.shift()?.wait.reject(error);
      }
    }
    this.#rest();
  }

  #disconnect(): void {
    for (const { wait } of this.#waits.splice(0)) wait.reject(disconnected());
  }

  /** A sender that died between claim and commit will not ring. */
  #lookAtGapIn(milliseconds: number): void {
    if (milliseconds === 0 || this.#gapTimer !== undefined) return;
    this.#gapTimer = setTimeout(() => {
      this.#gapTimer = undefined;
      this.#pump(true);
    }, milliseconds);
  }

  /** Nobody waits: senders need not ring, and the process may exit. */
  #rest(): void {
    clearTimeout(this.#gapTimer);
    this.#gapTimer = undefined;
    const ring = this.#listening;
    if (ring === undefined || this.#seat.state !== "open" || this.#waits.length > 0) return;
    this.#listening = undefined;
    ring.wait.disarm();
    ring.bell.awaited = false;
    ring.bell.rest(); // which would keep this object alive, also when nobody has it any more
  }
}

/** Gives somebody who waits the message that the ring has found. `false` if more of its body is to be read. */
function handOver(item: Waiting, ring: Source): boolean {
  try {
    const value = ring.extended ? inTurns(item.get, ring) : item.get(ring as RingConsumer);
    if (value === UNFINISHED) return false;
    item.wait.resolve(value);
  } catch (error) {
    item.wait.reject(error);
  }
  return true;
}

/** What `get` returns for the message that the ring has found, or `UNFINISHED` if its body takes longer to read. */
export function inTurns<R>(get: Get<R>, ring: Source): R | Error {
  ring.readUntil = performance.now() + BODY_TURN;
  try {
    return get(ring as RingConsumer);
  } catch (error) {
    if (error === UNFINISHED) return UNFINISHED;
    throw error;
  } finally {
    ring.readUntil = Infinity;
  }
}

/** The error of a receiver whose senders are all gone. */
export function disconnected(): IpcError {
  return new IpcError("Disconnected", "Cannot receive: every sender is gone, and all messages were received");
}
