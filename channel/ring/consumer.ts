// The receiving side of a ring: find the next whole record, release its blocks, and step over what the dead left.
import { BellListener, ringAnyBell } from "../../ffi/event/doorbell.ts";
import { IpcError } from "../../base/error.ts";
import type { IpcFd } from "../../ffi/file/fd.ts";
import { libc } from "../../ffi/libc/libc.ts";
import { loadOrdered } from "../../ffi/memory/ordered_load.ts";
import { memoryOf } from "../../ffi/memory/storage.ts";
import type { MemoryFileReader } from "../../ffi/memory/memory_file.ts";
import { O_RDONLY } from "../../ffi/libc/platform.ts";
import { availableMemory } from "../../ffi/file/resources.ts";
import { DescriptorQueue, type DescriptorSource, NoDescriptors } from "./carrier.ts";
import { type Handle, openHandle } from "./handle.ts";
import { claimIdentity, clearIdentity } from "./owner.ts";
import { LivingClaims } from "./living_claims.ts";
import {
  BELL_CLOSED,
  BLOCK_SHIFT,
  blocksFor,
  EXTENDED_HEADER,
  W_BELL,
  W_COMMIT,
  W_HEAD,
  W_READ,
  W_RECEIVER,
  W_SPACE,
  W_TAIL,
  W_TRIMS,
  WARM_BLOCKS,
} from "./layout.ts";
import type { RingMemory } from "./memory.ts";
import type { NamedRing } from "./named_ring.ts";
import { RingTrim } from "./trim.ts";
import { SpinBudget } from "./spin_budget.ts";

/**
 * Bounds of the spin before a blocking wait, in looks of some 40 ns each. The upper one is about three times what it
 * takes to wake a sleeping peer, so that one side's sleep does not send the other to sleep as well.
 */
const MIN_SPINS = 16, MAX_SPINS = 4000;

/** The same for a wait that holds the event loop up meanwhile. */
const MAX_ASYNC_SPINS = 1000;

/** Microseconds of a look, about. */
const SPIN_TIME = 0.04;

/** Spins before it is worth asking for the time. */
const UNMEASURED_SPINS = 100;

/** How often the processor is offered to a sender that is about to commit, before this side goes to sleep again. */
const YIELDS = 4;

/**
 * Pauses before the first look of a spin. A receiver that has caught up with its senders leaves them the cache line that
 * they write next for a moment, instead of taking it away with every look (measured: 64 bytes 93 and 84 ns, round trips
 * alike).
 */
const PAUSES = 8;

/**
 * Bounds of what one call does with what a peer may write as fast as it is read: padding that is passed over in one go, and
 * for how many milliseconds several of those; blocks of a gap that are stepped over in one go. All of an honest peer's is done
 * within, or in the calls that follow at once.
 */
const MOST_PADDING = 1024, PADDING_TIME = 1, MOST_GAP = 65_536;

/** Milliseconds of ringing space bells that count as long, and how many times as long they are left alone then. */
const LONG_RINGING = 0.2, RING_PAUSE = 4;

/** Longer messages are looked at before they are received: whether anybody wrote them, and whether there is room for them. */
const LARGE = 1 << 20, VERY_LARGE = 16 << 20;

/** Milliseconds between two looks at a gap whose owner lives, doubling from the first to the last. */
const FIRST_GAP_LOOK = 0.5, LAST_GAP_LOOK = 50;

