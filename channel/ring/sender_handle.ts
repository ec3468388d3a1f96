// A sender's end of a channel when it is not in use: three descriptors, or packed into one.
import { closeForeign } from "../../ffi/file/foreign_fd.ts";
import { closeHandle, type Handle, isHandle } from "./handle.ts";
import { PackedSender } from "./packed_sender.ts";

/** A sender's end, packed or not. */
export type SenderHandle = Handle | PackedSender;

/** Whether something is an end of a channel, packed or not: objects that a program made do not count. */
export function isSenderHandle(value: unknown): value is SenderHandle {
  return value instanceof PackedSender || isHandle(value);
}

/** Closes a sender's end that nobody uses. */
export function closeSenderHandle(handle: SenderHandle): void {
  if (handle instanceof PackedSender) closeForeign(handle.socket, "socket");
  else closeHandle(handle);
}

/** Whether a sender's end was refused, or closed; one that is in use has given its descriptors away. */
export function isSenderClosed(handle: SenderHandle): boolean {
  return handle instanceof PackedSender ? handle.socket.closed : handle.memory.closed;
}
