// The producer of a ring: its records, and the parts that wait for room and pass it on, from its beginning to its end.
//
// One object an isolate and ring, shared by all clones of a sender there.
import { IpcError } from "../../base/error.ts";
import { step } from "../../base/step_hook.ts";
import type { IpcFd } from "../../ffi/file/fd.ts";
import { RingAllocation } from "./allocation.ts";
import { ConsumerBell } from "./consumer_bell.ts";
import { ConsumerLiveness } from "./consumer_liveness.ts";
import { trySendExtended } from "./extended_record.ts";
import { type ClaimOutcome, outcomeOf } from "./gap_log.ts";
import { type Handle, openHandle } from "./handle.ts";
import { BLOCK_SHIFT, blocksFor, paddingWord } from "./layout.ts";
import type { RingMemory } from "./memory.ts";
import type { NamedRing } from "./named_ring.ts";
import { PassingOn } from "./passing_on.ts";
import type { Payload } from "./payload.ts";
import { FULL, RecordWriter } from "./record_writer.ts";
import { type Holder, Reservation } from "./reservation.ts";
import { RoomWait } from "./room_wait.ts";
import type { SenderHandle } from "./sender_handle.ts";
import { ProducerSlots } from "./slots.ts";

const NO_FDS: readonly number[] = [];

/** Where a producer comes from, beside what every ring has. */
interface Origin {
  /** The attachment to a named ring. */
  readonly named?: NamedRing;
  /** Whether it came packed. */
  readonly packed?: boolean;
  /** The consumer's end of the socket, if that is in this isolate; it stays the consumer's. */
  readonly consumerSocket?: IpcFd | undefined;
  /** What others have been given of it already; the producer's from now on. */
  readonly passingOn?: PassingOn | undefined;
}

export class RingProducer extends RecordWriter {
  /** How it waits for room. */
  readonly room: RoomWait;
  readonly #bell: ConsumerBell;
  readonly #consumer: ConsumerLiveness;
  readonly #socket: IpcFd;
  /** The files of a named ring. */
  readonly #named: NamedRing | undefined;
  readonly #passingOn: PassingOn | undefined;

  private constructor(memory: RingMemory, bellEnd: IpcFd, socket: IpcFd, origin: Origin) {
    const { words } = memory, { named } = origin;
    const slots = new ProducerSlots(memory, named?.lock);
    const bell = new ConsumerBell(words, bellEnd);
    const consumer = new ConsumerLiveness(words, bellEnd.fd, named !== undefined);
    super(memory, slots, bell, consumer, named && new RingAllocation(memory, named.path));
    this.#bell = bell;
    this.#consumer = consumer;
    this.#socket = socket;
    this.#named = named;
    this.room = new RoomWait({ memory, bell, consumer, slots, socket, shared: named !== undefined });
    if (named !== undefined) return;
    this.#passingOn = origin.passingOn ?? new PassingOn(memory.fd, () => bell.endToGive(), socket, origin);
  }

  /**
   * The producer of a ring of this process. Owns what it is given, also if it throws.
   *
   * @param consumerSocket The other end of `socket`, if that is in this isolate; it stays the consumer's.
   * @param passingOn What others have been given of it already.
   */
  static create(
    memory: RingMemory,
    bell: IpcFd,
    socket: IpcFd,
    consumerSocket?: IpcFd,
    passingOn?: PassingOn,
  ): RingProducer {
    return RingProducer.#create(memory, bell, socket, { consumerSocket, passingOn });
  }

  /** The producer of a ring that came from a peer. Owns the handle, as {@linkcode openHandle} says. */
  static attach(handle: Handle, packed = false): RingProducer {
    const { memory, bell, descriptors } = openHandle(handle, "ring");
    return RingProducer.#create(memory, bell, descriptors, { packed });
  }

