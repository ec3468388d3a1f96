// The stream socket beside a ring that carries descriptors. What goes through it is a fixed packet:
//
// ```text
// 0 kind (4) · 4 slot (4) · 8 counter (4) · 12 descriptors of the message (4)        with the descriptors beside it
// ```
//
// A stream, not SOCK_SEQPACKET, although packets are what is sent: Linux queues at most `net.unix.max_dgram_qlen` + 1
// packets there, 11 where nobody raised it, and some 270 here. A packet is a single write of a few bytes, which Linux
// never splits, and its descriptors mark its end.
import { privateEnd } from "../ffi/doorbell.ts";
import { IpcError } from "../ffi/error.ts";
import type { IpcFd } from "../ffi/fd.ts";
import { systemError } from "../ffi/libc.ts";
import { EAGAIN, ECONNRESET, EPIPE, ETOOMANYREFS, O_WRONLY } from "../ffi/platform.ts";
import { ensureRoomForFds, MAX_FDS_PER_MESSAGE, receiveMessage, sendMessage } from "../ffi/socket_message.ts";
import { socketPair } from "../ffi/unix_socket.ts";

const PACKET = 16;
/** The descriptors of a message. */
const KIND_MESSAGE = 1;
/** The write end of a pipe that a sender wants rung when there is room again. */
const KIND_SPACE_BELL = 2;
/** The descriptors of a message with more than fit in a packet: a socket that holds them, in packets of its own. */
const KIND_BUNDLE = 3;

/** More than this in one message is refused: no process may have as many. */
export const MAX_DESCRIPTORS = 1 << 16;

const packet = new Uint8Array(128).subarray(0, PACKET);
const fields = new DataView(packet.buffer);

function writePacket(kind: number, slot: number, counter: number, count: number): void {
  fields.setInt32(0, kind, true);
  fields.setInt32(4, slot, true);
  fields.setInt32(8, counter, true);
  fields.setInt32(12, count, true);
}

