// The stream socket beside a ring that carries descriptors. What goes through it is a fixed packet:
//
// ```text
// 0 kind (4) · 4 slot (4) · 8 counter (4) · 12 descriptors of the message (4)        with the descriptors beside it
// ```
//
// A stream, not SOCK_SEQPACKET, although packets are what is sent: Linux queues at most `net.unix.max_dgram_qlen` + 1
// packets there, 11 where nobody raised it, and some 270 here. A packet is a single write of a few bytes, which Linux
// never splits, and its descriptors mark its end.
import { IpcError } from "../../base/error.ts";
import type { IpcFd } from "../../ffi/file/fd.ts";
import {
  failureOf,
  isPeerGone,
  isTooManyInFlight,
  MAX_FDS_PER_MESSAGE,
  messageError,
  packetBuffer,
  sendMessage,
  wouldWait,
} from "../../ffi/socket/socket_message.ts";
import { socketPair } from "../../ffi/socket/new_socket.ts";

/** Bytes of a packet. */
export const PACKET = 16;
/** The descriptors of a message. */
export const KIND_MESSAGE = 1;
/** The ringing end of a doorbell that a sender wants rung when there is room again. */
export const KIND_SPACE_BELL = 2;
/** The descriptors of a message with more than fit in a packet: a socket that holds them, in packets of its own. */
export const KIND_BUNDLE = 3;

/** More than this in one message is refused: no process may have as many. */
export const MAX_DESCRIPTORS = 1 << 16;

/** The packet that is being sent or was just received, and its fields. */
export const packet: Uint8Array<ArrayBuffer> = packetBuffer(PACKET);
export const fields: DataView<ArrayBuffer> = new DataView(packet.buffer);

function writePacket(kind: number, slot: number, counter: number, count: number): void {
  fields.setInt32(0, kind, true);
  fields.setInt32(4, slot, true);
  fields.setInt32(8, counter, true);
  fields.setInt32(12, count, true);
}

/**
 * Sends one packet.
 *
 * @param spare Whether the caller can do without it where too many descriptors are in flight.
 * @returns `false` if nothing was sent: the queue is full.
 */
function sendPacket(socket: number, fds: readonly number[], spare = false): boolean {
  const sent = sendMessage(socket, packet, fds);
  if (sent >= 0) return true;
  if (wouldWait(sent) || (spare && isTooManyInFlight(sent))) return false;
  if (isPeerGone(sent)) {
    throw new IpcError("Disconnected", "Cannot send: the receiver is gone", failureOf(sent, "sendmsg"));
  }
  throw messageError(`Cannot send a message with ${fds.length} descriptors`, sent, "sendmsg");
}

/**
 * Sends the descriptors of a message, before its record is committed.
 *
 * @returns `false` if the queue is full; nothing was sent then.
 */
export function sendDescriptors(socket: number, slot: number, counter: number, fds: readonly number[]): boolean {
  if (fds.length <= MAX_FDS_PER_MESSAGE) {
    writePacket(KIND_MESSAGE, slot, counter, fds.length);
    return sendPacket(socket, fds);
  }
  if (fds.length > MAX_DESCRIPTORS) {
    throw new IpcError(
      "TooLarge",
      `Cannot send ${fds.length} descriptors in one message: the limit is ${MAX_DESCRIPTORS}`,
    );
  }
  // All or nothing, in one packet: what is too many goes into a socket of its own, and that one is sent.
  const [inner, outer] = socketPair("stream");
  try {
    for (let i = 0; i < fds.length; i += MAX_FDS_PER_MESSAGE) {
      const part = fds.slice(i, i + MAX_FDS_PER_MESSAGE);
      writePacket(KIND_MESSAGE, slot, counter, part.length);
      if (!sendPacket(inner.fd, part)) {
        throw new IpcError(
          "TooLarge",
          `Cannot send ${fds.length} descriptors in one message: a socket holds only ${i}`,
        );
      }
    }
    writePacket(KIND_BUNDLE, slot, counter, fds.length);
    return sendPacket(socket, [outer.fd]);
  } finally {
    inner.close();
    outer.close();
  }
}

/**
 * Registers the ringing end of a doorbell with the receiver, to be rung when there is room.
 *
 * @returns `false` if the queue is full, or as many descriptors of this user are in flight as may be: those who send data
 * alone must not fail because others send descriptors.
 */
export function sendSpaceBell(socket: number, bell: number): boolean {
  writePacket(KIND_SPACE_BELL, 0, 0, 1);
  return sendPacket(socket, [bell], true);
}

/** Closes every descriptor of a list. */
export function closeAll(fds: readonly IpcFd[]): void {
  for (const fd of fds) fd.close();
}
