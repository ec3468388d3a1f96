// How a sender's end of a channel stands among the attachments of a message: three descriptors, or one if it is packed or
// has no ring yet.
import { HANDLE_FDS, handleFds, handleFrom } from "../ring/handle.ts";
import { IpcError } from "../../base/error.ts";
import { PackedSender } from "../ring/packed_sender.ts";
import { isCapacity, RinglessSender } from "../ring/ringless_sender.ts";
import type { SenderHandle } from "../ring/sender_handle.ts";
import type { Attachments, ReceivedAttachments } from "./attachments.ts";
import type { KindName } from "./travellers.ts";

/** Among the details of a sender in a message: it is packed, and has one descriptor. */
const PACKED = 1;
/** Likewise: it has no ring yet, and one descriptor; the capacity follows. */
const RINGLESS = 2;
const PACKED_DETAILS: readonly unknown[] = [PACKED], NO_DETAILS: readonly unknown[] = [];

/** Puts a sender's end into a message; returns the details that the other side must know. */
export function packHandle(handle: SenderHandle, attachments: Attachments): readonly unknown[] {
  if (handle instanceof PackedSender) {
    attachments.addOne(handle.socket);
    return PACKED_DETAILS;
  }
  if (handle instanceof RinglessSender) {
    const { socket, capacity } = handle, close = () => socket.close();
    attachments.addOne(socket);
    attachments.moves(close, close); // it has one holder: not this isolate, as soon as it is on its way
    return [RINGLESS, capacity];
  }
  attachments.add(handleFds(handle));
  return NO_DETAILS;
}

/** The kinds of travellers that have a sender. */
const WITH_SENDER: ReadonlySet<unknown> = new Set(
  [
    "sender",
    "bytes-sender",
    "opaque-sender",
    "duplex",
    "bytes-duplex",
  ] satisfies KindName[],
);

/** Whether what stands in a message for a traveller is a sender without a ring. */
export function isRingless(written: readonly unknown[]): boolean {
  return WITH_SENDER.has(written[1]) && written[3] === RINGLESS;
}

/** How many descriptors a sender with these details has, and how many of the details are about that. */
export function senderShape(details: readonly unknown[]): { fds: number; details: number } {
  if (details[0] === RINGLESS) return { fds: 1, details: 2 };
  return details[0] === PACKED ? { fds: 1, details: 1 } : { fds: HANDLE_FDS, details: 0 };
}

/** Takes a sender's end out of a message. */
export function claimSender(
  attachments: ReceivedAttachments,
  first: unknown,
  details: readonly unknown[],
): SenderHandle {
  if (details[0] === RINGLESS) {
    const capacity = details[1];
    if (isCapacity(capacity)) return new RinglessSender(attachments.take(first), capacity);
    throw new IpcError("Serialization", "Cannot decode a message: a sender in it has an impossible capacity");
  }
  if (details[0] === PACKED) return new PackedSender(attachments.take(first));
  return handleFrom(attachments.claim(first, HANDLE_FDS));
}
