// The sending side of a ring: claim, copy, commit, and wake the receiver.
//
// One object an isolate and ring, shared by all clones of a sender there.
import {
  BellListener,
  bellToGive,
  createDoorbell,
  hasListener,
  isShared,
  ringBell,
  ringSharedBell,
} from "../../ffi/event/doorbell.ts";
import { IpcError } from "../../base/error.ts";
import { libc } from "../../ffi/libc/libc.ts";
import type { IpcFd } from "../../ffi/file/fd.ts";
import { hasEnded, ownThread } from "../../ffi/process/liveness.ts";
import { ENOSPC, POLLIN } from "../../ffi/libc/platform.ts";
import { loadOrdered } from "../../ffi/memory/ordered_load.ts";
import { pollUntil } from "../../ffi/event/poll.ts";
import { step } from "../../base/step_hook.ts";
import { writeMemoryFile } from "../../ffi/memory/memory_file.ts";
import { sendDescriptors, sendSpaceBell } from "./carrier.ts";
import { type Handle, openHandle } from "./handle.ts";
import { PackedSender, packSender, unpacked } from "./packed_sender.ts";
import {
  BELL_CLOSED,
  BLOCK,
  BLOCK_SHIFT,
  blocksFor,
  CLAIM_BLOCKS,
  CLAIM_POSITION,
  EXTENDED_HEADER,
  HAS_DESCRIPTORS,
  ID_NAMESPACE,
  ID_PID,
  ID_TID,
  IS_OUT_OF_LINE,
  paddingWord,
  SLOT_COUNTER,
  W_BELL,
  W_COMMIT,
  W_HEAD,
  W_RECEIVER,
  W_SPACE,
  W_TAIL,
  WARM_BLOCKS,
} from "./layout.ts";
import type { RingMemory } from "./memory.ts";
import type { NamedRing } from "./named_ring.ts";
import type { Payload } from "./payload.ts";
import { RingRoom } from "./room.ts";
import type { SenderHandle } from "./sender_handle.ts";
import { SenderSlots } from "./slots.ts";

/** What {@linkcode RingProducer.tryClaim} returns when there is no room. */
export const FULL = -1;

/** Sends in one turn of the event loop between two looks whether the receiver lives (a look costs 2 µs). */
const SENDS_PER_LOOK = 256;

/**
 * Milliseconds between two looks, whatever turns begin meanwhile: every `await` is one. Nobody can have learnt of a death
 * in so short a time, by the kernel and the event loop, and rely on it.
 */
const LOOK_INTERVAL = 0.02;

/** Spins before a wait for room blocks, of some 50 ns each. */
const SPINS = 400;

/**
 * Bounds of a nap, in milliseconds, and the part of the ring that a receiver at work may empty meanwhile. A shorter one
 * is not worth it: the kernel wakes up to 0.05 ms late.
 */
const MIN_NAP = 0.05, MAX_NAP = 2, NAP_SHARE = 1 / 4;

/** Longest sleep of a wait for room, in milliseconds, where the receiver could not be given a bell to ring. */
const BLIND_SLEEP = 5;

/** The same where one bell serves all senders, and one that sleeps may miss it. */
const SHARED_SLEEP = 20;

/**
 * The same where the receiver has a bell of this sender's own. It may not have taken it: where it had no descriptor left, or
 * too many of them wait.
 */
const LONGEST_SLEEP = 100;

/** Looks at two positions that change all the time, until they fit together. */
const RELOADS = 1000;

/** Attempts at a claim in a row. Only a peer that misbehaves makes as many fail: then there is no room, for now. */
const MOST_ATTEMPTS = 10_000;

