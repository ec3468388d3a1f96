// A member of a receiver set: its turn, and what becomes of it when something is wrong with it.
import { IpcError } from "../../base/error.ts";
import type { RingConsumer } from "../ring/consumer.ts";
import type { ReceiverCore } from "./receiver_core.ts";
import type { SelectEvent } from "./select_event.ts";

/** Messages of one member in a row, before the others get their turn. */
const TURN = 32;

/** Milliseconds until the next try where this process had no room for a message. */
const REST = 20;

/** A member and what is known about it. */
export class SetEntry {
  readonly id: number;
  /** Its ring, attached. */
  readonly ring: RingConsumer;
  readonly #receiver: ReceiverCore<unknown>;
  /** Whether it is in the queue of those to look at. */
  queued = false;
  /** Whether the event loop hears its bell. */
  heard = false;
  /** Whether its last turn ended with an error: it comes after the others then. */
  failing = false;
  /** Whether it has said its last: it is closed. */
  ended = false;
  #restsUntil = 0;

  /** @param receiver The entry's own from now on. */
  constructor(id: number, receiver: ReceiverCore<unknown>) {
    this.id = id;
    this.#receiver = receiver;
    this.ring = receiver.open();
  }

  /** Closes the receiver. */
  close(): void {
    this.#receiver.close();
  }

  /**
   * Takes what it has, as far as it is its turn. It is armed if it has nothing more.
   *
   * @returns Whether it is to be looked at again, whatever its bell does.
   */
  turn(events: SelectEvent[]): boolean {
    if (this.#restsUntil > 0 && performance.now() < this.#restsUntil) return true;
    this.#restsUntil = 0;
    try {
      return this.#take(events);
    } catch (error) {
      return this.#failed(error, events);
    }
  }

  #take(events: SelectEvent[]): boolean {
    const { ring } = this;
    for (let taken = 0; taken < TURN; taken++) {
      if (!ring.next()) {
        const state = ring.wait.poll();
        if (state === "disconnected") {
          events.push({ id: this.id, type: "closed" });
          return this.#end();
        }
        if (state === "empty") {
          const gapLook = ring.wait.arm();
          if (!ring.next()) return gapLook > 0; // its sender may be dead, and will not ring then
          ring.wait.disarm();
        }
      }
      events.push({ id: this.id, type: "message", value: this.#receiver.take(ring) });
      this.failing = false;
    }
    return true;
  }

  /** One error a turn, so that the others get theirs. Nothing good can come of a damaged ring: it ends with that. */
  #failed(cause: unknown, events: SelectEvent[]): boolean {
    const error = cause instanceof IpcError
      ? cause
      : new IpcError("Serialization", "Cannot receive a message: it cannot be decoded", { cause });
    events.push({ id: this.id, type: "error", error });
    this.failing = true;
    if (error.code === "Corrupt") return this.#end();
    // Want of descriptors or memory lasts: the rest of the program must get the time to end it.
    if (error.code === "System") this.#restsUntil = performance.now() + REST;
    return true;
  }

  #end(): false {
    this.ended = true;
    this.close();
    return false;
  }
}
