// The sender of a channel without a ring, as it came in a message: see `ringless.ts`.
import { backgroundTimer } from "../../ffi/event/background_timer.ts";
import { ringAnyBell, sharedEnd } from "../../ffi/event/doorbell.ts";
import { isHungUp } from "../../ffi/event/readable.ts";
import { IpcError } from "../../base/error.ts";
import { step } from "../../base/step_hook.ts";
import type { IpcFd } from "../../ffi/file/fd.ts";
import { closeAllForeign, closeForeign, isPacketSocket } from "../../ffi/file/foreign_fd.ts";
import { hasUnreceived } from "../../ffi/socket/pair_end.ts";
import {
  ensureRoomForFds,
  isPeerGone,
  isReset,
  isTableFull,
  isUnconnected,
  messageError,
  packetBuffer,
  peekBytes,
  type ReceivedMessage,
  receiveMessage,
  sendMessage,
  wasCutOff,
  wouldWait,
} from "../../ffi/socket/socket_message.ts";
import { PACKET } from "./carrier.ts";
import { closeHandle, type Handle, handleFrom } from "./handle.ts";
import { capacityOf } from "./memory.ts";
import type { Payload } from "./payload.ts";
import {
  BELL_FDS,
  GROW_FDS,
  KIND_BELL,
  KIND_GROW,
  KIND_POST,
  KIND_RING,
  longs,
  MOST_POSTED,
  packet,
  RING_FDS,
  writeHeader,
} from "./ringless.ts";

const NO_FDS: readonly number[] = [];

/** Packets that a receiver sends, at most. */
const MOST_REPLIES = 2;

/** Milliseconds until another try to ring, where there was no room for the bell. */
const LATER = 20;

const reply = packetBuffer(PACKET), replyFields = new DataView(reply.buffer);

/** A sender without a ring: it posts one small message, or makes the ring. */
export class RinglessSender {
  readonly socket: IpcFd;
  /** Bytes of the ring that it will have. */
  readonly capacity: number;
  /** A copy of what was posted: it goes into the ring, too, if it is not received until then. */
  #posted: Uint8Array<ArrayBuffer> | undefined;
  /** The receiver's doorbell. */
  #bell: IpcFd | undefined;
  /** The end of a ring that the receiver has made. */
  #ring: Handle | undefined;
  #replies = 0;
  #checked = false;

  /**
   * @param socket The sender's socket; it belongs to this object.
   * @param capacity A power of two, within the limits of rings.
   */
  constructor(socket: IpcFd, capacity: number) {
    this.socket = socket;
    this.capacity = capacity;
  }

  /** Whether a message might be posted. */
  get mayPost(): boolean {
    return this.#posted === undefined && this.#ring === undefined;
  }

  /**
   * Posts a message, if it can be.
   *
   * @param message Without descriptors.
   * @returns `false` if it has to go through a ring; nothing was sent then.
   * @throws {IpcError} `Corrupt` if this is not the sender's end of such a channel; it is closed then. `System` if this process
   * has no room for the receiver's doorbell: nothing was sent.
   */
  post(message: Payload): boolean {
    const { length } = message;
    if (length > MOST_POSTED || !this.mayPost) return false;
    this.#check();
    this.#readReplies(); // now, as want of descriptors is no error of a message that was sent
    if (!this.mayPost) return false;
    message.copyTo(packet, longs, PACKET);
    writeHeader(KIND_POST, 0, length);
    if (sendMessage(this.socket.fd, packet, NO_FDS, PACKET + length) < 0) return false; // a ring tells what is wrong
    this.#posted = packet.slice(PACKET, PACKET + length); // of a small one a copy that costs nothing to speak of
    step("posted");
    this.#ringNow();
    return true;
  }

  /** A copy of the message that was posted, if one was and is not received, as far as can be seen here. */
  get unreceived(): Uint8Array<ArrayBuffer> | undefined {
    return this.#posted !== undefined && hasUnreceived(this.socket) ? this.#posted : undefined;
  }

  /**
   * The end of a ring that the receiver has made, if it has come. It is this object's until {@linkcode leave}.
   *
   * @throws {IpcError} As {@linkcode post}.
   */
  ring(): Handle | undefined {
    this.#check();
    this.#readReplies();
    return this.#ring;
  }

