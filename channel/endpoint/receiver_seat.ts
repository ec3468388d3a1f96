// The connection of a receiver object to its channel: attached at first use, moved by being sent.
import { IpcError } from "../../base/error.ts";
import { closeAllForeign } from "../../ffi/file/foreign_fd.ts";
import { OpenThing } from "../../ffi/process/open_things.ts";
import type { Attachments, ReceivedAttachments } from "../message/attachments.ts";
import type { Message } from "../message/outgoing.ts";
import { MAX_DESCRIPTORS } from "../ring/carrier.ts";
import type { Arrived } from "../ring/descriptor_source.ts";
import { RingConsumer } from "../ring/consumer.ts";
import { closeHandle, type Handle, HANDLE_FDS, handleFds, handleFrom } from "../ring/handle.ts";
import type { RinglessReceiver } from "../ring/ringless_receiver.ts";
import { LazyChannel } from "./lazy_channel.ts";

/**
 * The connection of a receiver to its channel, apart from the object that the program has, so that it can be let go of when
 * that is collected.
 */
export class ReceiverSeat extends OpenThing {
  #ring: RingConsumer | undefined;
  #lazy: LazyChannel | undefined;
  #handle: Handle | undefined;
  #early: EarlyDescriptors = [];
  #mostBytes: number | undefined;
  /** Why it cannot be used, if so. */
  state: "open" | "in transit" | "closed" = "open";

