// A sender that is sent again and again travels as one descriptor instead of three: its socket, in whose queue the other
// two lie, for everybody to copy (MSG_PEEK) and nobody to take. Handing descriptors over is most of what sending an
// endpoint costs (0.8 µs each, with closing it), and many are closed, or sent on, without being used.
//
// Only the receiver's end of the socket can put something into that queue, so it is done by an isolate that has both
// ends: the one that made the channel, from the second time on that the sender is sent. The first time three descriptors
// are cheaper. Who gets a packed sender sends it on as it is.
//
// The price: what lies in a queue counts as "in flight", of which Linux lets a user have as many as a process may have
// descriptors, in all processes together. So an isolate packs only so many senders at a time.
import { IpcError } from "../../base/error.ts";
import type { IpcFd } from "../../ffi/file/fd.ts";
import { closeAllForeign, closeForeign } from "../../ffi/file/foreign_fd.ts";
import { isHungUp } from "../../ffi/event/readable.ts";
import {
  isTableFull,
  packetBuffer,
  type ReceivedMessage,
  receiveMessage,
  sendMessage,
} from "../../ffi/socket/socket_message.ts";
import type { Handle } from "./handle.ts";

/** Senders that an isolate packs at a time: 128 descriptors in flight, an eighth of the usual limit. */
const MOST_PACKED = 64;

const PACKET = 16;
/** Beside the kinds of packets in `carrier.ts`, although it goes the other way. */
const KIND_PACKED = 4;
/** The memory file and the doorbell. */
const PACKED_FDS = 2;

const packet = packetBuffer(PACKET);
const fields = new DataView(packet.buffer);

/** Both ends of a socket that was packed here; each is somebody else's, and may be closed or elsewhere by now. */
interface PackedHere {
  readonly receiver: IpcFd;
  readonly sender: IpcFd;
}

/** Those that anybody may still have, in whatever process. */
let packedHere: PackedHere[] = [];

/** Where there are enough: how many are refused before the next look whether some are gone, at a system call each. */
const REFUSALS_PER_LOOK = MOST_PACKED;
let refusalsLeft = 0;

/** The sending end of a channel as one descriptor. */
export class PackedSender {
  readonly socket: IpcFd;

  /** @param socket The sender's socket; it belongs to the one who makes this object. */
  constructor(socket: IpcFd) {
    this.socket = socket;
  }

  /**
   * Its three descriptors.
   *
   * @throws {IpcError} `Corrupt` if it is something else, and closed then; `System` if this process has no room for the descriptors:
   * nothing is lost then.
   */
  unpack(): Handle {
    let received: ReceivedMessage | number;
    try {
      received = receiveMessage(this.socket.fd, packet, PACKED_FDS, false, true);
    } catch (error) {
      if (!isTableFull(error)) closeForeign(this.socket);
      throw error;
    }
    if (typeof received !== "number") {
      const { length, fds } = received;
      if (length === PACKET && fields.getInt32(0, true) === KIND_PACKED && fds.length === PACKED_FDS) {
        return { memory: fds[0]!, bell: fds[1]!, descriptors: this.socket };
      }
      closeAllForeign(fds);
    }
    closeForeign(this.socket);
    throw new IpcError("Corrupt", "Cannot use the sender that a peer sent: what belongs to it is not in its socket");
  }
}

/**
 * Packs a sender, for its life.
 *
 * @param receiver The receiving end of its socket.
 * @param sender The sending end.
 * @param bell For everybody who will ever unpack it.
 * @returns Whether it is packed: if not, because there are enough of them or too many descriptors in flight, it travels
 * as it is. Call {@linkcode unpacked} once it is closed.
 */
export function packSender(receiver: IpcFd, sender: IpcFd, memory: IpcFd, bell: IpcFd): boolean {
  if (packedHere.length >= MOST_PACKED && !makeRoom()) return false;
  packet.fill(0);
  fields.setInt32(0, KIND_PACKED, true);
  fields.setInt32(12, PACKED_FDS, true);
  if (sendMessage(receiver.fd, packet, [memory.fd, bell.fd]) !== PACKET) return false;
  packedHere.push({ receiver, sender });
  return true;
}

/** A sender that {@linkcode packSender} has packed is closed in this isolate: perhaps the last one. */
export function unpacked(): void {
  refusalsLeft = 0;
}

function makeRoom(): boolean {
  if (refusalsLeft-- > 0) return false;
  packedHere = packedHere.filter(isOut);
  refusalsLeft = REFUSALS_PER_LOOK;
  return packedHere.length < MOST_PACKED;
}

/** Whether the packet is still in flight: until the last sender is closed, which the receiving end learns. */
function isOut({ receiver, sender }: PackedHere): boolean {
  // Where that end is gone from here this isolate's own sender is all it knows of.
  return receiver.closed ? !sender.closed : !isHungUp(receiver.fd);
}
