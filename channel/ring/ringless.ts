// A channel without a ring yet: what goes through its sockets.
//
// A channel that is made to be sent away, as one for the answer to a request, often carries one small message. A ring costs
// several times what that needs: so it begins as a pair of sockets that keep packets apart. The sender's end travels,
// as one descriptor; the first small message goes through it. A ring is made when there is more to send, or when anything
// else is asked of either end: by the one who needs it, who sends the other its end of that.
//
// The sender's socket has one holder at any time: its maker closes it when it is on its way, and who holds it makes the
// ring before passing it on. So a sender's messages stay in order, and there is one ring at most.
//
// ```text
// 0 kind (4) · 4 zero (4) · 8 posted (4) · 12 bytes, or descriptors (4) · 16 body, of a post
// ```
import { packetBuffer } from "../../ffi/socket/socket_message.ts";
import { PACKET } from "./carrier.ts";
import { HANDLE_FDS } from "./handle.ts";

// Beside the kinds of packets in `carrier.ts`.

/** To the receiver: the first message. */
export const KIND_POST = 5;
/** To the receiver: both ends of the ring that the sender has made, the receiver's first; posted: whether that begins with the post. */
export const KIND_GROW = 6;
/** To the sender: the ringing end of the doorbell that the receiver waits for. */
export const KIND_BELL = 7;
/** To the sender: its end of the ring that the receiver has made. */
export const KIND_RING = 8;

/** Descriptors beside each of these. */
export const GROW_FDS = 2 * HANDLE_FDS, BELL_FDS = 1, RING_FDS = HANDLE_FDS;

/** Bytes of a message that is posted, at most. */
export const MOST_POSTED = 1024;

/** The packet that is being sent or was just received, its fields, and the same eight bytes at a time. */
export const packet: Uint8Array<ArrayBuffer> = packetBuffer(PACKET + MOST_POSTED);
export const fields: DataView<ArrayBuffer> = new DataView(packet.buffer);
export const longs: BigInt64Array<ArrayBuffer> = new BigInt64Array(packet.buffer);

/** Writes the header of a packet. */
export function writeHeader(kind: number, posted: number, count: number): void {
  fields.setInt32(0, kind, true);
  fields.setInt32(4, 0, true);
  fields.setInt32(8, posted, true);
  fields.setInt32(12, count, true);
}
