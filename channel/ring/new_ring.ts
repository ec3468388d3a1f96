// A new channel whose ends were not used here, and of which at least one goes elsewhere: its descriptors, and nothing mapped.
//
// Mapping a ring and giving it back costs more than all else that a channel consists of, and of one that is made to be sent
// this isolate often uses neither end. So the header is written by a system call, and an end that is closed here without
// any use says so in the same way.
//
// The sender's end that others are given is the pipe's own, as nobody rings by it here. Should that happen later, this
// isolate opens it anew: what others have, they could make block.
import { createDoorbell, ownEnd } from "../../ffi/event/doorbell.ts";
import { closeTogether, type IpcFd, unwatched } from "../../ffi/file/fd.ts";
import { writeWordAt } from "../../ffi/file/write_at.ts";
import { sameFileKey } from "../../ffi/memory/storage.ts";
import { socketPair } from "../../ffi/socket/new_socket.ts";
import { RingConsumer } from "./consumer.ts";
import type { Handle } from "./handle.ts";
import { BELL_CLOSED, W_BELL } from "./layout.ts";
import { RingMemory } from "./memory.ts";
import { PassingOn } from "./passing_on.ts";
import { RingProducer } from "./producer.ts";
import type { SenderHandle } from "./sender_handle.ts";

/** What a new channel consists of, in the isolate that has made it. Each end is opened, given away or closed once. */
export class NewRing {
  readonly #memory: IpcFd;
  readonly #capacity: number;
  readonly #senderBell: IpcFd;
  readonly #receiverBell: IpcFd;
  readonly #senderSocket: IpcFd;
  readonly #receiverSocket: IpcFd;
  /** Once the sender's end was given to others. */
  #passingOn: PassingOn | undefined;
  /** Whether others may have the receiver's end, although it is still here. */
  #receiverShown = false;
  /** Once one of the ends was opened here. */
  #mapped: RingMemory | undefined;
  /** Ends that were neither opened nor closed nor given away for good: each has its share of the memory. */
  #ends = 2;

  private constructor(
    memory: IpcFd,
    capacity: number,
    [receiverBell, senderBell]: [IpcFd, IpcFd],
    [senderSocket, receiverSocket]: [IpcFd, IpcFd],
  ) {
    this.#memory = memory;
    this.#capacity = capacity;
    this.#senderBell = senderBell;
    this.#receiverBell = receiverBell;
    this.#senderSocket = senderSocket;
    this.#receiverSocket = receiverSocket;
  }

  /**
   * Makes everything, or nothing. It is not closed should it be forgotten.
   *
   * @param capacity As `capacityOf` returns it.
   * @throws {IpcError} `System` without memory or descriptors.
   */
  static create(capacity: number): NewRing {
    return unwatched(() => {
      const made: IpcFd[] = [];
      try {
        const memory = RingMemory.createFile(capacity);
        made.push(memory);
        const bells = createDoorbell();
        made.push(...bells);
        return new NewRing(memory, capacity, bells, socketPair("stream"));
      } catch (error) {
        for (const fd of made) fd.close();
        throw error;
      }
    });
  }

  /** A text that is the same for every descriptor of its memory. */
  get key(): string {
    return sameFileKey(this.#memory.fd);
  }

  /** What others are given of the sender's end; still owned by this object. */
  get senderHandle(): SenderHandle {
    this.#passingOn ??= new PassingOn(this.#memory, () => this.#senderBell, this.#senderSocket, {
      consumerSocket: this.#receiverSocket,
    });
    return this.#passingOn.handle;
  }

  /** What others are given of the receiver's end, likewise. Follow it by {@linkcode leaveReceiver} once they have it. */
  get receiverHandle(): Handle {
    this.#receiverShown = true;
    return { memory: this.#memory, bell: this.#receiverBell, descriptors: this.#receiverSocket };
  }

  /** The receiver's end is elsewhere now. */
  leaveReceiver(): void {
    this.#closeEnd([this.#receiverBell, this.#receiverSocket]);
  }

  /**
   * Opens the sender's end here.
   *
   * @throws {IpcError} `System` if there is no memory for it; nothing has changed then.
   */
  openProducer(): RingProducer {
    const memory = this.#map();
    const bell = this.#passingOn === undefined ? this.#senderBell : ownEnd(this.#senderBell);
    this.#ends--;
    return RingProducer.create(memory, bell, this.#senderSocket, this.#receiverSocket, this.#passingOn);
  }

  /** Opens the receiver's end here, likewise. */
  openConsumer(): RingConsumer {
    const memory = this.#map();
    this.#ends--;
    return RingConsumer.create(memory, this.#receiverBell, this.#receiverSocket, !this.#receiverShown);
  }

  /** Whether the sender's end is closed, or elsewhere. */
  get senderClosed(): boolean {
    return this.#senderSocket.closed;
  }

  /** Whether the receiver's end is. */
  get receiverClosed(): boolean {
    return this.#receiverSocket.closed;
  }

  /** Closes the sender's end. */
  closeSender(): void {
    this.#closeEnd([this.#senderBell, this.#senderSocket]);
    this.#passingOn?.close();
  }

  /** Closes the receiver's end: senders learn it as if it had been used. */
  closeReceiver(): void {
    if (this.#mapped !== undefined) Atomics.store(this.#mapped.words, W_BELL, BELL_CLOSED);
    // Nobody else has the memory if neither end is out; then nobody needs to know.
    else if (this.#passingOn !== undefined) this.#writeClosed();
    this.leaveReceiver();
  }

  #writeClosed(): void {
    try {
      writeWordAt(this.#memory.fd, 4 * W_BELL, BELL_CLOSED, "Cannot close a receiver");
    } catch {
      // The page is there, so this cannot fail for want of memory. The broken doorbell tells senders in any case.
    }
  }

  /** The memory, mapped: one share of it is the caller's, who counts it off. */
  #map(): RingMemory {
    if (this.#mapped === undefined) {
      this.#mapped = RingMemory.map(this.#memory, this.#capacity);
      for (let i = 1; i < this.#ends; i++) this.#mapped.retain();
    }
    return this.#mapped;
  }

  #closeEnd(fds: readonly IpcFd[]): void {
    const isLast = --this.#ends === 0 && this.#mapped === undefined;
    closeTogether(isLast ? [this.#memory, ...fds] : fds);
    this.#mapped?.release();
  }
}
