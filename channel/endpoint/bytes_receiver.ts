// The byte receiver: messages as they are, without a decoding.
import { asFound } from "../../base/arguments.ts";
import { IpcError } from "../../base/error.ts";
import { afterOthers } from "../../base/event_loop.ts";
import type { SyncWaitOptions, WaitOptions } from "../../base/wait.ts";
import { type Borrowed, BorrowedMessage } from "../message/borrowed.ts";
import { copyOut } from "../message/byte_pool.ts";
import { claimReceiver, ReceiverBase } from "./receiver_base.ts";
import { closeAll } from "../ring/carrier.ts";
import { ReadAhead } from "../message/read_ahead.ts";
import { claimedLength, openExtended } from "../message/record.ts";
import { type NamedChannelOptions, openRingFile } from "../named/file.ts";
import { RingConsumer } from "../ring/consumer.ts";
import { type Attachments, type Kind, onArrival, PACK } from "../message/attachments.ts";

/**
 * Receives byte strings from {@linkcode IpcBytesSender}s.
 *
 * @example Receiving raw bytes
 * ```ts
 * import { bytesChannel } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const [sender, receiver] = bytesChannel();
 * sender.sendSync(new Uint8Array(100_000)); // any size; what is larger than the ring goes around it
 * assertEquals((await receiver.recv()).length, 100_000);
 * sender.close(), receiver.close();
 * ```
 */
export class IpcBytesReceiver extends ReceiverBase<Uint8Array<ArrayBuffer>> {
  readonly #ahead = new ReadAhead();

  /**
   * Receives from a named channel, which is made if there is none. A receiver that is started again, after it was closed
   * or killed, goes on with the next message. Closing it removes the channel's files if everything was received and no
   * sender is attached.
   *
   * @param path Where the channel's file is, or is to be; best in a folder that is memory, such as `/dev/shm`. Two FIFOs
   * lie beside it, with `.bell` and `.room` appended.
   * @param options Whose channel is used; capacity and permission bits, for one that does not exist yet.
   * @returns The receiver.
   * @throws {IpcError} `AlreadyExists` if the channel has a living receiver, `Incompatible` if the path is something
   * else, `NotFound` if its folder does not exist, `Permission` if another user has made it, or others may write to it, who
   * are not trusted; `System` if there is no room for it.
   * @throws {TypeError} If the path is none, or the name of a server (`@name`).
   * @throws {RangeError} If the capacity or the mode cannot be used.
   */
  static create(path: string, options: NamedChannelOptions = {}): IpcBytesReceiver {
    return new IpcBytesReceiver(RingConsumer.open(openRingFile(path, options)));
  }

  /**
   * Waits for the next message and copies it into memory of the caller's: the fastest way to receive a copy of 1 KiB or
   * more, as no memory is allocated for it.
   *
   * @param target Where the message goes, at the beginning.
   * @param options How long to wait at most, and a signal that ends the wait.
   * @returns Bytes of the message.
   * @throws {IpcError} As {@linkcode recv}; `TooLarge` if the message is longer than `target`: it stays the next one.
   */
  recvInto(target: Uint8Array, options?: WaitOptions): Promise<number> {
    try {
      checkTarget(target);
    } catch (error) {
      return afterOthers(Promise.reject(error));
    }
    return this.receive((ring) => this.#into(ring as RingConsumer, target), options);
  }

  /**
   * The blocking twin of {@linkcode recvInto}.
   *
   * @param target Where the message goes, at the beginning.
   * @param options How long to wait at most.
   * @returns Bytes of the message.
   * @throws {IpcError} As {@linkcode recvInto}.
   */
  recvIntoSync(target: Uint8Array, options?: SyncWaitOptions): number {
    checkTarget(target);
    return this.receiveSync((ring) => this.#into(ring as RingConsumer, target), options);
  }

  #into(ring: RingConsumer, target: Uint8Array): number {
    this.#ahead.pass();
    return copyInto(ring, target);
  }

  /** @ignore */
  protected override take(from: unknown): Uint8Array<ArrayBuffer> {
    const ring = from as RingConsumer;
    if (ring.extended) {
      this.#ahead.pass();
      return outOfLine(ring);
    }
    const bytes = this.#ahead.take(ring) ?? copyOut(ring.memory.data, ring.memory.dataLongs, ring.offset, ring.length);
    ring.release();
    return bytes;
  }

  /** @ignore */
  protected override lend(from: unknown): Borrowed<Uint8Array<ArrayBuffer>> {
    const ring = from as RingConsumer;
    this.#ahead.pass();
    if (ring.extended) {
      const bytes = outOfLine(ring);
      return new BorrowedMessage(bytes, () => bytes.length > 0 && void bytes.buffer.transfer(0));
    }
    const loan = ring.lend(0);
    return new BorrowedMessage(loan.bytes, () => ring.giveBack(loan));
  }

  /** @ignore */
  [PACK](attachments: Attachments): [Kind, ...unknown[]] {
    return ["bytes-receiver", ...this.pack(attachments)];
  }
}

function checkTarget(target: Uint8Array): void {
  if (!(target instanceof Uint8Array)) {
    throw new TypeError(`Cannot receive into ${asFound(target)}: give a Uint8Array`);
  }
}

/** Copies the message that the ring has found, and releases it; one that is too long stays. */
function copyInto(ring: RingConsumer, target: Uint8Array): number {
  const length = ring.extended ? claimedLength(ring) : ring.length;
  if (length > target.length) throw tooLong(length, target.length);
  if (ring.extended) {
    const bytes = outOfLine(ring).subarray(0, target.length);
    target.set(bytes);
    return bytes.length;
  }
  target.set(ring.memory.data.subarray(ring.offset, ring.offset + length));
  ring.release();
  return length;
}

function tooLong(length: number, room: number): IpcError {
  return new IpcError(
    "TooLarge",
    `Cannot receive a message of ${length} bytes into ${room}: it stays the next one; give more room, or use recv()`,
  );
}

/** The body of a message that was too large for the ring. */
function outOfLine(ring: RingConsumer): Uint8Array<ArrayBuffer> {
  const { body, fds } = openExtended(ring);
  ring.release();
  if (body !== undefined && fds.length === 0) return body;
  closeAll(fds);
  throw new IpcError("Serialization", "Cannot receive a message as bytes: it is a typed one, with endpoints in it");
}

onArrival(
  "bytes-receiver",
  (attachments, first, details) => new IpcBytesReceiver(claimReceiver(attachments, first, details)),
);
