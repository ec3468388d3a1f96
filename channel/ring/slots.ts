// The slots that one producer has in a ring: its own, and one for each loan that is out.
//
// Where the ring is used in one PID namespace alone, those who have to know whether the owner of a slot lives look for its
// thread. Elsewhere the owner holds locks (see owner.ts): on a named ring by the open file of its attachment, on any
// other by the memory opened anew, which costs 6 µs, and so is done only when an end of another namespace has been
// attached: at once by who attaches after that, and by all others when they look for the consumer next, and before they
// wait for room. Slots of loans are locked in any case: a loan may be out for long, and its producer do nothing meanwhile;
// they are kept for the next loans, so it costs that once a producer.
//
// Not known to be dead in another namespace is, for this reason, an owner that was killed within a send, between claim and
// commit, before it had looked for the consumer again after that end was attached; and one that could not open the
// memory, as the system does not show it, or is not allowed to.
import { IpcError } from "../../base/error.ts";
import type { IpcFd } from "../../ffi/file/fd.ts";
import { ownDescription } from "../../ffi/file/file_lock.ts";
import { ownThread } from "../../ffi/process/liveness.ts";
import { claimIdentity, clearIdentity, lockIdentity } from "./owner.ts";
import { CLAIM_BLOCKS, SLOT_WORDS, SLOTS, W_NAMESPACE, W_SLOTS } from "./layout.ts";
import type { RingMemory } from "./memory.ts";

export class ProducerSlots {
  readonly #memory: RingMemory;
  readonly #words: Int32Array<ArrayBuffer>;
  readonly #namespace = ownThread().namespace;
  /** What holds the locks, once there are any. */
  #lock: IpcFd | undefined;
  readonly #lockIsOwn: boolean;
  /** Whether there is no sense in trying to get one. */
  #refused = false;
  /** Whether all slots are locked. */
  #locked = false;
  /** All of them, by their word indices. */
  readonly #slots: number[] = [];
  /** Those of loans that have ended. */
  readonly #spare: number[] = [];

  /**
   * @param memory The ring.
   * @param lock A description of its file that belongs to this producer alone, if it has one; stays the caller's.
   */
  constructor(memory: RingMemory, lock?: IpcFd) {
    this.#memory = memory;
    this.#words = memory.words;
    this.#lock = lock;
    this.#lockIsOwn = lock === undefined;
  }

  /**
   * A slot for claims: one at a time.
   *
   * @param locked Whether a claim may stay open while this producer does nothing.
   * @throws {IpcError} `System` if living threads have all of them.
   */
  claim(locked = false): number {
    const lock = locked || this.#needed ? this.#open() : undefined;
    const slot = this.#find(lock) ?? (lock === undefined ? undefined : this.#find(undefined));
    if (slot === undefined) {
      if (this.#slots.length === 0) this.close();
      throw new IpcError(
        "System",
        `Cannot send: ${SLOTS} threads send through this channel already; close some senders`,
      );
    }
    this.#slots.push(slot);
    this.#locked = false; // as far as is known
    return slot;
  }

  /** A free one, or, if there is none, one whose owner is dead. */
  #find(lock: IpcFd | undefined): number | undefined {
    const words = this.#words;
    for (const takeOver of [false, true]) {
      for (let i = 0; i < SLOTS; i++) {
        const slot = W_SLOTS + i * SLOT_WORDS;
        if (takeOver && this.#slots.includes(slot)) continue;
        // A dead owner's claim record would be taken for a claim of ours.
        if (claimIdentity(words, slot, takeOver, lock, () => words[slot + CLAIM_BLOCKS] = 0)) return slot;
      }
    }
    return undefined;
  }

  /** Takes the locks that have become necessary since the last call. Costs two comparisons where none have. */
  lock(): void {
    if (this.#locked || !this.#needed) return;
    const lock = this.#open();
    if (lock === undefined) return;
    this.#locked = this.#slots.every((slot) => lockIdentity(this.#words, slot, lock));
  }

  /** Whether an end of the ring is, or was, in another PID namespace, or this one is not known. */
  get #needed(): boolean {
    return this.#words[W_NAMESPACE] !== this.#namespace || this.#namespace === 0;
  }

  #open(): IpcFd | undefined {
    if (this.#lock !== undefined || this.#refused) return this.#lock;
    try {
      this.#lock = ownDescription(this.#memory.fd.fd);
      this.#refused = this.#lock === undefined;
    } catch {
      // The descriptor table is full: next time.
    }
    return this.#lock;
  }

  /** A slot for a claim that stays open while others are made. */
  borrow(): number {
    return this.#spare.pop() ?? this.claim(true);
  }

  /** Takes a slot back after its claim was committed. */
  giveBack(slot: number): void {
    this.#words[slot + CLAIM_BLOCKS] = 0;
    this.#spare.push(slot);
  }

  /** Gives up all slots; no claim is open any more. */
  close(): void {
    for (const slot of this.#slots) {
      this.#words[slot + CLAIM_BLOCKS] = 0;
      clearIdentity(this.#words, slot, this.#lock);
    }
    if (this.#lockIsOwn) this.#lock?.close();
  }
}
