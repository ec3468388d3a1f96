// The consumer of a ring: its records, and the parts that recover, wait and reclaim, from its beginning to its end.
import { BellListener } from "../../ffi/event/doorbell.ts";
import { IpcError } from "../../base/error.ts";
import type { IpcFd } from "../../ffi/file/fd.ts";
import { ConsumerWait } from "./consumer_wait.ts";
import { DescriptorQueue } from "./descriptor_queue.ts";
import { type DescriptorSource, NoDescriptors } from "./descriptor_source.ts";
import { GapRecovery } from "./gap_recovery.ts";
import { type Handle, openHandle } from "./handle.ts";
import { BELL_CLOSED, W_BELL, W_CONSUMER, W_TAIL, W_TRIMS } from "./layout.ts";
import type { RingMemory } from "./memory.ts";
import type { NamedRing } from "./named_ring.ts";
import { claimIdentity, clearIdentity } from "./owner.ts";
import { Reclaim } from "./reclaim.ts";
import { RecordReader } from "./record_reader.ts";
import { UnreadBody } from "./unread_body.ts";

export class RingConsumer extends RecordReader {
  /** The doorbell that producers ring. */
  readonly bell: BellListener;
  /** How it waits for messages. */
  readonly wait: ConsumerWait;
  /** The body of the next message, as far as it was read before a time-out. */
  readonly unread: UnreadBody = new UnreadBody();
  /** Until when the body of a message may be read, on the clock of `performance.now()`. */
  readUntil = Infinity;
  readonly #gap: GapRecovery;
  /** The files of a named ring. */
  readonly #named: NamedRing | undefined;

  private constructor(memory: RingMemory, bell: IpcFd, descriptors: DescriptorSource, named?: NamedRing) {
    super(memory, descriptors);
    this.#named = named;
    this.bell = new BellListener(bell);
    this.#gap = new GapRecovery(this);
    this.wait = new ConsumerWait(this, this.bell, this.#gap, new Reclaim(this, named !== undefined));
    if (named !== undefined) Atomics.add(memory.words, W_TRIMS, 1); // the one before may have died while it gave memory back
    // The flag of an earlier consumer's wait, which is over.
    if (Atomics.load(memory.words, W_BELL) > 0) Atomics.store(memory.words, W_BELL, 0);
  }

  /**
   * The consumer of a ring of this process. Owns what it is given, also if it throws.
   *
   * @param alone Whether its end of the socket was given to nobody.
   * @throws {IpcError} `AlreadyExists` if another living thread receives from this ring.
   */
  static create(memory: RingMemory, bell: IpcFd, descriptors: IpcFd, alone = true): RingConsumer {
    if (!claimIdentity(memory.words, W_CONSUMER, true)) {
      memory.release();
      bell.close();
      descriptors.close();
      throw new IpcError("AlreadyExists", "Cannot receive: this channel has a receiver already");
    }
    return new RingConsumer(memory, bell, new DescriptorQueue(descriptors, alone));
  }

  /** The consumer of a ring that came from a peer. Owns the handle, as {@linkcode openHandle} says. */
  static attach(handle: Handle): RingConsumer {
    const { memory, bell, descriptors } = openHandle(handle, "listen");
    const consumer = RingConsumer.create(memory, bell, descriptors, false);
    consumer.#gap.expectOrphans(); // those that an earlier consumer did not close
    return consumer;
  }

  /**
   * The consumer of a named ring. Owns the attachment, also if it throws.
   *
   * @param keeps Whether what is lent counts as received only once it is given back.
   * @throws {IpcError} `AlreadyExists` if another living thread receives from it.
   */
  static open(named: NamedRing, keeps: boolean): RingConsumer {
    const { memory, lock } = named;
    // Without the lock where the file system has none: then a dead owner in another PID namespace is not known as such.
    if (!claimIdentity(memory.words, W_CONSUMER, true, lock) && !claimIdentity(memory.words, W_CONSUMER, true)) {
      memory.release();
      named.leave();
      throw new IpcError("AlreadyExists", `Cannot receive from "${named.path}": this channel has a receiver already`);
    }
    const consumer = new RingConsumer(memory, named.bell, new NoDescriptors(named.room), named);
    if (keeps) consumer.keepUntilGivenBack();
    return consumer;
  }

  /** Whether the ring has a name: it outlives its users then, and is opened by its path. */
  get named(): boolean {
    return this.#named !== undefined;
  }

  /** The path of a named ring. */
  get path(): string | undefined {
    return this.#named?.path;
  }

  // --- The end -------------------------------------------------------------------------------------------------------

  /** Closes for good: producers learn it, unread messages and their descriptors are dropped. */
  close(): void {
    if (this.#named !== undefined) {
      this.#closeNamed(this.#named);
      return;
    }
    // Producers in other processes see this at their next send, those that wait for room by the end of their bell.
    // pair: READ/end. READ was moved with each message, then comes the end; a producer notices it, then loads READ.
    Atomics.store(this.memory.words, W_BELL, BELL_CLOSED);
    clearIdentity(this.memory.words, W_CONSUMER);
    this.#letGo();
  }

  /** Closes a named ring, which keeps what was not received for the next consumer; an empty one that nobody uses goes. */
  #closeNamed(named: NamedRing): void {
    this.takeAllBack(); // what was lent was received, or is kept for the next
    this.detach();
    // Asked once nobody else is attached: a producer may have come, sent and gone until then.
    named.leave(() => Atomics.load(this.memory.words, W_TAIL) === this.position);
    this.#letGo();
  }

  /**
   * Lets go of the ring, for the receiver to go on elsewhere with the next message.
   *
   * Follow it by {@linkcode finishDetach} once the descriptors have been sent, or by {@linkcode undoDetach}.
   */
  detach(): void {
    this.publish();
    this.descriptors.shared();
    this.wait.disarm();
    clearIdentity(this.memory.words, W_CONSUMER, this.#named?.lock);
  }

  /** Takes a {@linkcode detach} back. */
  undoDetach(): void {
    claimIdentity(this.memory.words, W_CONSUMER, false);
  }

  /** The receiver is elsewhere now: closes this side, which producers do not notice. */
  finishDetach(): void {
    this.#letGo();
  }

  #letGo(): void {
    this.takeAllBack();
    this.descriptors.close();
    this.bell.close();
    this.memory.release();
  }
}
