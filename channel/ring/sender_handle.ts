// A sender's end of a channel when it is not in use: three descriptors, packed into one, or without a ring yet.
import { closeForeign } from "../../ffi/file/foreign_fd.ts";
import { closeHandle, type Handle, isHandle } from "./handle.ts";
import { PackedSender } from "./packed_sender.ts";
import { RinglessSender } from "./ringless_sender.ts";

/** A sender's end, of whatever kind. */
export type SenderHandle = Handle | PackedSender | RinglessSender;

/** Whether something is an end of a channel: objects that a program made do not count. */
export function isSenderHandle(value: unknown): value is SenderHandle {
  return value instanceof PackedSender || value instanceof RinglessSender || isHandle(value);
}

/** Closes a sender's end that nobody uses. */
export function closeSenderHandle(handle: SenderHandle): void {
  if (handle instanceof PackedSender) closeForeign(handle.socket, "socket");
  else if (handle instanceof RinglessSender) handle.close();
  else closeHandle(handle);
}

/** Whether a sender's end was refused, or closed; one that is in use has given its descriptors away. */
export function isSenderClosed(handle: SenderHandle): boolean {
  return isHandle(handle) ? handle.memory.closed : handle.socket.closed;
}