  /**
   * Hands both ends of a new ring over to the receiver, and ends this object if that is done.
   *
   * @param hasPost Whether what was posted is in the ring: if so, the receiver passes over it, should it have received it by then.
   * @param fds The receiver's handle, then one for a sender; they stay the caller's.
   * @returns `gone` if no receiver is left, which is the end of this object, too; `refused` if the receiver has made a ring, and
   * is about to send this end of it.
   * @throws {IpcError} `Corrupt` as {@linkcode post}; `System` if there are too many descriptors in flight.
   */
  handOver(hasPost: boolean, fds: readonly number[]): "done" | "gone" | "refused" {
    writeHeader(KIND_GROW, hasPost ? 1 : 0, GROW_FDS);
    step("growing");
    const sent = sendMessage(this.socket.fd, packet, fds, PACKET);
    if (sent >= 0) {
      step("grown");
      this.#ringNow();
      this.close();
      return "done";
    }
    if (isPeerGone(sent)) {
      if (!this.#isForsaken()) return "refused";
      this.close();
      return "gone";
    }
    if (wouldWait(sent)) throw this.#corrupt("a peer has filled its socket");
    if (isUnconnected(sent)) throw this.#corrupt("it has no other end");
    throw messageError("Cannot send: the ring that a sender needs by now cannot be handed over", sent, "sendmsg");
  }

  /** Whether the receiver is gone, and has left no ring. It may have made one, and gone, a moment ago: so its queue is read last. */
  #isForsaken(): boolean {
    if (!isHungUp(this.socket.fd)) return false;
    try {
      this.#readReplies();
    } catch (error) {
      if (this.socket.closed) throw error;
      return false; // the next look says what is wrong
    }
    return this.#ring === undefined;
  }

  /** What {@linkcode ring} has returned is somebody else's: ends this object. */
  leave(): void {
    this.#ring = undefined;
    this.close();
  }

  /** Rings the doorbell that the receiver waits for, if it does. */
  #ringNow(): void {
    // pair: post/BELL. The packet is sent, then the queue read; a receiver sends its bell, then looks for packets.
    if (this.#bell === undefined && this.#hasReply()) this.#readRepliesLater();
    if (this.#bell !== undefined) ringAnyBell(this.#bell);
  }

  /** A reply came between the look before the packet and the one after it. Without room for its descriptor: until there is some. */
  #readRepliesLater(): void {
    try {
      this.#readReplies();
    } catch {
      if (this.socket.closed) return; // what is wrong with it is told by the next use
      const end = backgroundTimer(() => {
        end();
        if (!this.socket.closed) this.#ringNow();
      }, LATER);
    }
  }

  /** Reads what the receiver has sent. */
  #readReplies(): void {
    while (this.#replies < MOST_REPLIES && this.#hasReply()) {
      // A packet that is read without room for its descriptors is lost.
      ensureRoomForFds(this.socket.fd, RING_FDS + 1, "Cannot use a sender that a peer sent");
      const received = this.#receive();
      if (typeof received === "number") return;
      const { length, fds } = received;
      this.#replies++;
      const kind = length === PACKET && !wasCutOff(received) ? replyFields.getInt32(0, true) : 0;
      if (kind === KIND_BELL && fds.length === BELL_FDS && this.#bell === undefined) {
        this.#bell = this.#bellFrom(fds[0]!);
      } else if (kind === KIND_RING && fds.length === RING_FDS) {
        this.#ring = handleFrom(fds);
        return;
      } else {
        closeAllForeign(fds);
        throw this.#corrupt("a peer sent a malformed packet");
      }
    }
  }

  /** Whether something is to be read; if nobody is there, sending tells. */
  #hasReply(): boolean {
    let length = peekBytes(this.socket.fd, reply);
    // Once, before what lies there: the receiver was closed without having received all.
    if (isReset(length)) length = peekBytes(this.socket.fd, reply);
    return length > 0;
  }

  #receive(): ReceivedMessage | number {
    try {
      return receiveMessage(this.socket.fd, reply, RING_FDS, false);
    } catch (error) {
      if (!isTableFull(error)) this.close(); // more than a receiver sends
      throw error;
    }
  }

  #bellFrom(fd: IpcFd): IpcFd {
    try {
      return sharedEnd(fd);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  #check(): void {
    if (this.#checked) return;
    if (!isPacketSocket(this.socket.fd)) throw this.#corrupt("it is not a socket of packets");
    this.#checked = true;
  }

  #corrupt(what: string): IpcError {
    this.close();
    return new IpcError("Corrupt", `Cannot use the sender that a peer sent: ${what}`);
  }

  /** Closes it: the receiver sees the end, if no ring was made. */
  close(): void {
    if (this.#checked) this.socket.close(); // harmless, as it is known to be a Unix socket
    else closeForeign(this.socket);
    this.#bell?.close(); // now, as that wakes the receiver, who is to see the end
    this.#bell = undefined;
    if (this.#ring !== undefined) closeHandle(this.#ring);
    this.#ring = undefined;
  }
}

/** Whether that is the capacity of a ring. */
export function isCapacity(bytes: unknown): bytes is number {
  if (typeof bytes !== "number" || !Number.isInteger(bytes) || bytes < 1) return false;
  try {
    return capacityOf(bytes) === bytes;
  } catch {
    return false;
  }
}
