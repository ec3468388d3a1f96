// The two halves of a duplex of bytes: checked, and on their way in a message.
import { asFound } from "../../base/arguments.ts";
import type { Attachments, ReceivedAttachments } from "../message/attachments.ts";
import { claimSender, senderShape } from "../message/sender_attachment.ts";
import { bytesReceiverFrom, bytesReceiverKind, IpcBytesReceiver } from "./bytes_receiver.ts";
import { bytesSenderFrom, bytesSenderKind, IpcBytesSender } from "./bytes_sender.ts";
import { claimReceiver } from "./receiver_seat.ts";

/** Checks what a program puts together. */
export function checkHalves(sender: unknown, receiver: unknown): void {
  if (sender instanceof IpcBytesSender && receiver instanceof IpcBytesReceiver) return;
  throw new TypeError(
    `Cannot make a duplex of ${asFound(sender)} and ${
      asFound(receiver)
    }: give an IpcBytesSender and an IpcBytesReceiver`,
  );
}

/** Puts both into a message, with which they move; returns what the other side must know. */
export function packHalves(sender: IpcBytesSender, receiver: IpcBytesReceiver, attachments: Attachments): unknown[] {
  const ofSender = bytesSenderKind.pack(sender, attachments);
  const ofReceiver = bytesReceiverKind.pack(receiver, attachments);
  attachments.moves(() => sender.close(), () => {});
  return [...ofSender, ...ofReceiver];
}

/** Takes both out of a message. */
export function unpackHalves(
  attachments: ReceivedAttachments,
  first: unknown,
  details: readonly unknown[],
): [IpcBytesSender, IpcBytesReceiver] {
  const sender = bytesSenderFrom(claimSender(attachments, first, details));
  const shape = senderShape(details);
  try {
    const arrival = claimReceiver(attachments, (first as number) + shape.fds, details.slice(shape.details));
    return [sender, bytesReceiverFrom(arrival)];
  } catch (error) {
    sender.close();
    throw error;
  }
}