/** Sends one packet; `false` if the queue is full, or for an error that the caller can do without. */
function sendPacket(socket: number, fds: readonly number[], unless = EAGAIN): boolean {
  const sent = sendMessage(socket, packet, fds);
  if (sent >= 0) return true;
  if (sent === -EAGAIN || sent === -unless) return false;
  if (sent === -EPIPE || sent === -ECONNRESET) {
    throw new IpcError("Disconnected", "Cannot send: the receiver is gone", { errno: -sent, syscall: "sendmsg" });
  }
  throw systemError(`Cannot send a message with ${fds.length} descriptors`, "sendmsg", -sent);
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
 * Registers the write end of a pipe with the receiver, to be rung when there is room.
 *
 * @returns `false` if the queue is full, or as many descriptors of this user are in flight as may be: whoever sends data
 * alone must not fail because others send descriptors.
 */
export function sendSpaceBell(socket: number, bell: number): boolean {
  writePacket(KIND_SPACE_BELL, 0, 0, 1);
  return sendPacket(socket, [bell], ETOOMANYREFS);
}

/** Descriptors that came ahead of their record; not watched, as the queue is. */
export interface Arrived {
  readonly slot: number;
  readonly counter: number;
  readonly fds: IpcFd[];
}

/** What a ring's receiver needs of the other side of the descriptors: see {@linkcode DescriptorQueue}. */
export interface DescriptorSource {
  readonly socket: IpcFd;
  spaceBells(): IpcFd[];
  take(slot: number, counter: number, count: number): IpcFd[];
  readAll(): boolean;
  closeArrived(): void;
  surrender(): readonly Arrived[];
  adopt(arrived: readonly Arrived[]): void;
  close(): void;
}

/** Of a named ring: no descriptors, and one bell for all who wait for room. */
export class NoDescriptors implements DescriptorSource {
  /** The FIFO that wakes senders; owned by the ring's file. */
  readonly socket: IpcFd;

  constructor(room: IpcFd) {
    this.socket = room;
  }

  spaceBells(): IpcFd[] {
    return [this.socket];
  }

  take(_slot: number, _counter: number, count: number): IpcFd[] {
    throw new IpcError("Corrupt", `Cannot receive a message: it claims ${count} descriptors, on a channel without any`);
  }

  readAll(): boolean {
    return true;
  }

  closeArrived(): void {}

  surrender(): readonly Arrived[] {
    return [];
  }

  adopt(): void {}

  close(): void {}
}

/** The receiving end: finds the descriptors of a record, keeps what came early, closes what nobody will claim. */
export class DescriptorQueue implements DescriptorSource {
  readonly #socket: IpcFd;
  readonly #arrived: Arrived[] = [];
  readonly #spaceBells: IpcFd[] = [];

  /** Takes ownership of the receiving end of the socket. */
  constructor(socket: IpcFd) {
    this.#socket = socket;
  }

  /** The socket, still owned by the queue. */
  get socket(): IpcFd {
    return this.#socket;
  }

  /** The pipes to ring when room is made, those that just arrived among them. Broken ones are the caller's to drop. */
  spaceBells(): IpcFd[] {
    while (this.#readPacket());
    return this.#spaceBells;
  }

  /**
   * Takes the descriptors of a record. They are not watched (see {@linkcode IpcFd.watch}): the caller closes them.
   *
   * @throws {IpcError} `Corrupt` if they are not there: a sender sends them before it commits.
   */
  take(slot: number, counter: number, count: number): IpcFd[] {
    // Where the table is full nothing is lost: not read, not gone. For no more than a packet holds, as a peer may claim
    // any number.
    const room = Math.min(count, MAX_FDS_PER_MESSAGE) + 1;
    ensureRoomForFds(this.#socket.fd, room, `Cannot receive a message with ${count} descriptors`);
    for (;;) {
      const found = this.#find(slot, counter);
      if (found !== undefined) {
        if (found.fds.length === count) return found.fds;
        closeAll(found.fds);
        throw new IpcError(
          "Corrupt",
          `Cannot receive a message: ${found.fds.length} descriptors came with it, it claims ${count}`,
        );
      }
      if (!this.#readPacket()) {
        throw new IpcError("Corrupt", `Cannot receive a message: its ${count} descriptors did not come with it`);
      }
    }
  }

  /** Reads everything that is there. `false` if this process may have no room for it; nothing is lost then. */
  readAll(): boolean {
    for (;;) {
      try {
        ensureRoomForFds(this.#socket.fd, MAX_FDS_PER_MESSAGE + 1, "Cannot receive descriptors");
      } catch {
        return false;
      }
      if (!this.#readPacket()) return true;
    }
  }

  /** Closes what was read and not taken. */
  closeArrived(): void {
    for (const { fds } of this.#arrived.splice(0)) closeAll(fds);
  }

  /** What arrived early, to be handed to the next receiver with the channel. Empties the queue. */
  surrender(): Arrived[] {
    return this.#arrived.splice(0);
  }

  /** Takes over what {@linkcode surrender} handed on. */
  adopt(arrived: readonly Arrived[]): void {
    this.#arrived.push(...arrived);
  }

  /** Closes everything. */
  close(): void {
    this.closeArrived();
    closeAll(this.#spaceBells.splice(0));
    this.#socket.close();
  }

  #find(slot: number, counter: number): Arrived | undefined {
    for (let i = 0; i < this.#arrived.length;) {
      const item = this.#arrived[i]!;
      if (item.slot !== slot) {
        i++;
        continue;
      }
      const age = (item.counter - counter) | 0;
      if (age > 0) break; // a slot's packets come in order
      this.#arrived.splice(i, 1);
      if (age === 0) return item;
      closeAll(item.fds); // of a record that never came: its sender died before the commit
    }
    return undefined;
  }

  /** Reads one packet, if one is there. */
  #readPacket(): boolean {
    const received = receiveMessage(this.#socket.fd, packet, MAX_FDS_PER_MESSAGE, false);
    if (typeof received === "number") {
      if (received === -EAGAIN || received === -ECONNRESET) return false;
      throw systemError("Cannot receive descriptors", "recvmsg", -received);
    }
    const { length, fds } = received;
    if (length === 0) return false; // no sender is left
    const kind = fields.getInt32(0, true), slot = fields.getInt32(4, true), counter = fields.getInt32(8, true);
    const count = fields.getInt32(12, true);
    if (length === PACKET && kind === KIND_SPACE_BELL && fds.length === 1) {
      this.#spaceBells.push(privateEnd(fds[0]!, O_WRONLY));
    } else if (length === PACKET && kind === KIND_MESSAGE && fds.length === count) {
      this.#arrived.push({ slot, counter, fds });
    } else if (length === PACKET && kind === KIND_BUNDLE && fds.length === 1) {
      this.#arrived.push({ slot, counter, fds: unbundle(fds[0]!, count) });
    } else {
      closeAll(fds);
      throw new IpcError("Corrupt", "Cannot receive descriptors: a peer sent a packet that is none");
    }
    return true;
  }
}

function unbundle(bundle: IpcFd, count: number): IpcFd[] {
  const all: IpcFd[] = [];
  try {
    while (all.length < count) {
      const received = receiveMessage(bundle.fd, packet, MAX_FDS_PER_MESSAGE, false);
      if (typeof received === "number" || received.length !== PACKET || received.fds.length === 0) break;
      all.push(...received.fds);
    }
    return all; // the caller compares their number
  } catch (error) {
    closeAll(all);
    throw error;
  } finally {
    bundle.close();
  }
}

/** Closes every descriptor of a list. */
export function closeAll(fds: readonly IpcFd[]): void {
  for (const fd of fds) fd.close();
}
