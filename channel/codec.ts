// Typed messages: values to records and back.
import { decodeCbor, encodeTarget } from "../ffi/cbor.ts";
import { PooledSource } from "./byte_pool.ts";
import { BorrowedMessage } from "./borrowed.ts";
import { openExtended } from "./record.ts";
import { EXTENDED_HEADER } from "./ring_layout.ts";
import type { Loan, RingReceiver } from "./ring_receiver.ts";
import { outgoing } from "./sender_base.ts";
import { takeByteStringsOut } from "./skeleton.ts";
import { collect, collecting, type Luggage, Reviver } from "./transfer.ts";

let pending: unknown;
const encodePending = () => {
  const target = encodeTarget(pending, collect);
  outgoing.bytes = target;
  outgoing.start = target.start;
  outgoing.end = target.end;
};

/** Encodes a value into {@linkcode outgoing}; returns what travels with it. */
export function encodeMessage(value: unknown): Luggage | undefined {
  pending = value;
  const luggage = collecting(encodePending);
  pending = undefined;
  return luggage;
}

// Messages up to this are decoded in a buffer that is used again.
const scratch = new PooledSource(new ArrayBuffer(64 << 10));
const scratchWords = new Int32Array(scratch.buffer);
/** Up to this, a loop over words beats a call that copies. */
const COPY_BY_WORDS = 512;

/**
 * Decodes the record that the ring has found, and releases it.
 *
 * The bytes are copied out first: a peer may change the ring's memory at any moment, and neither the decoder nor the
 * engine's own text decoder is made for that.
 */
export function decodeMessage(ring: RingReceiver): unknown {
  if (ring.extended) return decodeExtended(ring);
  const { length } = ring;
  if (length > scratch.length) {
    try {
      return decodeSkeleton(ring.memory.data, ring.offset, length, true, undefined);
    } finally {
      ring.release();
    }
  }
  copyToScratch(ring, ring.offset, length);
  ring.release();
  return decodeCbor(scratch, length);
}

function decodeExtended(ring: RingReceiver): unknown {
  const { body, fds } = openExtended(ring);
  const reviver = new Reviver(fds);
  try {
    const value = body !== undefined
      ? decodeSkeleton(body, 0, body.length, true, reviver)
      : decodeSkeleton(ring.memory.data, ring.offset + EXTENDED_HEADER, ring.length - EXTENDED_HEADER, true, reviver);
    reviver.finish();
    return value;
  } catch (error) {
    reviver.abandon();
    throw error;
  } finally {
    ring.release();
  }
}

/** Decodes with each byte string copied just once, or not at all: then they are views on `source`. */
function decodeSkeleton(
  source: Uint8Array<ArrayBuffer>,
  offset: number,
  length: number,
  copy: boolean,
  reviver: Reviver | undefined,
): unknown {
  const skeleton = takeByteStringsOut(source, offset, offset + length);
  const { places } = skeleton;
  const byteStrings: Uint8Array[] = [];
  for (let i = 0; i < places.length; i += 2) {
    const from = places[i]!, to = from + places[i + 1]!;
    byteStrings.push(copy ? source.slice(from, to) : source.subarray(from, to));
  }
  return decodeCbor(skeleton.bytes, skeleton.length, reviver?.revive, byteStrings);
}

/** Decodes the record that the ring has found, in place: its byte strings are views on the ring. */
export function borrowMessage(ring: RingReceiver): BorrowedMessage<unknown> {
  if (ring.extended) {
    const { body, fds } = openExtended(ring);
    if (body !== undefined || fds.length > 0) return borrowExtended(ring, body, new Reviver(fds));
  }
  const loan = ring.lend(ring.extended ? EXTENDED_HEADER : 0);
  return new BorrowedMessage(lending(ring, loan, undefined), () => ring.giveBack(loan));
}

function borrowExtended(
  ring: RingReceiver,
  body: Uint8Array<ArrayBuffer> | undefined,
  reviver: Reviver,
): BorrowedMessage<unknown> {
  try {
    if (body === undefined) {
      const loan = ring.lend(EXTENDED_HEADER);
      const value = lending(ring, loan, reviver);
      reviver.finish();
      return new BorrowedMessage(value, () => ring.giveBack(loan));
    }
    ring.release();
    const value = decodeSkeleton(body, 0, body.length, false, reviver);
    reviver.finish();
    return new BorrowedMessage(value, () => body.buffer.byteLength > 0 && void body.buffer.transfer(0));
  } catch (error) {
    reviver.abandon();
    throw error;
  }
}

function lending(ring: RingReceiver, loan: Loan, reviver: Reviver | undefined): unknown {
  try {
    return decodeSkeleton(loan.bytes, 0, loan.bytes.length, false, reviver);
  } catch (error) {
    ring.giveBack(loan);
    throw error;
  }
}

function copyToScratch(ring: RingReceiver, offset: number, length: number): void {
  const { data, dataWords } = ring.memory;
  if (length <= COPY_BY_WORDS) {
    const from = offset >>> 2, words = (length + 3) >>> 2;
    for (let i = 0; i < words; i++) scratchWords[i] = dataWords[from + i]!;
  } else {
    scratch.set(data.subarray(offset, offset + length));
  }
}
