// The receiving end of the socket that carries descriptors: finds those of a record, keeps what came early.
import { privateEnd } from "../../ffi/event/doorbell.ts";
import { IpcError } from "../../base/error.ts";
import type { IpcFd } from "../../ffi/file/fd.ts";
import { closeAllForeign } from "../../ffi/file/foreign_fd.ts";
import { descriptorLimit } from "../../ffi/file/resources.ts";
import {
  ensureRoomForFds,
  isPeerGone,
  isTableFull,
  MAX_FDS_PER_MESSAGE,
  messageError,
  peekBytes,
  type ReceivedMessage,
  receiveMessage,
  receiveWhole,
  wouldWait,
} from "../../ffi/socket/socket_message.ts";
import {
  closeAll,
  fields,
  KIND_BUNDLE,
  KIND_MESSAGE,
  KIND_SPACE_BELL,
  MAX_DESCRIPTORS,
  PACKET,
  packet,
} from "./carrier.ts";
import type { Arrived, DescriptorSource } from "./descriptor_source.ts";

/** Packets read in one call: a peer may send them all the time. */
const MOST_PACKETS = 512;
/** The same where somebody else's message was just received. */
const MOST_PACKETS_FOR_BELLS = 32;
/** Space bells that a receiver keeps. Senders whose bell is dropped look for room by the clock. */
const MOST_BELLS = 256;

/** What was read, if it is not the descriptors of a message. */
const BELL = "bell", NOTHING = "nothing";

/**
 * Descriptors that may wait for their records in one channel: part of what this process may have, so that a peer cannot
 * take all of them. What is beyond stays in the socket.
 */
function mostEarly(): number {
  return Math.max(2 * MAX_FDS_PER_MESSAGE, Math.floor(descriptorLimit().soft / 4));
}

/** The receiving end: finds the descriptors of a record, keeps what came early, closes what nobody will claim. */
export class DescriptorQueue implements DescriptorSource {
  readonly #socket: IpcFd;
  /** By slot, each in the order of their counters. */
  readonly #arrived = new Map<number, Arrived[]>();
  /** Descriptors in there. */
  #held = 0;
  readonly #spaceBells: IpcFd[] = [];
  /** What was wrong with a packet that was read while nobody could be told. */
  #problem: unknown;

  /** Whether nobody else can have the receiving end. */
  #alone: boolean;

  /**
   * Takes ownership of the receiving end of the socket.
   *
   * @param alone Whether it was made here, and given to nobody.
   */
  constructor(socket: IpcFd, alone: boolean) {
    this.#socket = socket;
    this.#alone = alone;
  }

  /** The receiving end goes to others, perhaps: it may be that they get it, and that it stays here. */
  shared(): void {
    this.#alone = false;
  }

  /** The socket, still owned by the queue. */
  get socket(): IpcFd {
    return this.#socket;
  }

  /**
   * The pipes to ring when room is made, those that just arrived among them. Broken ones are the caller's to drop.
   *
   * What cannot be read now stays where it is, and a malformed packet is reported with the next message that has
   * descriptors: this is called after a message was received, which must not be lost.
   */
  spaceBells(): IpcFd[] {
    try {
      this.#read(MOST_PACKETS_FOR_BELLS);
    } catch (error) {
      if (!isTableFull(error)) this.#problem = error;
    }
    return this.#spaceBells;
  }