export class RingProducer {
  readonly #memory: RingMemory;
  readonly #words: Int32Array<ArrayBuffer>;
  readonly #mask: number;
  readonly #bell: IpcFd;
  readonly #bellFd: number;
  /** Rings it; in another way where a peer could make that block. */
  #ringDoorbell: (fd: number) => boolean;
  /** What others are given instead, as they could make it block. */
  #bellToGive: IpcFd | undefined;
  /** The receiver's socket, if it was in this isolate when the ring was made. */
  #receiverSocket: IpcFd | undefined;
  /** For passing it on, once packed; and whether this isolate has packed it. */
  #packed: PackedSender | undefined;
  #packedHere = false;
  readonly #descriptors: IpcFd;
  /** The files of a named ring, and the memory of its data. */
  #file: NamedRing | undefined;
  #room: RingRoom | undefined;
  readonly #slots: SenderSlots;
  /** Word index of this isolate's slot. */
  readonly #slot: number;
  /** Positions before this are free, as far as this sender knows. */
  #limit = 0;
  /** Sends left until the next look whether the receiver lives, and when the last one was. */
  #untilLook = 0;
  #lookedAt = -Infinity;
  #lookScheduled = false;
  #gone = false;
  #spaceBell: BellListener | undefined;
  /** How fast the receiver works, from the first wait for room on; and whether the last wait was over after a nap. */
  #progress: Progress | undefined;
  #napped = false;
  readonly #lookAgain = () => {
    this.#lookScheduled = false;
    this.#untilLook = 0;
    // What the last claim of the turn noted is committed. A note that stayed would be inside a gap again after 2^32
    // blocks, and hold it up. As with the next note, the load of BELL after the commit keeps this store behind it.
    if (!this.#gone) this.#words[this.#slot + CLAIM_BLOCKS] = 0;
  };

  private constructor(memory: RingMemory, bell: IpcFd, descriptors: IpcFd, lock?: IpcFd) {
    this.#memory = memory;
    this.#words = memory.words;
    this.#mask = memory.blocks - 1;
    this.#bell = bell;
    this.#bellFd = bell.fd;
    this.#ringDoorbell = isShared(bell) ? ringSharedBell : ringBell;
    this.#descriptors = descriptors;
    this.#slots = new SenderSlots(memory, lock);
    this.#slot = this.#slots.claim();
    this.#limit = Atomics.load(this.#words, W_TAIL);
  }

  /**
   * The sending side of a ring of this process. Owns what it is given, also if it throws.
   *
   * @param receiverSocket The other end of `descriptors`, if that is in this isolate; it stays the receiver's.
   */
  static create(memory: RingMemory, bell: IpcFd, descriptors: IpcFd, receiverSocket?: IpcFd): RingProducer {
    try {
      const sender = new RingProducer(memory, bell, descriptors);
      sender.#receiverSocket = receiverSocket;
      return sender;
    } catch (error) {
      memory.release();
      bell.close();
      descriptors.close();
      throw error;
    }
  }

  /** The sending side of a ring that came from a peer. Owns the handle, as {@linkcode openHandle} says. */
  static attach(handle: Handle, packed = false): RingProducer {
    const { memory, bell, descriptors } = openHandle(handle, "ring");
    const sender = RingProducer.create(memory, bell, descriptors);
    if (packed) sender.#packed = new PackedSender(descriptors);
    return sender;
  }

  /** The sending side of a named ring. Owns the attachment, also if it throws. */
  static open(file: NamedRing): RingProducer {
    let sender: RingProducer;
    try {
      sender = new RingProducer(file.memory, file.bell, file.room, file.lock);
    } catch (error) {
      file.memory.release();
      file.leave();
      throw error;
    }
    sender.#file = file;
    sender.#room = new RingRoom(file.memory, file.path);
    return sender;
  }

  /** Whether the ring has a name: then nobody is told of its receiver's end, as another may come. */
  get named(): boolean {
    return this.#file !== undefined;
  }

  /** The memory file, still owned by this sender. */
  get memoryFd(): IpcFd {
    return this.#memory.fd;
  }

