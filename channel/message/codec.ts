// Typed messages: values to records and back.
import { decodeParts as decodeCbor, encodeParts } from "../../cbor/mod.ts";
import { copyBytes } from "./byte_pool.ts";
import { type Borrowed, BorrowedCopy, BorrowedMessage, BorrowedRecord } from "./borrowed.ts";
import { outgoing } from "./outgoing.ts";
import { openExtended } from "./record.ts";
import { EXTENDED_HEADER } from "../ring/layout.ts";
import type { RingConsumer } from "../ring/consumer.ts";
import { SMALL } from "../ring/small_memory.ts";
import type { LentRecord } from "../ring/lent_records.ts";
import type { Attachments } from "./attachments.ts";
import { collect, collecting, mark, Reviver } from "./travellers.ts";

const encode = (value: unknown) => outgoing.setWritten(encodeParts(value, true, collect));

/** Encodes a value into {@linkcode outgoing}; returns what is attached to it. */
export function encodeMessage(value: unknown): Attachments | undefined {
  return collecting(encode, value);
}

/** Decodes the record that the ring has found, and releases it. */
export function decodeMessage(ring: RingConsumer): unknown {
  if (ring.extended) return decodeExtended(ring);
  try {
    return decodeParts(ring.memory.data, ring.offset, ring.length, true, undefined);
  } finally {
    ring.release();
  }
}

/** Decodes a message without descriptors that never was in a ring. */
export function decodeBytes(bytes: Uint8Array<ArrayBuffer>): unknown {
  return decodeParts(bytes, 0, bytes.length, true, undefined);
}

/** Decodes a message that is in no ring, with its descriptors; those that nobody claimed are closed. */
export function decodeWith(bytes: Uint8Array<ArrayBuffer>, reviver: Reviver): unknown {
  try {
    const value = decodeParts(bytes, 0, bytes.length, true, reviver);
    reviver.finish();
    return value;
  } catch (error) {
    reviver.abandon();
    throw error;
  }
}

function decodeExtended(ring: RingConsumer): unknown {
  const { body, fds } = openExtended(ring);
  const reviver = new Reviver(fds);
  try {
    const value = body !== undefined
      ? decodeParts(body, 0, body.length, true, reviver)
      : decodeParts(ring.memory.data, ring.offset + EXTENDED_HEADER, ring.length - EXTENDED_HEADER, true, reviver);
    reviver.finish();
    return value;
  } catch (error) {
    reviver.abandon();
    throw error;
  } finally {
    ring.release();
  }
}

/** Decodes a message with each byte string copied just once, or not at all: then they are views on `source`. */
function decodeParts(
  source: Uint8Array<ArrayBuffer>,
  offset: number,
  length: number,
  copy: boolean,
  reviver: Reviver | undefined,
): unknown {
  const bytesOf = copy ? copyBytes : viewOf;
  return reviver === undefined
    ? decodeCbor(source, offset, offset + length, bytesOf)
    : decodeCbor(source, offset, offset + length, bytesOf, mark, reviver.revive);
}

function viewOf(source: Uint8Array<ArrayBuffer>, from: number, length: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(source.buffer, source.byteOffset + from, length);
}

/** Decodes the record that the ring has found, in place: its byte strings are views on the ring. */
export function borrowMessage(ring: RingConsumer): Borrowed<unknown> {
  if (!ring.extended && ring.length <= SMALL && !ring.keeps) return new BorrowedCopy(decodeMessage(ring));
  if (ring.extended) {
    const { body, fds } = openExtended(ring);
    if (body !== undefined || fds.length > 0) return borrowExtended(ring, body, new Reviver(fds));
  }
  const loan = ring.lend(ring.extended ? EXTENDED_HEADER : 0);
  return new BorrowedRecord(lending(ring, loan, undefined), loan);
}

function borrowExtended(
  ring: RingConsumer,
  body: Uint8Array<ArrayBuffer> | undefined,
  reviver: Reviver,
): Borrowed<unknown> {
  try {
    if (body === undefined) {
      const loan = ring.lend(EXTENDED_HEADER);
      const value = lending(ring, loan, reviver);
      reviver.finish();
      return new BorrowedRecord(value, loan);
    }
    ring.release();
    const value = decodeParts(body, 0, body.length, false, reviver);
    reviver.finish();
    return new BorrowedMessage(value, () => body.buffer.byteLength > 0 && void body.buffer.transfer(0));
  } catch (error) {
    reviver.abandon();
    throw error;
  }
}

function lending(ring: RingConsumer, loan: LentRecord, reviver: Reviver | undefined): unknown {
  try {
    return decodeParts(loan.bytes, 0, loan.bytes.length, false, reviver);
  } catch (error) {
    ring.giveBack(loan);
    throw error;
  }
}