  /**
   * Takes the descriptors of a record. They are not watched (see `unwatchedFd()`): the caller closes them.
   *
   * @throws {IpcError} `Corrupt` if they are not there: a sender sends them before it commits. `System` if this process has
   * no room for them: nothing is lost then.
   */
  take(slot: number, counter: number, count: number): IpcFd[] {
    for (let packets = 0;; packets++) {
      const found = this.#find(slot, counter);
      if (found !== undefined) return this.#unpack(found, count);
      if (packets >= MOST_PACKETS || (packets > 1 && this.#held > 2 * mostEarly())) {
        throw damaged(`${this.#held} descriptors of other messages came ahead of its own`);
      }
      const read = this.#readPacket();
      if (read === NOTHING) {
        const problem = this.#problem;
        this.#problem = undefined;
        throw problem ?? damaged(`its ${count} descriptors did not come with it`);
      }
      if (read === BELL) continue;
      // As nearly always: its own come next, and nothing is kept.
      if (this.#held === 0 && read.slot === slot && read.counter === counter) return this.#unpack(read, count);
      this.#push(read);
    }
  }

  /** Puts back what {@linkcode take} returned: its record stays the next one. */
  putBack(arrived: Arrived): void {
    const queue = this.#arrived.get(arrived.slot);
    if (queue === undefined) this.#arrived.set(arrived.slot, [arrived]);
    else queue.unshift(arrived);
    this.#held += arrived.fds.length;
  }

  /** Reads what is there. `false` if there may be more, as this process may have no room for it; nothing is lost then. */
  readAll(): boolean {
    try {
      return this.#read(MOST_PACKETS);
    } catch (error) {
      if (isTableFull(error)) return false;
      this.#problem = error;
      return true;
    }
  }

  /** Closes what was read and not taken. */
  closeArrived(): void {
    for (const { fds } of this.surrender()) closeAllForeign(fds);
  }

  /** What arrived early, to be handed to the next receiver with the channel. Empties the queue. */
  surrender(): Arrived[] {
    const all = [...this.#arrived.values()].flat();
    this.#arrived.clear();
    this.#held = 0;
    return all;
  }

  /** Takes over what {@linkcode surrender} handed on. */
  adopt(arrived: readonly Arrived[]): void {
    for (const item of arrived) this.#push(item);
  }

  /** Closes everything. */
  close(): void {
    this.closeArrived();
    closeAll(this.#spaceBells.splice(0));
    this.#socket.close();
  }

  #push(item: Arrived): void {
    const queue = this.#arrived.get(item.slot);
    if (queue === undefined) this.#arrived.set(item.slot, [item]);
    else queue.push(item);
    this.#held += item.fds.length;
  }

  #find(slot: number, counter: number): Arrived | undefined {
    const queue = this.#arrived.get(slot);
    if (queue === undefined) return undefined;
    const only = queue[0]!;
    if (queue.length === 1 && only.counter === counter) { // as it is nearly always
      this.#arrived.delete(slot);
      this.#held -= only.fds.length;
      return only;
    }
    let old = 0;
    while (old < queue.length && ((queue[old]!.counter - counter) | 0) < 0) old++; // a slot's packets come in order
    const found = queue[old]?.counter === counter ? queue[old] : undefined;
    // Older ones are of records that never came: their sender died before the commit.
    for (const item of queue.splice(0, found === undefined ? old : old + 1)) {
      this.#held -= item.fds.length;
      if (item !== found) closeAllForeign(item.fds);
    }
    if (queue.length === 0) this.#arrived.delete(slot);
    return found;
  }

  #unpack(found: Arrived, count: number): IpcFd[] {
    const { slot, counter, bundled } = found;
    const fds = found.fds;
    if (bundled !== undefined) {
      const bundle = fds.pop()!;
      try {
        const { soft } = descriptorLimit();
        if (bundled >= soft) {
          throw new IpcError(
            "TooLarge",
            `Cannot receive a message with ${bundled} descriptors: this process may have ${soft}, see \`ulimit -n\``,
          );
        }
        unbundle(bundle, fds, bundled);
      } catch (error) {
        if (isTableFull(error)) {
          fds.push(bundle);
          this.putBack({ slot, counter, fds, bundled }); // for another try
        } else closeAllForeign([...fds, bundle]);
        throw error;
      }
      bundle.close();
    }
    if (fds.length === count) return fds;
    closeAllForeign(fds);
    throw damaged(`${fds.length} descriptors came with it, it claims ${count}`);
  }

  /** Reads so many packets at most; `false` if there may be more. */
  #read(most: number): boolean {
    const room = mostEarly();
    for (let i = 0; i < most && this.#held < room; i++) {
      const read = this.#readPacket();
      if (read === NOTHING) return true;
      if (read !== BELL) this.#push(read);
    }
    return false;
  }

