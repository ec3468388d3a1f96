// The connection of a sender object to its channel: attached at first use.
import { IpcError } from "../../base/error.ts";
import { OpenThing } from "../../ffi/process/open_things.ts";
import type { Message } from "../message/outgoing.ts";
import { closeSenderHandle, isSenderClosed, type SenderHandle } from "../ring/sender_handle.ts";
import { PackedSender } from "../ring/packed_sender.ts";
import { RinglessSender } from "../ring/ringless_sender.ts";
import { LazyChannel } from "./lazy_channel.ts";
import { SenderPort } from "./sender_port.ts";

/** What a sender can start from: a port that is in use here, a channel that has none yet, or what came from a peer. */
export type SenderSource = SenderPort | LazyChannel | SenderHandle;

/**
 * The connection of one sender to its channel, apart from the object that the program has, so that it can be let go of when
 * that is collected. A sender that came in a message is attached to the ring when it is first used.
 */
export class SenderSeat extends OpenThing {
  #port: SenderPort | undefined;
  #lazy: LazyChannel | undefined;
  #handle: SenderHandle | undefined;
  /** What others are given of it, once that is packed, which it stays. */
  #packed: PackedSender | undefined;
  #left = false;

  constructor(from: SenderSource) {
    super();
    if (from instanceof LazyChannel) this.#lazy = from;
    else if (from instanceof SenderPort) this.#port = from;
    else this.#handle = from;
    if (this.#lazy === undefined) this.opened(); // there is nothing to let go of yet
  }

  override letGo(): void {
    this.leave(this);
  }

  get left(): boolean {
    return this.#left;
  }

  /** The port; attaches at first use. */
  port(): SenderPort {
    if (this.#port !== undefined) return this.#port;
    if (this.#left) throw new IpcError("Closed", "Cannot send: this sender was closed");
    if (this.#lazy !== undefined) return this.#portOfNew(this.#lazy);
    const handle = this.#handle!;
    try {
      this.#port = SenderPort.attach(handle);
    } catch (error) {
      if (!isSenderClosed(handle)) throw error; // there is no memory for it now
      this.#handle = undefined;
      this.#left = true;
      this.ended();
      throw error;
    }
    this.#handle = undefined;
    return this.#port;
  }

  #portOfNew(lazy: LazyChannel): SenderPort {
    this.#packed = undefined; // it may be that of another sender to the same channel, from now on
    try {
      this.#port = lazy.takeSender();
    } catch (error) {
      if (lazy.senderClosed) {
        this.#left = true;
        this.#lazy = undefined;
      }
      throw error;
    }
    this.opened();
    this.#lazy = undefined;
    return this.#port;
  }

  /** The port, attached; `undefined` if the next message may do without: see {@linkcode sendWithoutPort}. */
  portIfNeeded(): SenderPort | undefined {
    if (this.#port !== undefined) return this.#port;
    if (this.#lazy !== undefined ? this.#lazy.mayKeep : this.#ringless?.mayPost) return undefined;
    return this.port();
  }

  /** What it starts from, if that has no ring yet. */
  get #ringless(): RinglessSender | undefined {
    return this.#handle instanceof RinglessSender ? this.#handle : undefined;
  }

  /** Sends the message without a port, to the receiver of a channel that has no ring; `false` if it has to go by the port. */
  sendWithoutPort(message: Message): boolean {
    if (this.#lazy !== undefined) return this.#lazy.keep(message);
    const ringless = this.#ringless;
    if (ringless === undefined) return false;
    try {
      return ringless.post(message);
    } catch (error) {
      if (ringless.socket.closed) this.leave(this);
      throw error;
    }
  }

  /** What it looks like, without attaching. */
  look(): Record<string, unknown> {
    const ring = (this.#port ?? this.#lazy?.sender)?.ring;
    return {
      path: ring?.path,
      state: this.#left ? "closed" : "open",
      backlog: this.#left ? undefined : ring?.used ?? this.#lazy?.backlog ?? 0,
    };
  }

  /** The descriptors, without attaching. */
  handle(): SenderHandle {
    if (this.#packed !== undefined) return this.#packed;
    if (this.#ringless !== undefined) this.port(); // it has one holder
    if (this.#handle !== undefined) return this.#handle;
    const handle = this.#lazy?.senderHandle ?? this.port().ring.handle;
    if (handle instanceof PackedSender) this.#packed = handle;
    return handle;
  }

  /** @param owner Whose waiting sends are rejected. */
  leave(owner: object): void {
    if (this.#left) return;
    this.#left = true;
    this.ended();
    this.#lazy?.closeSender();
    this.#port?.release(owner);
    if (this.#handle !== undefined) closeSenderHandle(this.#handle);
    this.#lazy = this.#port = undefined;
    this.#handle = this.#packed = undefined;
  }
}