  /** Still owned by this sender; for passing it on. */
  get handle(): SenderHandle {
    if (this.#file !== undefined) {
      throw new IpcError(
        "Serialization",
        `Cannot send an end of the named channel "${this.#file.path}": send its path, and open it there`,
      );
    }
    if (this.#packed !== undefined) return this.#packed;
    if (this.#bellToGive === undefined) {
      this.#bellToGive = bellToGive(this.#bell);
      if (isShared(this.#bell)) this.#ringDoorbell = ringSharedBell;
    } else if (this.#pack(this.#bellToGive)) return this.#packed!;
    return { memory: this.#memory.fd, bell: this.#bellToGive, descriptors: this.#descriptors };
  }

  /** Sent once already: from now on it travels as one descriptor, if that can be arranged here. */
  #pack(bell: IpcFd): boolean {
    const socket = this.#receiverSocket;
    if (socket === undefined || socket.closed) return false;
    if (!packSender(socket, this.#descriptors, this.#memory.fd, bell)) return false;
    this.#receiverSocket = undefined;
    this.#packed = new PackedSender(this.#descriptors);
    return this.#packedHere = true;
  }

  /** Bytes that the ring holds. */
  get capacity(): number {
    return this.#memory.blocks * BLOCK;
  }

  /** The path of a named ring. */
  get path(): string | undefined {
    return this.#file?.path;
  }

  /** Bytes of blocks that are claimed, by whomever, and not free again. */
  get used(): number {
    const used = (Atomics.load(this.#words, W_TAIL) - Atomics.load(this.#words, W_HEAD)) | 0;
    return Math.min(Math.max(used, 0), this.#memory.blocks) * BLOCK;
  }

  /** Gives up the slot and releases the memory and the descriptors. */
  close(): void {
    this.#gone = true;
    this.#slots.close();
    this.#spaceBell?.close();
    this.#memory.release();
    this.#bell.close();
    this.#bellToGive?.close();
    this.#descriptors.close();
    if (this.#packedHere) unpacked();
    this.#file?.leave();
  }

  // --- Messages ------------------------------------------------------------------------------------------------------

  /**
   * Sends a message if there is room.
   *
   * @param message The message.
   * @param fds Descriptors that travel with it; they stay the caller's.
   * @returns `false` if the ring, or the queue of descriptors, is full.
   * @throws {IpcError} `Disconnected` if the receiver is gone.
   */
  trySend(message: Payload, fds?: readonly number[]): boolean {
    const { length } = message;
    if (fds !== undefined || length > this.#memory.blocks * BLOCK) return this.#trySendExtended(message, fds);
    const index = this.tryClaim(blocksFor(length));
    if (index === FULL) return false;
    try {
      message.copyTo(this.#memory.data, this.#memory.dataLongs, index << BLOCK_SHIFT);
    } catch (error) {
      this.commit(index, paddingWord(blocksFor(length))); // a detached array; what is claimed must be committed
      throw error;
    }
    step("copied");
    this.commit(index, length + 1);
    return true;
  }

  #trySendExtended(message: Payload, fds: readonly number[] = []): boolean {
    const { length } = message;
    if (this.#file !== undefined) throw this.#notByName(length, fds.length);
    const outOfLine = EXTENDED_HEADER + length > this.capacity;
    const inline = EXTENDED_HEADER + (outOfLine ? 0 : length);
    const index = this.tryClaim(blocksFor(inline));
    if (index === FULL) return false;
    let body: IpcFd | undefined;
    let word = paddingWord(blocksFor(inline)); // what the claim becomes if anything fails from here on
    try {
      if (outOfLine) {
        body = writeMemoryFile("isthmus-message", message.parts(), length);
        fds = [body.fd, ...fds];
      }
      // Never used again, by whoever owns the slot: what a dead owner sent cannot be taken for another message's.
      const counter = Atomics.add(this.#words, this.#slot + SLOT_COUNTER, 1);
      if (!sendDescriptors(this.#descriptors.fd, this.#slot, counter, fds)) return false;
      step("descriptors-sent");
      const at = index << BLOCK_SHIFT;
      const header = this.#memory.dataWords, h = at >>> 2;
      header[h] = (fds.length > 0 ? HAS_DESCRIPTORS : 0) | (outOfLine ? IS_OUT_OF_LINE : 0);
      header[h + 1] = this.#slot;
      header[h + 2] = counter;
      header[h + 3] = fds.length;
      header[h + 4] = length >>> 0;
      header[h + 5] = Math.floor(length / 2 ** 32);
      if (!outOfLine) message.copyTo(this.#memory.data, this.#memory.dataLongs, at + EXTENDED_HEADER);
      word = -(2 * inline);
      return true;
    } finally {
      body?.close();
      this.commit(index, word);
    }
  }

  /** A named ring has no socket beside it, so neither descriptors nor larger messages can go around it. */
  #notByName(length: number, fds: number): IpcError {
    const { path } = this.#file!;
    return fds === 0
      ? new IpcError(
        "TooLarge",
        `Cannot send ${length} bytes through "${path}": a message is at most as large as the channel, ${this.capacity} ` +
          "bytes; make it with a larger capacity",
      )
      : new IpcError(
        "Serialization",
        `Cannot send an endpoint, memory or a descriptor through "${path}": a named channel carries data only`,
      );
  }

  // --- Claim and commit ----------------------------------------------------------------------------------------------

  /**
   * Claims blocks for one record. What is claimed must be committed, as a message or as padding.
   *
   * @param slot Where the claim record goes; one claim a slot at a time.
   * @returns The index of the first block, or {@linkcode FULL}.
   * @throws {IpcError} `Disconnected` if the receiver is gone; `Corrupt` if the ring's positions make no sense.
   */
  tryClaim(blocks: number, slot: number = this.#slot): number {
    if (--this.#untilLook < 0) this.#lookForReceiver();
    const words = this.#words;
    let tail = words[W_TAIL]!; // however old: the swap finds out
    for (let attempts = 0;; attempts++) {
      if (attempts === MOST_ATTEMPTS) {
        words[slot + CLAIM_BLOCKS] = 0; // what was noted is another's claim
        return FULL;
      }
      // Compared with both ends: a limit that is too old, with 2^31 blocks claimed by others since, would look like room.
      const room = (this.#limit - tail) | 0;
      if (room < blocks || room > this.#memory.blocks) {
        if (!this.#refreshLimit(blocks)) return FULL;
        tail = Atomics.load(words, W_TAIL);
        continue;
      }
      // The claim record before the tail: whoever finds the blocks claimed finds out by whom. The swap is a barrier for the
      // plain stores before it. The record is not cleared after the commit: by then its blocks lie behind the head.
      words[slot + CLAIM_POSITION] = tail;
      words[slot + CLAIM_BLOCKS] = blocks;
      step("recorded");
      const found = Atomics.compareExchange(words, W_TAIL, tail, (tail + blocks) | 0);
      if (found === tail) break;
      tail = found;
    }
    step("claimed");
    // The receiver is woken at the claim, not only at the commit: if this process dies in between, the receiver must be
    // awake to find the gap, and if it lives, the wake-up runs while the payload is copied.
    const bell = loadOrdered(words, W_BELL);
    if (bell !== 0) this.#wake(bell, tail & this.#mask, blocks);
    return tail & this.#mask;
  }

  /** Publishes a record. The store releases the payload's plain stores to whoever loads the word. */
  commit(index: number, word: number): void {
    const words = this.#words;
    Atomics.store(words, W_COMMIT + index, word);
    step("committed");
    // Against a receiver that went to sleep after the claim: it stores BELL, then loads the commit word; here it is the
    // other way round, and all four are sequentially consistent, so one of the two sees the other.
    //
    // On arm64 this load also keeps the next claim record's plain stores from overtaking the commit's store.
    const bell = loadOrdered(words, W_BELL);
    if (bell > 0) this.#wakeConsumer(bell);
  }

  #wake(bell: number, index: number, blocks: number): void {
    if (bell !== BELL_CLOSED && this.#wakeConsumer(bell)) return;
    this.#gone = true;
    Atomics.store(this.#words, W_COMMIT + index, paddingWord(blocks));
    throw disconnected();
  }

  #wakeConsumer(ticket: number): boolean {
    step("ringing");
    // The byte before the flag: if this process dies in between, the receiver is awake and clears the flag itself.
    const heard = this.#ringDoorbell(this.#bellFd);
    // The ticket makes sure that it is this wait's flag that is cleared, not the flag of a wait that began meanwhile.
    if (heard) Atomics.compareExchange(this.#words, W_BELL, ticket, 0);
    return heard;
  }

  /**
   * Finds out at bearable cost that the receiver was killed: with the first send of a turn of the event loop, and after
   * many in the same turn, if the last look was not just now.
   */
  #lookForReceiver(): void {
    if (this.#gone) throw disconnected();
    const now = performance.now();
    if (now - this.#lookedAt >= LOOK_INTERVAL) {
      if (!hasListener(this.#bellFd) || this.#receiverEnded()) {
        this.#gone = true;
        throw disconnected();
      }
      // And no older than this, or the positions could come round to it.
      this.#limit = Atomics.load(this.#words, W_TAIL);
      this.#slots.lock();
      this.#lookedAt = now;
    }
    this.#untilLook = SENDS_PER_LOOK;
    if (this.#lookScheduled) return;
    this.#lookScheduled = true;
    queueMicrotask(this.#lookAgain);
  }

  /**
   * Whether the receiver was in a thread that has ended: what Deno itself holds of a terminated Worker, such as the
   * doorbell that it listened on, stays open until the process ends. A receiver on its way in a message is in no thread.
   */
  #receiverEnded(): boolean {
    if (this.#file !== undefined) return false; // another may come, and gets what is sent until then
    const words = this.#words;
    const tid = Atomics.load(words, W_RECEIVER + ID_TID), pid = Atomics.load(words, W_RECEIVER + ID_PID);
    const { namespace } = ownThread();
    if (tid <= 0 || pid <= 0 || namespace === 0 || words[W_RECEIVER + ID_NAMESPACE] !== namespace) return false;
    return hasEnded(pid, tid) && Atomics.load(words, W_RECEIVER + ID_TID) === tid;
  }

  /** Learns how far the receiver got. `false` if `blocks` do not fit. */
  #refreshLimit(blocks: number): boolean {
    const words = this.#words;
    const { blocks: capacity } = this.#memory;
    let head = Atomics.load(words, W_HEAD);
    let tail = Atomics.load(words, W_TAIL);
    let used = (tail - head) | 0;
    // Between the two looks the receiver may have released blocks, and others claimed them. Only a peer that misbehaves
    // makes that happen time after time.
    for (let i = 0; (used < 0 || used > capacity) && i < RELOADS; i++) {
      head = Atomics.load(words, W_HEAD);
      tail = Atomics.load(words, W_TAIL);
      used = (tail - head) | 0;
    }
    if (used < 0 || used > capacity) {
      throw new IpcError(
        "Corrupt",
        `Cannot send: the ring's positions make no sense (${used} of ${capacity} blocks used)`,
      );
    }
    const index = tail & this.#mask;
    // Back to the first blocks, which are in the caches, instead of on to cold ones. What lies behind them is free again
    // only when the receiver has passed the end, which it may not do for long: until then half of the ring must be left.
    if (index > WARM_BLOCKS && index - used >= Math.max(capacity / 2, blocks)) {
      if (this.#skipRest(tail)) {
        this.#limit = (this.#room === undefined ? head + capacity : tail + capacity - index) | 0; // or allocated first
        return true;
      }
    }
    // Not further than a window, so that the ring is looked at again before long.
    const free = (head + capacity - tail) | 0;
    const window = Math.min(free, Math.max(blocks, WARM_BLOCKS));
    this.#limit = (tail + window) | 0;
    if (free >= blocks) {
      if (this.#room !== undefined) this.#limit = this.#allocate(tail, window, blocks, index - used >= blocks);
      return true;
    }
    words[this.#slot + CLAIM_BLOCKS] = 0; // what an attempt may have noted is another's claim now
    return false;
  }

  /** Claims what is left up to the end of the ring, as padding. `false` if another was faster. */
  #skipRest(tail: number): boolean {
    const words = this.#words, index = tail & this.#mask, rest = this.#memory.blocks - index;
    words[this.#slot + CLAIM_POSITION] = tail;
    words[this.#slot + CLAIM_BLOCKS] = rest;
    if (Atomics.compareExchange(words, W_TAIL, tail, (tail + rest) | 0) === tail) {
      Atomics.store(words, W_COMMIT + index, paddingWord(rest));
      return true;
    }
    // The claim that this is for may be noted elsewhere, so the note would stay: on blocks of the other's, who may be dead.
    words[this.#slot + CLAIM_BLOCKS] = 0;
    return false;
  }

  /**
   * Allocates what may be claimed next. What is claimed after the receiver has given memory back lies beyond the limit.
   *
   * @param atBegin Whether there are as many free blocks at the beginning of the ring, which are allocated already.
   * @returns The new limit.
   */
  #allocate(tail: number, window: number, blocks: number, atBegin: boolean): number {
    try {
      return (tail + this.#room!.allocate(tail, window, blocks)) | 0;
    } catch (error) {
      this.#limit = tail;
      if (atBegin && error instanceof IpcError && error.errno === ENOSPC) {
        this.#skipRest(tail); // or look again, as another has moved on
        return tail;
      }
      this.#words[this.#slot + CLAIM_BLOCKS] = 0; // what an attempt may have noted is another's claim now
      throw error;
    }
  }

  // --- Waiting for room ----------------------------------------------------------------------------------------------

  /** Whether every message sent so far was received. */
  get empty(): boolean {
    return Atomics.load(this.#words, W_HEAD) === Atomics.load(this.#words, W_TAIL);
  }

  /**
   * Blocks until the receiver has released blocks.
   *
   * @param ready Whether what is waited for is there; asked again after every change.
   * @returns `false` if the deadline passed.
   */
  waitSync(ready: () => boolean, deadline: number): boolean {
    const progress = this.#progress ??= new Progress(this.#words);
    for (let i = this.#napped ? SPINS : 0; i < SPINS; i++) {
      if (ready()) return true;
      pause();
    }
    for (;;) {
      this.#napped = this.#nap(progress, ready, deadline);
      if (this.#napped) return true;
      const armed = this.armSpaceBell();
      if (ready()) return true;
      const now = performance.now();
      if (now >= deadline) return false;
      if (armed) {
        // One bell serves all senders of a named ring: another may have heard it.
        const until = Math.min(deadline, now + (this.#file === undefined ? LONGEST_SLEEP : SHARED_SLEEP));
        if (this.#spaceBell!.waitSync(until) === "hangup") this.#spaceBellLost();
      } else {
        pollUntil(this.#bellFd, POLLIN, Math.min(deadline, now + BLIND_SLEEP)); // nothing to read there: a sleep
      }
      this.#requireListener();
      if (ready()) return true;
    }
  }

  /**
   * Sleeps by the clock while the receiver is at work, as long as it takes to empty part of the ring. A bell would ring
   * for the first block that it releases, in every sender that waits, and each would fill it and wait again: with more
   * of them than processors the receiver would hardly get to run.
   *
   * @returns Whether what is waited for is there. If not, the receiver rests, or nearly so, or the time is over.
   */
  #nap(progress: Progress, ready: () => boolean, deadline: number): boolean {
    for (;;) {
      const nap = Math.min(progress.timeFor(this.#memory.blocks * NAP_SHARE), MAX_NAP, deadline - performance.now());
      // NaN where nothing moved.
      if (!(nap >= MIN_NAP)) return false;
      libc().c.usleep(Math.ceil(nap * 1000));
      if (ready()) return true;
    }
  }

  /**
   * Asks the receiver to ring when it releases blocks. Look whether there is room after this, then wait.
   *
   * @returns `false` if the receiver cannot be asked, as too much is queued for it: look again by and by.
   */
  armSpaceBell(): boolean {
    if (this.#spaceBell === undefined && this.#file !== undefined) {
      this.#spaceBell = new BellListener(this.#descriptors.clone());
    } else if (this.#spaceBell === undefined) {
      const [listen, bell] = createDoorbell();
      let sent = false;
      try {
        sent = sendSpaceBell(this.#descriptors.fd, bell.fd);
      } finally {
        bell.close();
        if (!sent) listen.close();
      }
      if (!sent) return false;
      this.#spaceBell = new BellListener(listen);
    }
    this.#slots.lock();
    const words = this.#words;
    Atomics.store(words, W_SPACE, 1);
    // What fills the ring may be a claim whose sender died before it rang: a receiver that sleeps has to step over it.
    const bell = Atomics.load(words, W_BELL);
    if (bell > 0) this.#wakeConsumer(bell);
    return true;
  }

  /** The doorbell that the receiver rings, once armed. */
  get spaceBell(): BellListener | undefined {
    return this.#spaceBell;
  }

  /** After a ring: throws `Disconnected` if it was the end of the receiver. */
  afterSpaceBell(): void {
    if (this.#spaceBell?.hungUp) this.#spaceBellLost();
    this.#requireListener();
  }

  /** The receiver that held the bell is gone; another may have taken its place, and must be given a new bell. */
  #spaceBellLost(): void {
    this.#spaceBell?.close();
    this.#spaceBell = undefined;
  }

  #requireListener(): void {
    const open = !this.#gone && Atomics.load(this.#words, W_BELL) !== BELL_CLOSED && hasListener(this.#bellFd);
    if (open && !this.#receiverEnded()) return;
    this.#gone = true;
    throw disconnected();
  }

  // --- Loans ---------------------------------------------------------------------------------------------------------

  /** A slot for a claim that stays open while others are made. */
  borrowSlot(): number {
    return this.#slots.borrow();
  }

  /** Gives a slot back after its claim was committed. */
  returnSlot(slot: number): void {
    this.#slots.giveBack(slot);
  }

  /** A buffer of its own over claimed blocks. */
  window(index: number, blocks: number): ArrayBuffer {
    return this.#memory.window(index << BLOCK_SHIFT, blocks << BLOCK_SHIFT);
  }

  /** Empties such a buffer, before its blocks are committed. */
  endWindow(window: ArrayBuffer): void {
    this.#memory.endWindow(window);
  }

  /** Declares blocks at the end of a claim padding; they are seen when what precedes them is committed. */
  pad(index: number, blocks: number): void {
    Atomics.store(this.#words, W_COMMIT + (index & this.#mask), paddingWord(blocks));
  }
}

/** How fast a receiver releases blocks. */
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

function disconnected(): IpcError {
  return new IpcError("Disconnected", "Cannot send: the receiver is gone");
}

/** Lets the other hardware thread of the core run, where there is one. */
const pause: () => void = (Atomics as unknown as { pause?: () => void }).pause?.bind(Atomics) ?? (() => {});