export class RingConsumer {
  readonly #memory: RingMemory;
  readonly #words: Int32Array<ArrayBuffer>;
  readonly #mask: number;
  readonly #bell: BellListener;
  readonly #descriptors: DescriptorSource;
  /** The files of a named ring. */
  #file: NamedRing | undefined;
  /** Position of the next record to look at. */
  #head: number;
  /** What HEAD says: everything before is the senders' again. */
  #published: number;
  /** Positions up to here are claimed, as far as this receiver knows. */
  #knownTail: number;
  /** Number of the last wait, for BELL. */
  #ticket = 0;
  readonly #spins = new SpinBudget(MAX_SPINS, MIN_SPINS);
  readonly #asyncSpins = new SpinBudget(MAX_ASYNC_SPINS, 0);
  #armedAt = 0;
  /** When the gap at the head was last looked at, and how long to leave it alone. */
  #gapAt = 0;
  #gapPosition = 0;
  #gapPause = 0;
  readonly #living: LivingClaims;
  /** Whether {@linkcode next} stopped within padding that goes on. */
  #unfinished = false;
  /** Where the last sender stopped, once all are gone. */
  #lastTail: number | undefined;
  /** When the space bells may be rung again. */
  #ringAfter = 0;
  /** Whether descriptors of records that never came may have arrived. */
  #orphans = false;
  /** Longer messages are refused; `undefined` for half of what the machine has free. */
  #mostBytes: number | undefined;
  /** Messages of up to so many bytes are received without a look. */
  #unchecked = LARGE;
  /** The body of the next message, as far as it was read before a time-out. */
  #unread: Unread | undefined;
  /** Until when the body of a message may be read, on the clock of `performance.now()`. */
  readUntil = Infinity;
  /** Spans handed out and not given back, in order. */
  readonly #loans: LentRecord[] = [];
  readonly #trim: RingTrim | undefined;

  // --- The record that `next()` found ---

  /** Where its payload begins in {@linkcode RingMemory.data}. */
  offset = 0;
  /** Bytes of its payload in the ring. */
  length = 0;
  /** Whether an extended header precedes the payload. */
  extended = false;
  #blocks = 0;

  private constructor(memory: RingMemory, bell: BellListener, descriptors: DescriptorSource) {
    this.#memory = memory;
    this.#words = memory.words;
    this.#mask = memory.blocks - 1;
    this.#bell = bell;
    this.#descriptors = descriptors;
    this.#published = Atomics.load(this.#words, W_HEAD);
    this.#head = this.#resume();
    this.#knownTail = this.#head;
    this.#trim = RingTrim.of(memory, this.#head);
    this.#living = new LivingClaims(memory);
  }

