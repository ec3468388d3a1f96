// A new channel that is not used in earnest yet. It takes no descriptor and no memory until then: what is made and closed
// again, or carries an answer within this isolate, costs no system call.
//
// The first small messages are kept here, and received from here. The channel is made when there are more, when one of
// the ends waits, or is sent away, or is asked for anything else: what is kept goes into the ring first. Nobody else knows
// of the channel until then, so no order and no death can come between.
//
// Where the first of it all is that the sender is sent away, the channel still has no ring: see `../ring/ringless.ts`.
import { IpcError } from "../../base/error.ts";
import { requireSystem } from "../../ffi/process/system.ts";
import { OpenThing } from "../../ffi/process/open_things.ts";
import { closeHandle, type Handle, isHandle } from "../ring/handle.ts";
import { NewRing } from "../ring/new_ring.ts";
import { RinglessReceiver } from "../ring/ringless_receiver.ts";
import type { SenderHandle } from "../ring/sender_handle.ts";
import { capacityOf } from "../ring/memory.ts";
import { RingConsumer } from "../ring/consumer.ts";
import { BLOCK, blocksFor } from "../ring/layout.ts";
import type { Message } from "../message/outgoing.ts";
import { createEnds } from "./channel_ends.ts";
import { type Outcome, RinglessChannel } from "./ringless_channel.ts";
import { SenderPort } from "./sender_port.ts";

/** One end of a channel that was made, as long as nobody took it; or closed before. */
type End<T> = T | "not made" | "taken" | "closed";

/**
 * Messages that are kept, in the life of a channel, and bytes of one of them: the ring is faster where there are many, and
 * the smallest has room for all of these.
 */
const MOST_KEPT = 16, LONGEST_KEPT = 1024;

/** What the two ends of a new channel share until the first of them is used. */
export class LazyChannel extends OpenThing {
  readonly #capacity: number;
  /** A handle if it is the end of a ring that the other side has made, and was not used yet. */
  #sender: End<SenderPort | Handle> = "not made";
  #receiver: End<RingConsumer> = "not made";
  /** Once an end was sent away before any was used: the ends that are "not made" are in there. */
  #ring: NewRing | undefined;
  /** Once the sender was sent away before any was used: it is not here any more. */
  #ringless: RinglessChannel | undefined;
  #needsRing: boolean;
  /** Messages that were sent and not received, in their order. */
  #kept: Message[] = [];
  /** How many more may be kept. */
  #room = MOST_KEPT;

  /**
   * @param needsRing Whether it will be used in earnest as soon as it is used.
   * @throws {RangeError} If the capacity is out of range.
   * @throws {IpcError} `Permission` without `--allow-ffi`, `Unsupported` on another platform.
   */
  constructor(capacity: number | undefined, needsRing = false) {
    super();
    this.#needsRing = needsRing;
    this.#capacity = capacityOf(capacity);
    requireSystem(); // who may not make channels learns it here, not at the first use
  }

  /** Whether a message might be kept: the channel is not made, and the receiver is there. */
  get mayKeep(): boolean {
    return this.#room > 0 && this.#isUnused && this.#receiver === "not made";
  }