  /**
   * Reads one packet, if one is there. A bell is kept; the descriptors of a message are the caller's.
   *
   * @throws {IpcError} `System` if this process has no room for its descriptors: it was not read then. `Corrupt`.
   */
  #readPacket(): Arrived | typeof BELL | typeof NOTHING {
    const received = this.#receive();
    if (typeof received === "number") {
      if (received === 0 || wouldWait(received) || isPeerGone(received)) return NOTHING; // 0: no sender is left
      throw messageError("Cannot receive descriptors", received, "recvmsg");
    }
    const { length, fds } = received;
    if (length === 0) return NOTHING; // the same
    const kind = fields.getInt32(0, true), slot = fields.getInt32(4, true), counter = fields.getInt32(8, true);
    const count = fields.getInt32(12, true);
    if (length === PACKET && kind === KIND_SPACE_BELL && fds.length === 1) {
      this.#addBell(fds[0]!);
      return BELL;
    }
    if (length === PACKET && kind === KIND_MESSAGE && count > 0 && fds.length === count) return { slot, counter, fds };
    if (length === PACKET && kind === KIND_BUNDLE && fds.length === 1 && count > 0 && count <= MAX_DESCRIPTORS) {
      return { slot, counter, fds, bundled: count };
    }
    closeAllForeign(fds);
    throw new IpcError("Corrupt", "Cannot receive descriptors: a peer sent a malformed packet");
  }

  /** One packet, as {@linkcode receiveMessage} returns it; it stays where it is if this process has no room. */
  #receive(): ReceivedMessage | number {
    const socket = this.#socket.fd;
    if (this.#alone) {
      try {
        return receiveWhole(socket, packet);
      } catch (error) {
        if (!isTableFull(error)) throw error;
      }
    }
    // A look at it first: descriptors that do not fit into the table would be lost. One more is for a bell's new open file.
    const there = peekBytes(socket, packet);
    if (there <= 0) return there;
    const claimed = fields.getInt32(0, true) === KIND_BUNDLE ? 1 : fields.getInt32(12, true);
    const most = claimed >= 0 && claimed <= MAX_FDS_PER_MESSAGE ? claimed : MAX_FDS_PER_MESSAGE;
    ensureRoomForFds(socket, most + 1, `Cannot receive ${most} descriptors`);
    return receiveMessage(socket, packet, MAX_FDS_PER_MESSAGE, false);
  }

  #addBell(fd: IpcFd): void {
    const bells = this.#spaceBells;
    // The oldest: its sender learns of it, and gives another, if it still waits.
    if (bells.length >= MOST_BELLS) bells.shift()!.close();
    bells.push(privateEnd(fd, "ring"));
  }
}

/** Takes the rest of a bundle's descriptors out of its socket. */
function unbundle(bundle: IpcFd, fds: IpcFd[], count: number): void {
  while (fds.length < count) {
    const expected = Math.min(count - fds.length, MAX_FDS_PER_MESSAGE); // all but the last are full
    ensureRoomForFds(bundle.fd, expected + 1, `Cannot receive a message with ${count} descriptors`);
    const received = receiveMessage(bundle.fd, packet, MAX_FDS_PER_MESSAGE, false);
    if (typeof received === "number") return; // the caller compares their number
    fds.push(...received.fds);
    if (received.length !== PACKET || received.fds.length !== expected) return;
  }
}

function damaged(what: string): IpcError {
  return new IpcError("Corrupt", `Cannot receive a message: ${what}`);
}
