// How a consumer waits: polls for a while, then sleeps until its doorbell rings, and ends when no producer is left.
import { anyBellAwaited, type BellListener } from "../../ffi/event/doorbell.ts";
import { yieldProcessor } from "../../ffi/event/pause.ts";
import { FIRST_GAP_CHECK, type GapRecovery } from "./gap_recovery.ts";
import { W_BELL } from "./layout.ts";
import type { Reclaim } from "./reclaim.ts";
import type { RecordReader } from "./record_reader.ts";
import { SpinBudget } from "./spin_budget.ts";
import { SpinHead } from "./spin_head.ts";
import { spinPause } from "./spin_pause.ts";

/**
 * Bounds of the spin before a blocking wait, in polls of some 40 ns each. The upper one is about three times what it
 * takes to wake a sleeping peer, so that one side's sleep does not send the other to sleep as well.
 */
const MIN_SPINS = 16, MAX_SPINS = 4000;

/**
 * The lower bound for a wait that holds the event loop up meanwhile; the upper one is the same. With one of 40 µs, less than a
 * wake-up takes on some machines, both sides went to sleep in each turn once one had: 80 µs there and back in place of 8.
 */
const MIN_ASYNC_SPINS = 0;

/** Microseconds of a poll, about. */
const SPIN_TIME = 0.04;

/** Spins before it is worth asking for the time. */
const UNMEASURED_SPINS = 100;

/** Microseconds of a nap at most. It holds the event loop up, as a spin does. */
const NAP = 160;

/** How often the processor is offered to a producer that is about to commit, before this side goes to sleep again. */
const YIELDS = 4;

/** For how many milliseconds a call goes on where there is padding all the time. */
const PADDING_TIME = 1;

/** What a poll has found. */
export type PollResult = "message" | "empty" | "disconnected";

/** The waits of one consumer. */
export class ConsumerWait {
  readonly #records: RecordReader;
  readonly #words: Int32Array<ArrayBuffer>;
  readonly #bell: BellListener;
  readonly #gap: GapRecovery;
  readonly #reclaim: Reclaim;
  readonly #spins = new SpinBudget(MAX_SPINS, MIN_SPINS);
  readonly #asyncSpins = new SpinBudget(MAX_SPINS, MIN_ASYNC_SPINS);
  readonly #spinHead = new SpinHead();
  /** Polls of the last spin until it found a record. */
  #polled = 0;
  /** Number of the last wait, for BELL. */
  #ticket = 0;
  #armedAt = 0;
  /** Microseconds of a nap. */
  #napTime = NAP;
  /** Where the last producer stopped, once all are gone. */
  #lastTail: number | undefined;

  constructor(records: RecordReader, bell: BellListener, gap: GapRecovery, reclaim: Reclaim) {
    this.#records = records;
    this.#words = records.memory.words;
    this.#bell = bell;
    this.#gap = gap;
    this.#reclaim = reclaim;
  }

  // --- Polling -------------------------------------------------------------------------------------------------------