  /** Whether its sender was not used, nor anything made. */
  get #isUnused(): boolean {
    return this.#sender === "not made" && this.#ring === undefined && this.#ringless === undefined;
  }

  /**
   * Keeps a message for the receiver, a copy of its own.
   *
   * @param message Without descriptors.
   * @returns `false` if it has to go through the ring.
   */
  keep(message: Message): boolean {
    if (!this.mayKeep || message.length > LONGEST_KEPT) return false;
    this.#kept.push(message.snapshot());
    this.#room--;
    return true;
  }

  /** Whether a message is kept. */
  get keeps(): boolean {
    return this.#kept.length > 0;
  }

  /** The next message that is kept; it is received. */
  takeKept(): Message {
    return this.#kept.shift()!;
  }

  /** Bytes of the blocks that what is kept would take. */
  get backlog(): number {
    return this.#kept.reduce((bytes, message) => bytes + blocksFor(message.length) * BLOCK, 0);
  }

  /**
   * The sending end; the caller's from now on. To be called once.
   *
   * @throws {IpcError} `System` if there are no descriptors or no memory; both ends are as they were then.
   */
  takeSender(): SenderPort {
    if (this.senderClosed) throw refused();
    this.#growIfRingless();
    if (this.#isUnused) this.#make();
    const sender = this.#sender as SenderPort | Handle | "not made";
    const port = sender === "not made"
      ? this.#openSender(this.#ring!)
      : sender instanceof SenderPort
      ? sender
      : this.#attachSender(sender);
    this.#sender = "taken";
    this.#endIfEmpty();
    return port;
  }

  /** The receiving end, likewise. */
  takeReceiver(): RingConsumer {
    if (this.receiverClosed) throw refused();
    this.#growIfRingless();
    if (this.#receiver === "not made" && this.#ring === undefined) this.#make();
    const ring = this.#receiver === "not made" ? this.#openReceiver(this.#ring!) : this.#receiver as RingConsumer;
    this.#receiver = "taken";
    this.#endIfEmpty();
    return ring;
  }

  // Others have the memory by now, and may have made it so that an end cannot be opened: it is closed then.

  #openSender(ring: NewRing): SenderPort {
    try {
      return SenderPort.ofNew(ring);
    } catch (error) {
      if (ring.senderClosed) this.#sender = "closed";
      this.#endIfEmpty();
      throw error;
    }
  }

  #openReceiver(ring: NewRing): RingConsumer {
    try {
      return ring.openConsumer();
    } catch (error) {
      if (ring.receiverClosed) this.#receiver = "closed";
      this.#endIfEmpty();
      throw error;
    }
  }

  #attachSender(handle: Handle): SenderPort {
    try {
      return SenderPort.attach(handle);
    } catch (error) {
      if (handle.memory.closed) this.#sender = "closed";
      this.#endIfEmpty();
      throw error;
    }
  }

  /** Whether the sending end is closed. */
  get senderClosed(): boolean {
    return this.#sender === "closed";
  }

  /** Whether the receiving end is closed. */
  get receiverClosed(): boolean {
    return this.#receiver === "closed";
  }

  /**
   * The sending end to be given to others, without being opened here; it stays here.
   *
   * @returns `undefined` if it is opened, or has to be, as messages are kept: take it.
   * @throws {IpcError} As {@linkcode takeSender}.
   */
  get senderHandle(): SenderHandle | undefined {
    if (this.#ring !== undefined && this.#sender === "not made") return this.#ring.senderHandle; // not the first time
    if (this.#isUnused && this.#receiver === "not made" && this.#kept.length === 0 && !this.#needsRing) {
      return this.#makeRingless();
    }
    this.#growIfRingless();
    return this.#sender === "not made" ? this.#descriptors()?.senderHandle : undefined;
  }

  /** The receiving end, likewise. Follow it by {@linkcode leaveReceiver} once others have it. */
  get receiverHandle(): Handle | undefined {
    this.#growIfRingless();
    return this.#receiver === "not made" ? this.#descriptors()?.receiverHandle : undefined;
  }

  /** The receiving end, which was not opened, is elsewhere now. */
  leaveReceiver(): void {
    this.#ring!.leaveReceiver();
    this.#receiver = "taken";
    this.#endIfEmpty();
  }

  /** The sending end, if it was made and not taken; it stays here. */
  get sender(): SenderPort | undefined {
    return this.#sender instanceof SenderPort ? this.#sender : undefined;
  }

  /** The receiving end, likewise. */
  get receiver(): RingConsumer | undefined {
    return this.#receiver instanceof RingConsumer ? this.#receiver : undefined;
  }

  /** Closes the sending end, which was not taken. */
  closeSender(): void {
    if (this.#sender instanceof SenderPort) this.#sender.release(this);
    else if (this.#sender === "not made") this.#ring?.closeSender();
    else if (isHandle(this.#sender)) closeHandle(this.#sender);
    this.#sender = "closed";
    this.#endIfEmpty();
  }

  /** Closes the receiving end, which was not taken. */
  closeReceiver(): void {
    if (this.#receiver instanceof RingConsumer) this.#receiver.close();
    else if (this.#receiver === "not made") this.#ring?.closeReceiver();
    this.#ringless?.close();
    this.#ringless = undefined;
    this.#receiver = "closed";
    this.#kept = [];
    this.#endIfEmpty();
  }

  /** The ends that were not taken, if the channel was made. */
  override letGo(): void {
    if (this.#has(this.#sender)) this.closeSender();
    if (this.#has(this.#receiver)) this.closeReceiver();
  }

  /** Whether there is something to let go of. */
  #has(end: End<unknown>): boolean {
    if (end === "taken" || end === "closed") return false;
    return end !== "not made" || this.#ring !== undefined || this.#ringless !== undefined;
  }

  #endIfEmpty(): void {
    if (!this.#has(this.#sender) && !this.#has(this.#receiver)) this.ended();
  }

  // --- Without a ring --------------------------------------------------------------------------------------------------

  /** It is to have a ring from its first use on: a receiver without one knows less. */
  needRing(): void {
    this.#needsRing = true;
  }

  /** The sender's end, which is not this isolate's from now on; its own, if it uses that, is the other end of a ring. */
  #makeRingless(): SenderHandle {
    const [sender, ringless] = RinglessChannel.create(this.#capacity);
    this.#ringless = ringless;
    this.opened();
    return sender;
  }

  /**
   * The receiver as long as it has no ring, and something may come.
   *
   * @throws {IpcError} As {@linkcode takeReceiver}; `Corrupt` if the other side has sent what is malformed.
   */
  get ringless(): RinglessReceiver | undefined {
    const found = this.#ringless?.look();
    if (found === undefined || found instanceof RinglessReceiver) return found;
    this.#goOn(found);
    return undefined;
  }

  #growIfRingless(): void {
    if (this.ringless !== undefined) this.#goOn(this.#ringless!.grow());
  }

  #goOn(outcome: Outcome): void {
    this.#ringless = undefined;
    if (outcome.type === "ring") {
      this.#use(outcome.sender, outcome.ring);
      return;
    }
    if (outcome.type === "refused") this.#receiver = this.#sender = "closed";
    this.#endIfEmpty();
    if (outcome.type === "refused") throw outcome.error;
  }

  /** What both ends consist of, to be sent away; `undefined` if a ring is needed first. */
  #descriptors(): NewRing | undefined {
    if (this.#ring !== undefined) return this.#ring;
    if (this.#kept.length > 0 || this.#sender instanceof SenderPort || this.#receiver instanceof RingConsumer) return;
    const ring = this.#ring = NewRing.create(this.#capacity);
    this.opened();
    if (this.#sender === "closed") ring.closeSender();
    if (this.#receiver === "closed") ring.closeReceiver();
    return ring;
  }

  /** Makes both ends at the first use of one. The other learns by the usual means if its peer was closed before. */
  #make(): void {
    const { port, ring } = createEnds(this.#capacity);
    try {
      for (const message of this.#kept) {
        if (!port.ring.trySend(message)) {
          throw new IpcError("System", "Cannot make a channel: its new ring has no room");
        }
      }
    } catch (error) {
      port.release(this), ring.close(); // nobody has seen it: what is kept is still kept
      throw error;
    }
    this.#kept = [];
    this.#use(port, ring);
  }

  /** Both ends are made; what was closed before is closed now. */
  #use(sender: SenderPort | Handle, receiver: RingConsumer): void {
    const senderClosed = this.#sender === "closed", receiverClosed = this.#receiver === "closed";
    this.#sender = sender;
    this.#receiver = receiver;
    this.opened();
    if (senderClosed) this.closeSender();
    if (receiverClosed) this.closeReceiver();
  }
}

/** What the other end of a channel is told, once one was found to be harmed. */
function refused(): IpcError {
  return new IpcError("Corrupt", "Cannot use the channel: a peer damaged it");
}
