// How a producer waits for room: polls, naps while the consumer is at work, then sleeps until its space bell rings.
import { BellListener, createDoorbell } from "../../ffi/event/doorbell.ts";
import { pauseSync } from "../../ffi/event/pause.ts";
import { waitReadable } from "../../ffi/event/readable.ts";
import type { IpcFd } from "../../ffi/file/fd.ts";
import { sendSpaceBell } from "./carrier.ts";
import type { ConsumerBell } from "./consumer_bell.ts";
import type { ConsumerLiveness } from "./consumer_liveness.ts";
import { W_BELL, W_HEAD, W_SPACE } from "./layout.ts";
import type { RingMemory } from "./memory.ts";
import type { ProducerSlots } from "./slots.ts";
import { spinPause } from "./spin_pause.ts";

/** Polls before a wait for room blocks, of some 50 ns each. */
const SPINS = 400;

/**
 * Bounds of a nap, in milliseconds, and the part of the ring that a consumer at work may empty meanwhile. A shorter one
 * is not worth it: the kernel wakes up to 0.05 ms late.
 */
const MIN_NAP = 0.05, MAX_NAP = 2, NAP_SHARE = 1 / 4;

/** Longest sleep of a wait for room, in milliseconds, where the consumer could not be given a bell to ring. */
const BLIND_SLEEP = 5;

/** The same where one bell serves all producers, and one that sleeps may miss it. */
const SHARED_SLEEP = 20;

/**
 * The same where the consumer has a bell of this producer's own. It may not have taken it: where it had no descriptor left,
 * or too many of them wait.
 */
const LONGEST_SLEEP = 100;

/** What one producer waits for room by. */
export interface RoomWaitParts {
  readonly memory: RingMemory;
  readonly bell: ConsumerBell;
  readonly consumer: ConsumerLiveness;
  readonly slots: ProducerSlots;
  /** What the space bell is sent by; of a named ring, the bell itself. */
  readonly socket: IpcFd;
  /** Whether one bell serves all producers: that of a named ring. */
  readonly shared: boolean;
}

/** The waits for room of one producer. */
export class RoomWait {
  readonly #parts: RoomWaitParts;
  readonly #words: Int32Array<ArrayBuffer>;
  #spaceBell: BellListener | undefined;
  /** How fast the consumer works, from the first wait on; and whether the last wait was over after a nap. */
  #progress: Progress | undefined;
  #napped = false;

  constructor(parts: RoomWaitParts) {
    this.#parts = parts;
    this.#words = parts.memory.words;
  }

  /**
   * Blocks until the consumer has released blocks.
   *
   * @param ready Whether what is waited for is there; asked again after every change.
   * @returns `false` if the deadline passed.
   */
  sync(ready: () => boolean, deadline: number): boolean {
    const progress = this.#progress ??= new Progress(this.#words), { bell, consumer, shared } = this.#parts;
    for (let i = this.#napped ? SPINS : 0; i < SPINS; i++) {
      if (ready()) return true;
      spinPause();
    }
    for (;;) {
      this.#napped = this.#nap(progress, ready, deadline);
      if (this.#napped) return true;
      const armed = this.arm();
      if (ready()) return true;
      const now = performance.now();
      if (now >= deadline) return false;
      if (armed) {
        const until = Math.min(deadline, now + (shared ? SHARED_SLEEP : LONGEST_SLEEP));
        if (this.#spaceBell!.waitSync(until) === "hangup") this.#lost();
      } else {
        waitReadable(bell.fd, Math.min(deadline, now + BLIND_SLEEP)); // nothing to read there: a sleep
      }
      consumer.check();
      if (ready()) return true;
    }
  }

  /**
   * Sleeps by the clock while the consumer is at work, as long as it takes to empty part of the ring. A bell would ring
   * for the first block that it releases, in every producer that waits, and each would fill it and wait again: with more
   * of them than processors the consumer would hardly get to run.
   *
   * @returns Whether what is waited for is there. If not, the consumer rests, or nearly so, or the time is over.
   */
  #nap(progress: Progress, ready: () => boolean, deadline: number): boolean {
    const share = this.#parts.memory.blocks * NAP_SHARE;
    for (;;) {
      const nap = Math.min(progress.timeFor(share), MAX_NAP, deadline - performance.now());
      // NaN where nothing moved.
      if (!(nap >= MIN_NAP)) return false;
      pauseSync(nap);
      if (ready()) return true;
    }
  }

  /**
   * Asks the consumer to ring when it releases blocks. Look whether there is room after this, then wait.
   *
   * @returns `false` if the consumer cannot be asked, as too much is queued for it: look again by and by.
   */
  arm(): boolean {
    const { bell, slots } = this.#parts;
    if (this.#spaceBell === undefined && !this.#giveBell()) return false;
    slots.lock();
    const words = this.#words;
    // pair: bell/SPACE. The bell was given before SPACE is set; the consumer clears SPACE, then takes the bells.
    // pair: SPACE/HEAD. SPACE is stored, then HEAD loaded, by the caller; the consumer stores HEAD, then loads SPACE.
    Atomics.store(words, W_SPACE, 1);
    // What fills the ring may be what the dead have claimed, or committed and not rung for: a consumer that sleeps does not
    // know of it.
    const ticket = Atomics.load(words, W_BELL);
    if (ticket > 0) bell.ring(ticket);
    return true;
  }

  /** Makes a bell, and gives the consumer an end of it; `false` if it could not be sent. */
  #giveBell(): boolean {
    const { socket, shared } = this.#parts;
    if (shared) {
      this.#spaceBell = new BellListener(socket.clone());
      return true;
    }
    const [listen, ring] = createDoorbell();
    let sent = false;
    try {
      sent = sendSpaceBell(socket.fd, ring.fd);
    } finally {
      ring.close();
      if (!sent) listen.close();
    }
    if (sent) this.#spaceBell = new BellListener(listen);
    return sent;
  }

  /** The doorbell that the consumer rings, once armed. */
  get spaceBell(): BellListener | undefined {
    return this.#spaceBell;
  }

  /** After a ring: throws `Disconnected` if it was the end of the consumer. */
  afterRing(): void {
    if (this.#spaceBell?.hungUp) this.#lost();
    this.#parts.consumer.check();
  }

  /** The consumer that held the bell is gone; another may have taken its place, and must be given a new bell. */
  #lost(): void {
    this.#spaceBell?.close();
    this.#spaceBell = undefined;
  }

  close(): void {
    this.#spaceBell?.close();
  }
}

/** How fast a consumer releases blocks. */
class Progress {
  readonly #words: Int32Array<ArrayBuffer>;
  #head: number;
  #at = performance.now();

  constructor(words: Int32Array<ArrayBuffer>) {
    this.#words = words;
    this.#head = Atomics.load(words, W_HEAD);
  }

  /** Milliseconds in which it releases so many, by what it did since the last look; `NaN` if it did nothing. */
  timeFor(blocks: number): number {
    const head = Atomics.load(this.#words, W_HEAD), at = performance.now();
    const released = (head - this.#head) | 0, time = at - this.#at;
    this.#head = head;
    this.#at = at;
    return released > 0 ? blocks / released * time : NaN;
  }
}