  /** @param from What it begins with; `undefined` for one that is closed. */
  constructor(from: ReceiverSource | undefined) {
    super();
    if (from === undefined) {
      this.state = "closed";
      return;
    }
    if (from instanceof LazyChannel) {
      this.#lazy = from;
    } else if (from instanceof RingConsumer) {
      this.#ring = from;
    } else {
      this.#handle = from.handle;
      this.#early = from.early ?? [];
    }
    if (this.#lazy === undefined) this.opened(); // there is nothing to let go of yet
  }

  override letGo(): void {
    this.leave();
  }

  /** It is elsewhere, or could not be used. */
  gone(): void {
    this.state = "closed";
    this.ended();
  }

  ring(): RingConsumer {
    if (this.#ring !== undefined && this.state === "open") return this.#ring;
    if (this.state !== "open") {
      throw new IpcError(
        "Closed",
        this.state === "closed"
          ? "Cannot receive: this receiver was closed or sent away"
          : "Cannot receive: this receiver is on its way in a message that waits for room",
      );
    }
    if (this.#lazy !== undefined) return this.#limited(this.#ringOfNew(this.#lazy));
    const handle = this.#handle!;
    try {
      this.#ring = RingConsumer.attach(handle);
    } catch (error) {
      if (!handle.memory.closed) throw error; // there is no memory for it now
      this.#handle = undefined;
      this.gone();
      for (const { fds } of this.#early) closeAllForeign(fds);
      throw error;
    }
    this.#handle = undefined;
    this.#ring.descriptors.adopt(this.#early);
    this.#early = [];
    return this.#limited(this.#ring);
  }

  #ringOfNew(lazy: LazyChannel): RingConsumer {
    try {
      this.#ring = lazy.takeReceiver();
    } catch (error) {
      if (lazy.receiverClosed) {
        this.#lazy = undefined;
        this.gone();
      }
      throw error;
    }
    this.opened();
    this.#lazy = undefined;
    return this.#ring;
  }

  /** The receiver of a channel that has no ring yet, if messages come to it. Of a limited length only a ring knows. */
  get ringless(): RinglessReceiver | undefined {
    if (this.#lazy === undefined || this.#mostBytes !== undefined || this.state !== "open") return undefined;
    try {
      return this.#lazy.ringless;
    } catch (error) {
      if (this.#lazy.receiverClosed) {
        this.#lazy = undefined;
        this.gone();
      }
      throw error;
    }
  }

  /** What messages come through; attached. */
  source(): RingConsumer | RinglessReceiver {
    if (this.#ring !== undefined && this.state === "open") return this.#ring;
    return this.ringless ?? this.ring();
  }

  /** Whether the next message is kept by a channel that was not made. Of a limited length only a ring knows. */
  get keeps(): boolean {
    return this.#lazy !== undefined && this.#lazy.keeps && this.#mostBytes === undefined;
  }

  /** That message; it is received. */
  takeKept(): Message {
    return this.#lazy!.takeKept();
  }

  #limited(ring: RingConsumer): RingConsumer {
    if (this.#mostBytes !== undefined) ring.limitMessages(this.#mostBytes);
    return ring;
  }

  limitMessages(bytes: number): void {
    this.#mostBytes = bytes;
    this.#lazy?.needRing();
    if (this.#ring !== undefined) this.#limited(this.#ring);
  }

  /** The ring, if it was ever used. */
  get attached(): RingConsumer | undefined {
    return this.#ring;
  }

  /** What it looks like, without attaching. */
  look(): Record<string, unknown> {
    const ring = this.#ring ?? this.#lazy?.receiver;
    return {
      path: ring?.path,
      state: this.state,
      backlog: this.state === "open" ? ring?.waiting ?? this.#lazy?.backlog ?? 0 : undefined,
    };
  }

  leave(): void {
    if (this.state === "closed") return;
    const inTransit = this.state === "in transit";
    this.gone();
    if (!inTransit) this.#closeAll(); // else it is closed when it is known whether the message was sent
  }

  #closeAll(): void {
    this.#lazy?.closeReceiver();
    this.#lazy = undefined;
    this.#ring?.close();
    if (this.#handle !== undefined) closeHandle(this.#handle);
    for (const { fds } of this.#early) closeAllForeign(fds);
  }

  /** Puts the receiving end into a message: it moves, once the message is sent. */
  pack(attachments: Attachments, sent: () => void, kept: () => void): unknown[] {
    if (this.state !== "open") this.ring(); // throws
    const unopened = this.#handle ?? this.#lazy?.receiverHandle;
    if (unopened === undefined) this.ring(); // opens a new one with messages that are kept
    const ring = this.#ring;
    if (ring?.named) {
      throw new IpcError(
        "Serialization",
        "Cannot send the receiver of a named channel: close it, and create it there by its path",
      );
    }
    if (ring?.hasLent) {
      throw new IpcError("Serialization", "Cannot send a receiver with borrowed messages: release them first");
    }
    const handle = unopened ??
      { memory: ring!.memory.fd, bell: ring!.bell.fd, descriptors: ring!.descriptors.socket };
    attachments.add(handleFds(handle));
    // Descriptors that were read ahead of their messages go along, behind the handle.
    const early = ring === undefined ? this.#early : ring.descriptors.surrender();
    for (const { fds } of early) attachments.add(fds);
    ring?.detach();
    this.state = "in transit";
    attachments.moves(
      () => {
        this.gone();
        ring?.finishDetach();
        this.#lazy?.leaveReceiver();
        this.#lazy = undefined;
        if (this.#handle !== undefined) closeHandle(this.#handle);
        for (const { fds } of early) closeAllForeign(fds);
        sent();
      },
      () => {
        ring?.undoDetach();
        ring?.descriptors.adopt(early);
        if (this.state === "closed") {
          this.#closeAll();
        } else {
          this.state = "open";
          kept();
        }
      },
    );
    return early.map(({ slot, counter, fds, bundled }) => {
      const item = [slot, counter, fds.length];
      if (bundled !== undefined) item.push(bundled);
      return item;
    });
  }
}

/** Descriptors that a receiver had read ahead of their messages when it was sent. */
type EarlyDescriptors = readonly Arrived[];

/** Where a receiver that came in a message starts from: its handle, and what was read ahead. */
export interface ReceiverArrival {
  readonly handle: Handle;
  readonly early?: EarlyDescriptors;
}

/** What a receiver can start from: a ring that is in use here, a channel that has none yet, or what came from a peer. */
export type ReceiverSource = RingConsumer | LazyChannel | ReceiverArrival;

/** Takes a receiver's descriptors out of a message. */
export function claimReceiver(
  attachments: ReceivedAttachments,
  first: unknown,
  details: readonly unknown[],
): ReceiverArrival {
  const handle = handleFrom(attachments.claim(first, HANDLE_FDS));
  const early: Arrived[] = [];
  let at = (first as number) + HANDLE_FDS;
  try {
    for (const item of details) {
      if (!Array.isArray(item) || item.length < 3 || item.length > 4 || !item.every(Number.isInteger)) break;
      const [slot, counter, count, bundled] = item as [number, number, number, number?];
      if (bundled !== undefined && (bundled < count || bundled > MAX_DESCRIPTORS)) break;
      early.push({ slot, counter, fds: attachments.claim(at, count), bundled });
      at += count;
    }
  } catch (error) {
    closeHandle(handle);
    for (const { fds } of early) closeAllForeign(fds);
    throw error;
  }
  return { handle, early };
}
