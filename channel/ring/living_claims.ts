// Which part of a gap in a ring certainly belongs to nobody that lives.
import { isIdentityAlive } from "./owner.ts";
import { CLAIM_BLOCKS, CLAIM_POSITION, ID_START, ID_TID, SLOT_WORDS, SLOTS, W_SLOTS } from "./layout.ts";
import type { RingMemory } from "./memory.ts";

/** Milliseconds that one look may take: finding out about an owner takes up to 20 µs, and a peer may name many. */
const MOST_TIME = 0.5;

/** A claim record inside the gap. */
interface ClaimRecord {
  readonly slot: number;
  /** Blocks from the head on. */
  readonly from: number;
  /** Who owned the slot when its record was read. */
  readonly owner: string;
}

/** The claims that living producers have recorded, as the consumer of a ring needs them. */
export class LivingClaims {
  readonly #memory: RingMemory;
  /** Owners that are dead, as was found out for the gap at one head. */
  readonly #dead = new Set<string>();
  #head = 0;

  constructor(memory: RingMemory) {
    this.#memory = memory;
  }

  /**
   * Blocks from the head on that no living thread has claimed, of a gap of so many.
   *
   * The records are checked in the order of their positions, until one is a living owner's. If the time is over before, the
   * next one counts as living, and the next call goes on behind it.
   */
  before(head: number, gap: number): number {
    if (head !== this.#head) this.#dead.clear();
    this.#head = head;
    const { words, fd } = this.#memory;
    const until = performance.now() + MOST_TIME;
    for (const { slot, from, owner } of this.#records(head, gap)) {
      if (this.#dead.has(owner)) continue;
      if (performance.now() >= until || isIdentityAlive(words, slot, fd)) return from;
      this.#dead.add(owner);
    }
    return gap;
  }

  #records(head: number, gap: number): ClaimRecord[] {
    const { words } = this.#memory;
    const records: ClaimRecord[] = [];
    for (let i = 0; i < SLOTS; i++) {
      const slot = W_SLOTS + i * SLOT_WORDS;
      const tid = Atomics.load(words, slot + ID_TID);
      if (tid <= 0) continue; // who is just taking it has claimed nothing yet
      if (Atomics.load(words, slot + CLAIM_BLOCKS) <= 0) continue;
      // A claim that began before the head is not in the gap.
      const from = (Atomics.load(words, slot + CLAIM_POSITION) - head) | 0;
      if (from < 0 || from >= gap) continue;
      records.push({ slot, from, owner: `${slot} ${tid} ${words[slot + ID_START]}` });
    }
    return records.sort((a, b) => a.from - b.from);
  }
}
