// The bells of producers that wait for room, rung when the consumer has released blocks.
import { ringAnyBell } from "../../ffi/event/doorbell.ts";
import { loadOrdered } from "../../ffi/memory/ordered_load.ts";
import type { DescriptorSource } from "./descriptor_source.ts";
import { W_SPACE } from "./layout.ts";

/** Milliseconds of ringing that count as long, and how many times as long the bells are left alone then. */
const LONG_RINGING = 0.2, RING_PAUSE = 4;

/** The space bells of one ring, as its consumer has them. */
export class SpaceBells {
  readonly #words: Int32Array<ArrayBuffer>;
  readonly #descriptors: DescriptorSource;
  /** When they may be rung again. */
  #notBefore = 0;

  constructor(words: Int32Array<ArrayBuffer>, descriptors: DescriptorSource) {
    this.#words = words;
    this.#descriptors = descriptors;
  }

  /** Rings all of them, unless that took long just now. Call when SPACE is set. */
  ringIfDue(): void {
    if (performance.now() >= this.#notBefore) this.#ring();
  }

  /** Rings those that were left alone because ringing took long: the consumer is about to sleep. */
  ringPostponed(): void {
    if (this.#notBefore !== 0 && loadOrdered(this.#words, W_SPACE) !== 0) this.#ring();
  }

  /**
   * Where that takes long, as there are many bells, not for every block that is released: SPACE stays as it is, and what is
   * released next, or the consumer before it sleeps, rings them.
   */
  #ring(): void {
    const began = performance.now();
    // pair: bell/SPACE. SPACE is cleared, then the bells are taken; a producer gives its bell, then sets SPACE.
    Atomics.store(this.#words, W_SPACE, 0);
    const bells = this.#descriptors.spaceBells();
    for (let i = bells.length - 1; i >= 0; i--) {
      if (ringAnyBell(bells[i]!)) continue;
      bells[i]!.close(); // its producer is gone
      bells.splice(i, 1);
    }
    const now = performance.now(), took = now - began;
    this.#notBefore = took > LONG_RINGING ? now + RING_PAUSE * took : 0;
  }
}