  static #create(memory: RingMemory, bell: IpcFd, socket: IpcFd, origin: Origin): RingProducer {
    try {
      return new RingProducer(memory, bell, socket, origin);
    } catch (error) {
      memory.release();
      bell.close();
      socket.close();
      origin.passingOn?.close();
      throw error;
    }
  }

  /** The producer of a named ring. Owns the attachment, also if it throws. */
  static open(named: NamedRing): RingProducer {
    try {
      return new RingProducer(named.memory, named.bell, named.room, { named });
    } catch (error) {
      named.memory.release();
      named.leave();
      throw error;
    }
  }

  /** Whether the ring has a name: then producers do not learn of its consumer's end, as another may come. */
  get named(): boolean {
    return this.#named !== undefined;
  }

  /** The path of a named ring. */
  get path(): string | undefined {
    return this.#named?.path;
  }

  /** Still owned by this producer; for passing it on. */
  get handle(): SenderHandle {
    if (this.#passingOn !== undefined) return this.#passingOn.handle;
    throw new IpcError(
      "Serialization",
      `Cannot send an end of the named channel "${this.path}": send its path, and open it there`,
    );
  }

  /** What became of a claim, of this process or a dead one: see {@linkcode outcomeOf}. */
  outcomeOf(position: number, gaps: number): ClaimOutcome {
    return outcomeOf(this.memory.words, this.memory.blocks - 1, position, gaps);
  }

  // --- Messages ------------------------------------------------------------------------------------------------------

  /**
   * Sends a message if there is room.
   *
   * @param message The message.
   * @param fds Descriptors that travel with it; they stay the caller's.
   * @returns `false` if the ring, or the queue of descriptors, is full.
   * @throws {IpcError} `Disconnected` if the consumer is gone.
   */
  trySend(message: Payload, fds?: readonly number[]): boolean {
    const { length } = message;
    if (fds !== undefined || length > this.capacity) return this.#trySendExtended(message, fds ?? NO_FDS);
    const index = this.tryClaim(blocksFor(length));
    if (index === FULL) return false;
    try {
      message.copyTo(this.memory.data, this.memory.dataLongs, index << BLOCK_SHIFT);
    } catch (error) {
      this.commit(index, paddingWord(blocksFor(length))); // a detached array; what is claimed must be committed
      throw error;
    }
    step("copied");
    if (!this.commit(index, length + 1)) throw this.#consumer.ended();
    return true;
  }

  #trySendExtended(message: Payload, fds: readonly number[]): boolean {
    if (this.#named === undefined) return trySendExtended(this, this.#socket.fd, message, fds);
    throw notByName(this.#named.path, this.capacity, message.length, fds.length);
  }

  /**
   * Claims room for a message that is to be filled in place.
   *
   * @param length Bytes of the message at most; no more than {@linkcode capacity}.
   * @param holder Is held until the claim ends.
   * @returns `undefined` if there is no room now.
   * @throws {IpcError} `Disconnected` if the consumer is gone.
   */
  tryReserve(length: number, holder: Holder): Reservation | undefined {
    return Reservation.claim(this, length, holder);
  }

  /** The same for several messages, which take no more blocks than the ring has. */
  tryReserveMany(count: number, length: number, holder: Holder): Reservation | undefined {
    return Reservation.claimMany(this, count, length, holder);
  }

  /** Gives up the slots and releases the memory and the descriptors. */
  close(): void {
    this.#consumer.gone = true;
    this.slots.close();
    this.room.close();
    this.memory.release();
    this.#bell.close();
    this.#passingOn?.close();
    this.#socket.close();
    this.#named?.leave();
  }
}

/** A named ring has no socket beside it, so neither descriptors nor larger messages can go around it. */
function notByName(path: string, capacity: number, length: number, fds: number): IpcError {
  return fds === 0
    ? new IpcError(
      "TooLarge",
      `Cannot send ${length} bytes through "${path}": a message is at most as large as the channel, ${capacity} ` +
        "bytes; make it with a larger capacity",
    )
    : new IpcError(
      "Serialization",
      `Cannot send an endpoint, memory or a descriptor through "${path}": a named channel carries data only`,
    );
}