  /** Goes on where the last receiver stopped, even if it was killed before it released what it had received. */
  #resume(): number {
    const words = this.#words;
    const read = Atomics.load(words, W_READ), tail = Atomics.load(words, W_TAIL);
    const received = (read - this.#published) | 0;
    if (received < 0 || ((tail - read) | 0) < 0 || ((tail - this.#published) | 0) > this.#memory.blocks) {
      return this.#published; // damaged: the first look at the tail says so
    }
    for (let i = 0; i < received; i++) words[W_COMMIT + ((this.#published + i) & this.#mask)] = 0;
    Atomics.store(words, W_HEAD, read);
    return this.#published = read;
  }

  /**
   * The receiving side of a ring. Owns what it is given, also if it throws.
   *
   * @throws {IpcError} `AlreadyExists` if another living thread receives from this ring.
   */
  static create(memory: RingMemory, bell: IpcFd, descriptors: IpcFd): RingConsumer {
    if (!claimIdentity(memory.words, W_RECEIVER, true)) {
      memory.release();
      bell.close();
      descriptors.close();
      throw new IpcError("AlreadyExists", "Cannot receive: this channel has a receiver already");
    }
    const receiver = new RingConsumer(memory, new BellListener(bell), new DescriptorQueue(descriptors));
    // The flag of an earlier receiver's wait, which is over.
    if (Atomics.load(memory.words, W_BELL) > 0) Atomics.store(memory.words, W_BELL, 0);
    return receiver;
  }

  /** The receiving side of a ring that came from a peer. Owns the handle, as {@linkcode openHandle} says. */
  static attach(handle: Handle): RingConsumer {
    const { memory, bell, descriptors } = openHandle(handle, O_RDONLY);
    const receiver = RingConsumer.create(memory, bell, descriptors);
    receiver.#orphans = true; // those that an earlier receiver did not close
    return receiver;
  }

  /**
   * The receiving side of a named ring. Owns the attachment, also if it throws.
   *
   * @throws {IpcError} `AlreadyExists` if another living thread receives from it.
   */
  static open(file: NamedRing): RingConsumer {
    const { memory, lock } = file;
    // Without the lock where the file system has none: then a dead owner in another PID namespace is not known as such.
    if (!claimIdentity(memory.words, W_RECEIVER, true, lock) && !claimIdentity(memory.words, W_RECEIVER, true)) {
      memory.release();
      file.leave();
      throw new IpcError("AlreadyExists", `Cannot receive from "${file.path}": this channel has a receiver already`);
    }
    const receiver = new RingConsumer(memory, new BellListener(file.bell), new NoDescriptors(file.room));
    receiver.#file = file;
    Atomics.add(memory.words, W_TRIMS, 1); // the one before may have died while it gave memory back
    if (Atomics.load(memory.words, W_BELL) > 0) Atomics.store(memory.words, W_BELL, 0);
    return receiver;
  }

  /** Whether the ring has a name: it outlives its users then, and is opened by its path. */
  get named(): boolean {
    return this.#file !== undefined;
  }

  /** The path of a named ring. */
  get path(): string | undefined {
    return this.#file?.path;
  }

  /** Bytes that the ring holds. */
  get capacity(): number {
    return this.#memory.blocks << BLOCK_SHIFT;
  }

  /** Bytes of blocks that are claimed and not received. */
  get waiting(): number {
    const waiting = (Atomics.load(this.#words, W_TAIL) - this.#head) | 0;
    return Math.min(Math.max(waiting, 0), this.#memory.blocks) << BLOCK_SHIFT;
  }

  /** The doorbell that senders ring. */
  get bell(): BellListener {
    return this.#bell;
  }

  /** The queue that descriptors come in by. */
  get descriptors(): DescriptorSource {
    return this.#descriptors;
  }

  /** The memory of the ring. */
  get memory(): RingMemory {
    return this.#memory;
  }

  // --- Records -------------------------------------------------------------------------------------------------------

  /**
   * Finds the next message; its place is in {@linkcode offset}, {@linkcode length} and {@linkcode extended} then.
   *
   * @returns `false` if no whole message is there.
   * @throws {IpcError} `Corrupt` if a commit word breaks the rules.
   */
  next(): boolean {
    const index = this.#head & this.#mask;
    const word = loadOrdered(this.#words, W_COMMIT + index);
    if (word > 0) {
      this.#locate(index, word - 1, false);
      return true;
    }
    if (word === 0) return false;
    if ((word & 1) === 0) {
      this.#locate(index, -(word >> 1), true);
      return true;
    }
    return this.#nextBehindPadding();
  }

  /**
   * The same where there is padding. A peer may write it all the time, so this ends after so much of it, and says so:
   * {@linkcode #unfinished}.
   */
  #nextBehindPadding(): boolean {
    for (let i = 0; i < MOST_PADDING; i++) {
      const index = this.#head & this.#mask;
      const word = loadOrdered(this.#words, W_COMMIT + index);
      if (word >= 0 || (word & 1) === 0) {
        this.#publish(); // once for all of it: that may ring many bells
        if (word !== 0) this.#locate(index, word > 0 ? word - 1 : -(word >> 1), word < 0);
        return word !== 0;
      }
      const padding = (-word - 1) >>> 1; // exact also for -2^31, which is even
      this.#claimed(padding, index);
      this.#pass(padding, index);
    }
    this.#publish();
    this.#unfinished = true;
    return false;
  }

  /** {@linkcode next}, also if it takes it more than one go; still bounded. */
  #nextSoon(): boolean {
    if (this.next()) return true;
    if (!this.#unfinished) return false;
    for (const until = performance.now() + PADDING_TIME; this.#unfinished && performance.now() < until;) {
      this.#unfinished = false;
      if (this.next()) return true;
    }
    return false;
  }

  /** Validates a record's length, and notes where it is. */
  #locate(index: number, length: number, extended: boolean): void {
    const blocks = blocksFor(length);
    this.#claimed(blocks, index);
    this.offset = index << BLOCK_SHIFT;
    this.length = length;
    this.extended = extended;
    this.#blocks = blocks;
    if (length > this.#unchecked) this.#admitHere(length);
    if (extended && length < EXTENDED_HEADER) {
      this.release();
      throw corrupt(`an extended record of ${length} bytes has no room for its header`);
    }
  }

  /** A large record in the ring itself. A peer may claim one that it never wrote, in a ring that takes no memory. */
  #admitHere(length: number): void {
    try {
      this.admit(length);
      if (length <= LARGE || memoryOf(this.#memory.fd.fd) >= length) return;
      throw corrupt(`a record claims ${length} bytes that nobody wrote`);
    } catch (error) {
      this.release();
      throw error;
    }
  }

  /**
   * Whether a message of so many bytes is to be received.
   *
   * @throws {IpcError} `TooLarge` if not.
   */
  admit(length: number): void {
    const most = this.#mostBytes;
    if (most !== undefined) {
      if (length <= most) return;
      throw new IpcError("TooLarge", `Cannot receive a message of ${length} bytes: at most ${most} are allowed here`);
    }
    if (length <= VERY_LARGE) return;
    const available = availableMemory() ?? Infinity;
    if (length <= available / 2) return;
    throw new IpcError(
      "TooLarge",
      `Cannot receive a message of ${length} bytes: the machine has ${available} left, and by default a message may take ` +
        "half of that; allow more by limitMessages()",
    );
  }

  /** Sets how many bytes a message may have. */
  limitMessages(bytes: number): void {
    this.#mostBytes = bytes;
    this.#unchecked = Math.min(LARGE, bytes);
  }

  /** What was read before of the body of the record that {@linkcode next} found, if it is this one. */
  takeUnread(slot: number, counter: number, length: number): MemoryFileReader | undefined {
    const unread = this.#unread;
    this.#unread = undefined;
    if (unread === undefined || unread.position !== this.#head || unread.length !== length) return undefined;
    return unread.slot === slot && unread.counter === counter ? unread.reader : undefined;
  }

  /** Keeps what was read of it, for the next call. */
  keepUnread(reader: MemoryFileReader, slot: number, counter: number, length: number): void {
    this.#unread = { reader, slot, counter, length, position: this.#head };
  }

  /** A record must lie between head and tail. */
  #claimed(blocks: number, index: number): void {
    if (((this.#head + blocks - this.#knownTail) | 0) <= 0) return;
    this.#knownTail = this.#loadTail();
    if (blocks > 0 && ((this.#head + blocks - this.#knownTail) | 0) <= 0) return;
    // One block further, so that the same word is not reported for ever.
    this.#skip(this.#head === this.#knownTail ? 0 : 1, index);
    throw corrupt(`a record claims ${blocks} blocks where senders claimed fewer`);
  }

  /** Where the record that {@linkcode next} found begins, as a block number that wraps around at 2^32. */
  get position(): number {
    return this.#head;
  }

  /** Blocks of the record that {@linkcode next} found. */
  get blocks(): number {
    return this.#blocks;
  }

  /**
   * Blocks of the record that {@linkcode next} found and of those behind it that are whole and plain.
   *
   * @param most Blocks to look at, as many as the ring has at most.
   * @param longest Blocks of a record that is still counted in; the first that has more ends it.
   */
  committed(most: number, longest: number): number {
    const words = this.#words, mask = this.#mask, head = this.#head;
    let blocks = this.#blocks;
    while (blocks < most) {
      const word = loadOrdered(words, W_COMMIT + ((head + blocks) & mask));
      if (word <= 0) break;
      const size = blocksFor(word - 1);
      if (size > longest || blocks + size > most) break;
      blocks += size;
    }
    return blocks;
  }

  /**
   * Releases the record that {@linkcode next} found: its blocks may be used again once the head is published. From here on the
   * message is received, so nothing in here throws.
   */
  release(): void {
    this.#pass(this.#blocks, this.#head & this.#mask);
    const word = loadOrdered(this.#words, W_COMMIT + (this.#head & this.#mask));
    if (word < 0 && (word & 1) !== 0) this.#passPadding();
    this.#publish();
  }

  /** Padding behind a message is released with it: a receiver may not look again for a long time. */
  #passPadding(): void {
    for (let i = 0; i < MOST_PADDING; i++) {
      const index = this.#head & this.#mask;
      const word = loadOrdered(this.#words, W_COMMIT + index);
      if (word >= 0 || (word & 1) === 0) return;
      const padding = (-word - 1) >>> 1;
      if (padding === 0) return;
      if (((this.#head + padding - this.#knownTail) | 0) > 0) {
        const tail = Atomics.load(this.#words, W_TAIL);
        // What makes no sense is for the next look, which says so.
        if (!this.#isTail(tail) || ((this.#head + padding - tail) | 0) > 0) return;
        this.#knownTail = tail;
      }
      this.#pass(padding, index);
    }
  }

  #skip(blocks: number, index: number): void {
    this.#pass(blocks, index);
    this.#publish();
  }

  /**
   * READ goes first: if this process dies before it clears the word, whoever comes next does. The word is cleared
   * before the head is published, by a store that orders both.
   */
  #pass(blocks: number, index: number): void {
    this.#head = (this.#head + blocks) | 0;
    this.#words[W_READ] = this.#head;
    this.#words[W_COMMIT + index] = 0;
  }

  /**
   * Every time, not once a batch: it costs as much as finding out whether it could wait (a store against two loads), and
   * a sender that finds the ring full finds room as soon as there is some.
   */
  #publish(): void {
    const words = this.#words;
    const until = this.#loans.length === 0 ? this.#head : this.#loans[0]!.position;
    this.#published = until;
    Atomics.store(words, W_HEAD, until);
    // A sender sets SPACE and then looks at HEAD; here HEAD is stored and then SPACE looked at.
    if (loadOrdered(words, W_SPACE) !== 0 && performance.now() >= this.#ringAfter) this.#ringSpaceBells();
  }

  /**
   * Rings everybody who waits for room. Where that takes long, as there are many bells, not for every block that is released:
   * SPACE stays as it is, and what is released next, or this receiver before it sleeps, rings them.
   */
  #ringSpaceBells(): void {
    const began = performance.now();
    Atomics.store(this.#words, W_SPACE, 0);
    const bells = this.#descriptors.spaceBells();
    for (let i = bells.length - 1; i >= 0; i--) {
      if (ringAnyBell(bells[i]!)) continue;
      bells[i]!.close(); // its sender is gone
      bells.splice(i, 1);
    }
    const now = performance.now(), took = now - began;
    this.#ringAfter = took > LONG_RINGING ? now + RING_PAUSE * took : 0;
  }

  #loadTail(): number {
    const tail = Atomics.load(this.#words, W_TAIL);
    if (this.#isTail(tail)) return tail;
    const used = (tail - this.#published) | 0;
    throw corrupt(`its positions make no sense (${used} of ${this.#memory.blocks} blocks used)`);
  }

  #isTail(tail: number): boolean {
    const used = (tail - this.#published) | 0;
    return used >= 0 && used <= this.#memory.blocks && ((tail - this.#head) | 0) >= 0;
  }

  /** Up to where blocks are claimed now; the head if that makes no sense, which the next look says. */
  get claimedUntil(): number {
    const tail = Atomics.load(this.#words, W_TAIL);
    return this.#isTail(tail) ? tail : this.#head;
  }

  /** Whether a record, perhaps padding, is committed at the head; by one load. */
  get ready(): boolean {
    return Atomics.load(this.#words, W_COMMIT + (this.#head & this.#mask)) !== 0;
  }

  // --- Loans: records whose blocks the program reads in place ---------------------------------------------------------

  /**
   * Takes the record that {@linkcode next} found out of the ring without releasing its blocks.
   *
   * @param skip Bytes at the beginning that are no payload.
   */
  lend(skip: number): LentRecord {
    const window = this.#memory.window(this.offset + skip, this.length - skip);
    const loan: LentRecord = {
      position: this.#head,
      end: (this.#head + this.#blocks) | 0,
      bytes: new Uint8Array(window),
      window,
      returned: false,
    };
    this.#loans.push(loan);
    this.#words[W_READ] = loan.end;
    this.#words[W_COMMIT + (this.#head & this.#mask)] = 0;
    this.#head = loan.end;
    return loan;
  }

  /** Gives blocks back. They are released in order: those behind an earlier loan wait for it. */
  giveBack(loan: LentRecord): void {
    if (loan.returned) return;
    loan.returned = true;
    this.#memory.endWindow(loan.window); // every view on them is empty from now on
    if (this.#loans[0] !== loan) return;
    while (this.#loans.length > 0 && this.#loans[0]!.returned) this.#loans.shift();
    this.#publish();
  }

  // --- What the dead left --------------------------------------------------------------------------------------------

  /** Whether blocks are claimed at the head that are not committed. Call when {@linkcode next} found nothing. */
  get hasGap(): boolean {
    return this.#loadTail() !== this.#head;
  }

  /**
   * Steps over claims of dead senders at the head. Exact: a claim is skipped only if no living thread has recorded
   * it and it is still uncommitted after that was found. A stopped process lives.
   *
   * @param allGone Whether the kernel said that no sender is left, whatever the claim records say.
   * @returns Whether it is worth looking for a message again.
   */
  recover(allGone: boolean): boolean {
    const words = this.#words;
    const tail = this.#loadTail();
    const most = Math.min((tail - this.#head) >>> 0, MOST_GAP);
    let gap = 0;
    while (gap < most && Atomics.load(words, W_COMMIT + ((this.#head + gap) & this.#mask)) === 0) gap++;
    if (gap === 0) return most > 0;
    const skip = allGone ? gap : this.#living.before(this.#head, gap);
    if (skip === 0) return false;
    // A sender that committed after the scan and then died, or moved on, left its word by now.
    for (let i = 0; i < skip; i++) {
      if (Atomics.load(words, W_COMMIT + ((this.#head + i) & this.#mask)) !== 0) return true;
    }
    this.#words[W_READ] = this.#head = (this.#head + skip) | 0;
    this.#publish();
    this.#orphans = true;
    return true;
  }

  /**
   * Closes the descriptors of records that never came: a sender to this very ring among them would hide for ever that
   * all others are gone. Exact: descriptors are sent after the claim, so once the socket has been read and no claim is
   * ahead, those that nobody took belong to claims that were stepped over.
   */
  #closeOrphans(): void {
    if (!this.#orphans || !this.#descriptors.readAll() || this.hasGap) return;
    this.#orphans = false;
    this.#descriptors.closeArrived();
  }

  /**
   * Looks at a gap as often as is sensible: at once when it is new, then less and less.
   *
   * @returns Whether it was closed, so that {@linkcode next} may find something.
   */
  #lookAtGap(): boolean {
    const now = performance.now();
    if (this.#gapPosition !== this.#head || this.#gapPause === 0) {
      this.#gapPosition = this.#head;
      this.#gapPause = FIRST_GAP_LOOK;
      this.#gapAt = now;
      return false; // most likely its sender is just writing
    }
    if (now - this.#gapAt < this.#gapPause) return false;
    this.#gapAt = now;
    this.#gapPause = Math.min(this.#gapPause * 2, LAST_GAP_LOOK);
    return this.recover(false);
  }

  // --- Waiting -------------------------------------------------------------------------------------------------------

  /**
   * Looks for a message without waiting, and deals with gaps and the end of the senders.
   *
   * @returns `message` after {@linkcode next} found one, `empty`, or `disconnected` if none can come any more.
   */
  poll(): "message" | "empty" | "disconnected" {
    if (this.#nextSoon()) return "message";
    if (this.#unfinished) return "empty";
    this.#closeOrphans();
    if (this.#bell.hungUp) return this.#drainLast();
    if (this.hasGap && this.#lookAtGap() && this.next()) return "message";
    this.#giveMemoryBack();
    return "empty";
  }

  /**
   * No sender is left: what is committed still counts, what is not never will be. Nobody claims any more, so where the tail
   * is now is the end, whatever it says later.
   *
   * @returns `empty` if it takes more than one call to find out.
   */
  #drainLast(): "message" | "empty" | "disconnected" {
    if (this.#lastTail === undefined) {
      this.#lastTail = this.#head; // for the case that it makes no sense, which is said once
      this.#lastTail = this.#loadTail();
    }
    const until = performance.now() + PADDING_TIME;
    do {
      if (((this.#lastTail - this.#head) | 0) <= 0) return "disconnected";
      if (this.#nextSoon()) return "message";
      if (this.#unfinished) this.#unfinished = false;
      else if (!this.recover(true)) return "disconnected";
    } while (performance.now() < until);
    return "empty";
  }

  /**
   * Blocks until a message is there.
   *
   * @param deadline On the clock of `performance.now()`.
   */
  waitSync(deadline: number): "message" | "timeout" | "disconnected" {
    for (;;) {
      const commit = W_COMMIT + (this.#head & this.#mask);
      const spun = this.#spin(commit, this.#spins.looks);
      if (this.next()) {
        this.#spins.paid(spun);
        return "message";
      }
      if (this.#unfinished) {
        this.#unfinished = false;
        if (performance.now() >= deadline) return "timeout";
        continue;
      }
      const gapLook = this.arm();
      if (this.next()) {
        this.disarm();
        return "message";
      }
      const now = performance.now();
      const event = this.#bell.waitSync(Math.min(deadline, gapLook === 0 ? Infinity : now + gapLook));
      this.disarm();
      // Spin only where it pays: while messages come in quick succession. An idle receiver soon uses no processor time.
      this.#spins.inVain(performance.now() - now);
      if (this.next()) return "message";
      if (event === "hangup") {
        const last = this.#drainLast();
        if (last !== "empty") return last;
      }
      if (event === "timeout" && this.hasGap && this.#lookAtGap() && this.next()) return "message";
      // Also after a ring: a peer that rings for nothing does not hold up the time.
      if (performance.now() >= deadline) return "timeout";
    }
  }

  /** Looks so many times; returns how many milliseconds that took, 0 for a short time. */
  #spin(commit: number, spins: number): number {
    if (spins === 0) return 0;
    for (let i = 0; i < PAUSES; i++) pause();
    const unmeasured = Math.min(spins, UNMEASURED_SPINS);
    for (let i = 0; i < unmeasured; i++) {
      if (Atomics.load(this.#words, commit) !== 0) return 0;
      pause();
    }
    if (spins === unmeasured) return 0;
    const began = performance.now();
    for (let i = unmeasured; i < spins && Atomics.load(this.#words, commit) === 0; i++) pause();
    return performance.now() - began;
  }

  /**
   * Looks for a message for some microseconds, if messages have been coming in quick succession: sleeping and being
   * woken takes longer.
   */
  spinForNext(): boolean {
    const { looks } = this.#asyncSpins;
    if (looks === 0) return false;
    const spun = this.#spin(W_COMMIT + (this.#head & this.#mask), looks);
    if (!this.next()) return false;
    this.#asyncSpins.paid(spun);
    return true;
  }

  /** Sets for how long waits may spin, in microseconds. */
  limitSpins(microseconds: number): void {
    const looks = Math.round(microseconds / SPIN_TIME);
    this.#spins.limit(looks);
    this.#asyncSpins.limit(looks);
  }

  /** An asynchronous wait begins. */
  waitBegins(): void {
    this.#armedAt = performance.now();
  }

  /** An asynchronous wait has brought a message. */
  waitEnded(): void {
    this.#asyncSpins.inVain(performance.now() - this.#armedAt);
  }

  /**
   * Declares that this receiver waits for its bell. Look for a message once more after it.
   *
   * @returns Milliseconds after which to call this again, as there is a gap at the head, or memory to give back; 0 if
   * there is neither.
   */
  arm(): number {
    const trimIn = this.#giveMemoryBack();
    if (this.hasGap) this.#letSenderCommit();
    if (this.#ringAfter !== 0 && loadOrdered(this.#words, W_SPACE) !== 0) this.#ringSpaceBells();
    this.#ticket = (this.#ticket + 1) & 0x3fff_ffff || 1;
    Atomics.store(this.#words, W_BELL, this.#ticket);
    this.#closeOrphans();
    if (this.ready) return FIRST_GAP_LOOK; // it may be more padding than one look passes over
    if (!this.hasGap) return trimIn;
    this.#lookAtGap();
    return this.#gapPause;
  }

  /**
   * The sender that has just claimed, and woken this receiver by that, may be waiting for this very processor: it commits
   * as soon as it runs. Without this it would have to wake the receiver again.
   */
  #letSenderCommit(): void {
    const { c } = libc();
    for (let i = 0; i < YIELDS && !this.ready; i++) c.sched_yield();
  }

  /** Declares that it does not wait any more. */
  disarm(): void {
    Atomics.store(this.#words, W_BELL, 0);
  }

  /**
   * Gives back what a burst took, if the ring is empty. All blocks are claimed meanwhile, so that no sender can write:
   * to one that comes just then, the ring looks full. If this process dies in between, the claim is one of the dead.
   *
   * @returns Milliseconds after which to try it, as it was done a moment ago; 0 if there is nothing to do.
   */
  #giveMemoryBack(): number {
    this.#goBack();
    const trim = this.#trim;
    if (trim === undefined || this.#loans.length > 0) return 0;
    const due = trim.due(this.#head);
    if (due === undefined || due > 0) return due ?? 0;
    const head = this.#head, until = (head + this.#memory.blocks) | 0;
    if (Atomics.compareExchange(this.#words, W_TAIL, head, until) !== head) return 0; // a message is on its way
    trim.giveBack(until, this.#file !== undefined);
    this.#words[W_READ] = this.#head = this.#knownTail = until;
    this.#publish();
    return 0;
  }

  /**
   * An empty ring goes on at its first blocks, which are in the caches, and are all the memory that a channel takes which
   * never holds much. Here and not in the sender, as the blocks that are passed over are free again at once.
   */
  #goBack(): void {
    const head = this.#head, index = head & this.#mask;
    if (index <= WARM_BLOCKS || this.#loans.length > 0) return;
    const until = (head + this.#memory.blocks - index) | 0;
    if (Atomics.compareExchange(this.#words, W_TAIL, head, until) !== head) return; // a message is on its way
    this.#words[W_READ] = this.#head = this.#knownTail = until;
    this.#publish();
  }

  // --- The end -------------------------------------------------------------------------------------------------------

  /** Closes for good: senders get `Disconnected`, unread messages and their descriptors are dropped. */
  close(): void {
    if (this.#file !== undefined) {
      this.#closeNamed(this.#file);
      return;
    }
    // Senders in other processes see this at their next send, those that wait for room by the end of their bell.
    Atomics.store(this.#words, W_BELL, BELL_CLOSED);
    clearIdentity(this.#words, W_RECEIVER);
    this.#releaseAll();
  }

  /** Closes a named ring, which keeps what was not received for the next receiver; an empty one that nobody uses goes. */
  #closeNamed(file: NamedRing): void {
    this.#endLoans(); // what was borrowed was received
    this.detach();
    // Asked once nobody else is attached: a sender may have come, sent and gone until then.
    file.leave(() => Atomics.load(this.#words, W_TAIL) === this.#head);
    this.#releaseAll();
  }

  /**
   * Lets go of the ring, for the receiver to go on elsewhere with the next message.
   *
   * Follow it by {@linkcode finishDetach} once the descriptors have been sent, or by {@linkcode undoDetach}.
   */
  detach(): void {
    this.#publish();
    this.disarm();
    clearIdentity(this.#words, W_RECEIVER, this.#file?.lock);
  }

  /** Takes a {@linkcode detach} back. */
  undoDetach(): void {
    claimIdentity(this.#words, W_RECEIVER, false);
  }

  /** The receiver is elsewhere now: closes this side, without a word to the senders. */
  finishDetach(): void {
    this.#releaseAll();
  }

  /** Whether blocks are handed out that were not given back. */
  get hasLoans(): boolean {
    return this.#loans.length > 0;
  }

  #endLoans(): void {
    for (const loan of this.#loans.splice(0)) {
      loan.returned = true;
      this.#memory.endWindow(loan.window); // before the memory goes
    }
  }

  #releaseAll(): void {
    this.#endLoans();
    this.#descriptors.close();
    this.#bell.close();
    this.#memory.release();
  }
}

/** What was read of a body, and which one it is. */
interface Unread {
  readonly reader: MemoryFileReader;
  readonly position: number;
  readonly slot: number;
  readonly counter: number;
  readonly length: number;
}

/** Blocks handed out. */
export interface LentRecord {
  readonly position: number;
  readonly end: number;
  /** The payload in place, in a buffer of its own over the ring's memory. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** That buffer: a view forgets it when a program transfers it. */
  readonly window: ArrayBuffer;
  returned: boolean;
}

function corrupt(what: string): IpcError {
  return new IpcError("Corrupt", `Cannot receive: the ring is damaged, ${what}; a peer misbehaves`);
}

const pause: () => void = (Atomics as unknown as { pause?: () => void }).pause?.bind(Atomics) ?? (() => {});
