// A channel without a ring, as the isolate has it that made it: until one of both sides makes the ring, or the other is gone. See
// `../ring/ringless.ts`.
import { IpcError } from "../../base/error.ts";
import { step } from "../../base/step_hook.ts";
import { sameFileKey } from "../../ffi/memory/storage.ts";
import { closeHandle, type Handle } from "../ring/handle.ts";
import { RingConsumer } from "../ring/consumer.ts";
import { BytesPayload } from "../ring/payload.ts";
import { type Grown, RinglessReceiver } from "../ring/ringless_receiver.ts";
import type { RinglessSender } from "../ring/ringless_sender.ts";
import { type ChannelEnds, createEnds } from "./channel_ends.ts";
import type { SenderPort } from "./sender_port.ts";

/** How it goes on. */
export type Outcome =
  /** The other side is gone. */
  | { readonly type: "gone" }
  /** By a ring: its consumer, and what the sender here is, or is opened from. */
  | { readonly type: "ring"; readonly ring: RingConsumer; readonly sender: SenderPort | Handle }
  /** Not at all: the other side has sent what is no ring. */
  | { readonly type: "refused"; readonly error: unknown };

/** The receiver's side, and a ring that is made while the other side may make one. */
export class RinglessChannel {
  readonly #capacity: number;
  readonly #receiver: RinglessReceiver;
  /** The ring that follows, and its sender's end for the other side, while that could not be sent. */
  #growing: ChannelEnds & { readonly handle: Handle } | undefined;

  private constructor(capacity: number, receiver: RinglessReceiver) {
    this.#capacity = capacity;
    this.#receiver = receiver;
  }

  /**
   * Makes it, and the sender's end, which is to go elsewhere.
   *
   * @throws {IpcError} `System` without descriptors.
   */
  static create(capacity: number): [RinglessSender, RinglessChannel] {
    const [sender, receiver] = RinglessReceiver.create(capacity);
    return [sender, new RinglessChannel(capacity, receiver)];
  }

  /**
   * The receiver, as long as something may come to it, as far as that is known: see `RinglessReceiver.next`. Else how it goes on,
   * which ends this object.
   *
   * @throws {IpcError} As `RinglessReceiver.next`; `System` if there is no room for the ring: another try may succeed.
   */
  look(): RinglessReceiver | Outcome {
    const receiver = this.#receiver;
    if (this.#growing !== undefined) return this.grow();
    if (!receiver.isDone) return receiver;
    return this.#end();
  }

  /** Nothing will come to the receiver any more. */
  #end(): Outcome {
    const { grown } = this.#receiver;
    if (grown !== undefined) return this.#adopt(grown);
    this.close();
    return { type: "gone" };
  }

  /**
   * Makes the ring, unless the other side has made one. Ends this object.
   *
   * @throws {IpcError} As {@linkcode look}. Where the other side's end cannot be handed over now, that is done another time.
   */
  grow(): Outcome {
    const receiver = this.#receiver;
    if (this.#growing === undefined && !receiver.next() && receiver.isDone) return this.#end();
    const { port, ring, handle } = this.#growing ??= this.#make();
    const post = this.#stop();
    if (receiver.grown !== undefined) return this.#adopt(receiver.grown);
    if (post !== undefined) {
      if (!port.ring.trySend(new BytesPayload(post))) {
        throw new IpcError("System", "Cannot make a channel: its ring has no room");
      }
      receiver.take();
    }
    step("stopped");
    receiver.giveRing(handle);
    this.#growing = undefined;
    this.close();
    return { type: "ring", ring, sender: port };
  }

  #stop(): Uint8Array<ArrayBuffer> | undefined {
    try {
      return this.#receiver.stop();
    } catch (error) {
      if (this.#receiver.closed) this.close(); // the other side has no part in it any more
      throw error;
    }
  }

  #make(): ChannelEnds & { readonly handle: Handle } {
    const ends = createEnds(this.#capacity);
    try {
      return { ...ends, handle: ends.port.ring.handle as Handle }; // the first time it is not packed
    } catch (error) {
      this.#closeEnds(ends);
      throw error;
    }
  }

  /** Goes on with the ring that the other side has made. What was posted and received may be the first message there. */
  #adopt(grown: Grown): Outcome {
    let ring: RingConsumer | undefined;
    try {
      ring = RingConsumer.attach(grown.receiver);
      // One for both ends: else the sender here could be made to send by another channel that it has.
      if (ring.capacity !== this.#capacity || sameFileKey(ring.memory.fd.fd) !== sameFileKey(grown.sender.memory.fd)) {
        throw new IpcError("Corrupt", "Cannot use the channel: a peer has sent what is not its ring");
      }
      if (grown.hasPost && this.#receiver.delivered && ring.next()) ring.release();
    } catch (error) {
      if (ring === undefined && !grown.receiver.memory.closed) throw error; // there is no memory for it now
      ring?.close();
      closeHandle(grown.sender);
      this.#receiver.adopted();
      this.close();
      return { type: "refused", error };
    }
    this.#receiver.adopted();
    this.close();
    return { type: "ring", ring, sender: grown.sender };
  }

  /** Closes it, with what is still its own: the other side finds nobody there. */
  close(): void {
    if (this.#growing !== undefined) this.#closeEnds(this.#growing);
    this.#growing = undefined;
    this.#receiver.close();
  }

  #closeEnds({ port, ring }: ChannelEnds): void {
    port.release(this), ring.close();
  }
}