  /**
   * Looks for a message without waiting, and deals with gaps and the end of the producers.
   *
   * @param listening Whether the caller listens to the bell in the event loop, which then tells of the producers' end.
   * @returns `message` after {@linkcode RecordReader.next} found one, `empty`, or `disconnected` if none can come any more.
   */
  poll(listening = false): PollResult {
    const records = this.#records;
    if (this.#nextSoon()) return "message";
    if (records.unfinished) return "empty";
    this.#gap.closeOrphans();
    if (listening ? this.#bell.hungUpUntold : this.#bell.hungUp) return this.#drainLast();
    if (records.hasGap && this.#gap.check() && records.next()) return "message";
    this.#reclaim.run();
    return "empty";
  }

  /** {@linkcode RecordReader.next}, also if padding makes it take more than one go; still bounded. */
  #nextSoon(): boolean {
    const records = this.#records;
    if (records.next()) return true;
    if (!records.unfinished) return false;
    for (const until = performance.now() + PADDING_TIME; records.unfinished && performance.now() < until;) {
      records.unfinished = false;
      if (records.next()) return true;
    }
    return false;
  }

  /**
   * No producer is left: what is committed still counts, what is not never will be. Nobody claims any more, so where the
   * tail is now is the end, whatever it says later.
   *
   * @returns `empty` if it takes more than one call to find out.
   */
  #drainLast(): PollResult {
    const records = this.#records;
    if (this.#lastTail === undefined) {
      this.#lastTail = records.position; // if it is impossible, that is reported once
      this.#lastTail = records.loadTail();
    }
    const until = performance.now() + PADDING_TIME;
    do {
      if (((this.#lastTail - records.position) | 0) <= 0) return "disconnected";
      if (this.#nextSoon()) return "message";
      if (records.unfinished) records.unfinished = false;
      else if (!this.#gap.recover(true)) return "disconnected";
    } while (performance.now() < until);
    return "empty";
  }

  // --- Sleeping ------------------------------------------------------------------------------------------------------

  /**
   * Blocks until a message is there.
   *
   * @param deadline On the clock of `performance.now()`.
   */
  sync(deadline: number): "message" | "timeout" | "disconnected" {
    const records = this.#records;
    for (;;) {
      const spun = this.#spin(this.#spins.polls);
      if (records.next()) {
        this.#paid(this.#spins, spun);
        return "message";
      }
      if (records.unfinished) {
        records.unfinished = false;
        if (performance.now() >= deadline) return "timeout";
        continue;
      }
      const gapCheck = this.arm();
      if (records.next()) {
        this.disarm();
        return "message";
      }
      const now = performance.now();
      const event = this.#bell.waitSync(Math.min(deadline, gapCheck === 0 ? Infinity : now + gapCheck));
      this.disarm();
      // Spin only where it pays: while messages come in quick succession. An idle consumer soon uses no processor time.
      this.#spins.inVain(performance.now() - now);
      if (records.next()) return "message";
      if (event === "hangup") {
        const last = this.#drainLast();
        if (last !== "empty") return last;
      }
      if (event === "timeout" && records.hasGap && this.#gap.check() && records.next()) return "message";
      // Also after a ring: a peer that rings for nothing does not hold up the time.
      if (performance.now() >= deadline) return "timeout";
    }
  }

  /**
   * Declares that this consumer waits for its bell. Look for a message once more after it.
   *
   * @returns Milliseconds after which to call this again, as there is a gap at the head, or memory to give back; 0 if
   * there is neither.
   */
  arm(): number {
    const records = this.#records;
    const reclaimIn = this.#reclaim.run();
    if (records.hasGap) this.#letProducerCommit();
    records.spaceBells.ringPostponed();
    this.#ticket = (this.#ticket + 1) & 0x3fff_ffff || 1;
    // TAIL, for a gap, after that: a claim is seen here, or rung for when it is committed.
    // pair: commit/BELL. BELL is stored, then the commit word loaded; a producer stores the word, then loads BELL.
    Atomics.store(this.#words, W_BELL, this.#ticket);
    this.#gap.closeOrphans();
    if (records.ready) return FIRST_GAP_CHECK; // it may be more padding than one look passes over
    if (!records.hasGap) return reclaimIn;
    this.#gap.check();
    return this.#gap.pause;
  }

  /**
   * The producer that has claimed may be waiting for this very processor: it commits as soon as it runs. Without this it would
   * have to wake the consumer again.
   */
  #letProducerCommit(): void {
    for (let i = 0; i < YIELDS && !this.#records.ready; i++) yieldProcessor();
  }

  /** Declares that it does not wait any more. */
  disarm(): void {
    // pair: byte/BELL. Awake first, by the byte, then the flag; a producer writes the byte, then takes the flag down.
    Atomics.store(this.#words, W_BELL, 0);
  }

  // --- Spinning ------------------------------------------------------------------------------------------------------

  /** Polls so many times; returns how many milliseconds that took, 0 for a short time. */
  #spin(spins: number): number {
    if (spins === 0) return 0;
    this.#reclaim.rewind(); // the next message then goes to where the caches are warm
    const commit = this.#records.commitIndex;
    for (let i = Math.min(this.#spinHead.pauses, spins); i > 0; i--) spinPause();
    const unmeasured = Math.min(spins, UNMEASURED_SPINS);
    for (let i = 0; i < unmeasured; i++) {
      if (Atomics.load(this.#words, commit) !== 0) {
        this.#polled = i;
        return 0;
      }
      spinPause();
    }
    this.#polled = unmeasured;
    if (spins === unmeasured) return 0;
    const began = performance.now();
    for (let i = unmeasured; i < spins && Atomics.load(this.#words, commit) === 0; i++) spinPause();
    return performance.now() - began;
  }

  /** A spin has brought a message, which is not received yet. */
  #paid(spins: SpinBudget, milliseconds: number): void {
    spins.paid(milliseconds);
    const head = this.#spinHead;
    head.came(this.#polled, head.streams ? this.#records.claimedBehind : 0);
  }

  /**
   * Polls for a message for some microseconds, if messages have been coming in quick succession: sleeping and being
   * woken takes longer. Where that has been in vain, but messages come quickly, sleeps as long at most.
   */
  spinForNext(): boolean {
    const { polls } = this.#asyncSpins;
    if (polls === 0) return this.#asyncSpins.naps && !anyBellAwaited() && this.#nap();
    const spun = this.#spin(polls);
    if (!this.#records.next()) return false;
    this.#paid(this.#asyncSpins, spun);
    return true;
  }

  /**
   * Sleeps for a moment, without the event loop: where the peer needs this processor to answer, the loop's turn costs more than
   * all the rest. Not while others await something, as they would wait for this peer.
   */
  #nap(): boolean {
    const records = this.#records, began = performance.now();
    let found: boolean, time: number;
    do {
      this.arm();
      if (!records.ready) this.#bell.waitBriefly(this.#napTime);
      this.disarm();
      found = records.next();
      time = performance.now() - began;
    } while (!found && records.hasGap && time * 1000 < this.#napTime); // woken while a message is written
    this.#asyncSpins.napped(found ? time : undefined);
    return found;
  }

  /** Sets for how long waits may spin, in microseconds. */
  limitSpins(microseconds: number): void {
    const polls = Math.round(microseconds / SPIN_TIME);
    this.#spins.limit(polls);
    this.#asyncSpins.limit(polls);
    this.#napTime = Math.min(NAP, microseconds);
  }

  /** An asynchronous wait begins. */
  begins(): void {
    this.#armedAt = performance.now();
  }

  /** An asynchronous wait has brought a message. */
  ended(): void {
    this.#asyncSpins.inVain(performance.now() - this.#armedAt);
  }
}
