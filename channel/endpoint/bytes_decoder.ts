// Messages as they are, without a decoding.
import { IpcError } from "../../base/error.ts";
import { type Borrowed, BorrowedMessage, BorrowedRecord } from "../message/borrowed.ts";
import { type BatchLender, type BorrowedBatch, RingBatch, SingleBatch } from "../message/borrowed_batch.ts";
import { copyOut } from "../message/byte_pool.ts";
import { ReadAhead } from "../message/read_ahead.ts";
import { claimedLength, openExtended } from "../message/record.ts";
import { closeAll } from "../ring/carrier.ts";
import type { RingConsumer } from "../ring/consumer.ts";
import type { Decoder } from "./decoder.ts";

/** The decoder of one receiver of bytes: it reads ahead. */
export class BytesDecoder implements Decoder<Uint8Array<ArrayBuffer>> {
  readonly #ahead = new ReadAhead();

  take(ring: RingConsumer): Uint8Array<ArrayBuffer> {
    if (ring.extended) {
      this.#ahead.pass();
      return outOfLine(ring);
    }
    const bytes = this.#ahead.take(ring) ?? copyOut(ring.memory.data, ring.memory.dataLongs, ring.offset, ring.length);
    ring.release();
    return bytes;
  }

  decode(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    return bytes;
  }

  lend(ring: RingConsumer): Borrowed<Uint8Array<ArrayBuffer>> {
    this.#ahead.pass();
    if (ring.extended) {
      const bytes = outOfLine(ring);
      return new BorrowedMessage(bytes, () => bytes.length > 0 && void bytes.buffer.transfer(0));
    }
    const loan = ring.lend(0);
    return new BorrowedRecord(loan.bytes, loan);
  }

  /** Lends the message that the ring has found, and those behind it. */
  lendMany(ring: RingConsumer, most: number, lender: BatchLender): BorrowedBatch {
    this.#ahead.pass();
    return ring.extended ? new SingleBatch(outOfLine(ring)) : new RingBatch(ring, most, lender);
  }

  /**
   * Copies the message into memory of the program's, and releases it.
   *
   * @returns Bytes of the message.
   * @throws {IpcError} `TooLarge` if it is longer than that: it stays.
   */
  into(ring: RingConsumer, target: Uint8Array): number {
    this.#ahead.pass();
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
