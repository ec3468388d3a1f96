// Publishers take turns: one at a time writes, so nobody has to find out what another has left unfinished. A turn is as
// long as a message takes to copy. That of a publisher which has died is taken over: whose turn it is stands in a word,
// and who that is in the publisher's slot, as with senders of a ring (see channel/ring/owner.ts).
//
// Nothing of it is a mutex of the C library: publishers can all write to the memory, and must not be able to harm one
// another by more than that.
import { IpcError } from "../../base/error.ts";
import type { IpcFd } from "../../ffi/file/fd.ts";
import type { Futex } from "../../ffi/memory/futex.ts";
import { claimIdentity, clearIdentity, isIdentityAlive } from "../ring/owner.ts";
import { ID_PID, SLOT_WORDS, SLOTS, W_SLOTS } from "../ring/layout.ts";
import { W_TURN } from "./layout.ts";
import type { TopicMemory } from "./memory.ts";

const OWNER = 0x7ff, SLEEPERS = 0x800, NEXT_TURN = 0x1000;

/** Looks before this publisher sleeps, of some 10 ns each. */
const LOOKS = 500;

/** Milliseconds of a sleep: a wake-up that is lost, as its publisher died, costs as much. */
const NAP = 2;

/** Milliseconds that another may take for one message before this one gives up, and that it waits in all. */
const PATIENCE = 5000, LONGEST_WAIT = 60_000;

/** One publisher's part in it. */
export class Turns {
  readonly #words: Int32Array<ArrayBuffer>;
  readonly #futex: Futex;
  /** Holds the locks of publishers that live. */
  readonly #seats: IpcFd;
  readonly #path: string;
  readonly #slot: number;
  readonly #own: number;
  readonly #locked: boolean;
  /** The word while it is this one's turn. */
  #taken = 0;

  /**
   * Takes a slot.
   *
   * @param seats An open file description of this publisher's alone, of the file that the locks of publishers are on.
   * @throws {IpcError} `System` if living publishers have all of them.
   */
  constructor(memory: TopicMemory, seats: IpcFd, path: string) {
    this.#words = memory.words;
    this.#futex = memory.turn;
    this.#seats = seats;
    this.#path = path;
    const locked = findSlot(this.#words, seats);
    // A file system without locks: then the thread alone says whether its publisher lives.
    const slot = locked ?? findSlot(this.#words, undefined);
    if (slot === undefined) {
      throw new IpcError("System", `Cannot publish to "${path}": it has ${SLOTS} publishers already; close some`);
    }
    this.#slot = slot;
    this.#locked = locked !== undefined;
    this.#own = (slot - W_SLOTS) / SLOT_WORDS + 1;
    // The slot's last owner may have died in its turn, which would look like this one's from now on.
    const found = Atomics.load(this.#words, W_TURN);
    if ((found & OWNER) === this.#own && this.#tryTake(found, SLEEPERS)) this.give();
  }

  /** Waits until it is this publisher's turn; only ever for other publishers, and for as long as they copy. */
  take(): void {
    const found = this.#words[W_TURN]!; // however old: the swap finds out
    if ((found & OWNER) !== 0 || !this.#tryTake(found, 0)) this.#wait();
  }

  #tryTake(found: number, sleepers: number): boolean {
    const next = ((found & ~(OWNER | SLEEPERS)) + NEXT_TURN) | this.#own | (found & SLEEPERS) | sleepers;
    if (Atomics.compareExchange(this.#words, W_TURN, found, next) !== found) return false;
    this.#taken = next;
    return true;
  }

  #wait(): void {
    const words = this.#words;
    for (let i = 0; i < LOOKS; i++) {
      const found = Atomics.load(words, W_TURN);
      if ((found & OWNER) === 0 && this.#tryTake(found, 0)) return;
    }
    const began = performance.now();
    let looked = 0, lookedAt = began; // at whether the publisher of this turn lives
    let sleepers = 0;
    for (;;) {
      const found = Atomics.load(words, W_TURN);
      if ((found & OWNER) === 0 || (looked === (found & ~SLEEPERS) && !this.#lives(found))) {
        // Others may sleep as well, and nobody knows: who gives the turn back wakes the next one.
        if (this.#tryTake(found, sleepers)) return;
        continue;
      }
      const now = performance.now();
      if (looked !== (found & ~SLEEPERS)) lookedAt = now;
      if (now - lookedAt > PATIENCE || now - began > LONGEST_WAIT) throw this.#busy(found, now - lookedAt);
      looked = found & ~SLEEPERS;
      const marked = found | SLEEPERS;
      if (found !== marked && Atomics.compareExchange(words, W_TURN, found, marked) !== found) continue;
      sleepers = SLEEPERS;
      this.#futex.sleep(marked, NAP);
    }
  }

  /** Whether the publisher lives whose turn it is. What is no slot is nobody's. */
  #lives(turn: number): boolean {
    const owner = turn & OWNER;
    // Its own, by another than this object: what a damaged word says, as this one would not wait for itself.
    if (owner > SLOTS || owner === this.#own) return false;
    return isIdentityAlive(this.#words, W_SLOTS + (owner - 1) * SLOT_WORDS, this.#seats);
  }

  #busy(turn: number, milliseconds: number): IpcError {
    const owner = turn & OWNER;
    const pid = owner > SLOTS ? 0 : this.#words[W_SLOTS + (owner - 1) * SLOT_WORDS + ID_PID]!;
    return new IpcError(
      "Timeout",
      `Cannot publish to "${this.#path}": its publisher in process ${pid} has been in the middle of a message for ` +
        `${Math.round(milliseconds)} ms; continue it if it was stopped, or end it`,
    );
  }

  /** Gives the turn back. */
  give(): void {
    const free = this.#taken & ~(OWNER | SLEEPERS);
    if (Atomics.compareExchange(this.#words, W_TURN, this.#taken, free) === this.#taken) {
      if ((this.#taken & SLEEPERS) !== 0) this.#futex.wakeOne();
    } else if (
      Atomics.compareExchange(this.#words, W_TURN, this.#taken | SLEEPERS, free) === (this.#taken | SLEEPERS)
    ) {
      this.#futex.wakeOne();
    } // else others have damaged the word: it is not this one's to give
  }

  /** Gives the slot up. */
  close(): void {
    clearIdentity(this.#words, this.#slot, this.#locked ? this.#seats : undefined);
  }
}

/** A free slot, or, if there is none, one whose owner is dead. */
function findSlot(words: Int32Array<ArrayBuffer>, lock: IpcFd | undefined): number | undefined {
  for (const takeOver of [false, true]) {
    for (let i = 0; i < SLOTS; i++) {
      const slot = W_SLOTS + i * SLOT_WORDS;
      if (claimIdentity(words, slot, takeOver, lock)) return slot;
    }
  }
  return undefined;
}
