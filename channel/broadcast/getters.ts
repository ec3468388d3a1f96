// How a published message is got out of the memory of its topic: as a copy, or in place.
import { decodeParts } from "../../cbor/mod.ts";
import { copyBytes, copyOut } from "../message/byte_pool.ts";
import type { Attendance } from "./attendance.ts";
import { BorrowedAsCopy, BorrowedInPlace, type BorrowedPublication, LentPublication } from "./borrowed.ts";
import type { TopicReader } from "./reader.ts";
import { OVERWRITTEN } from "./subscription.ts";

/** A value, as a copy. */
export function takeValue(reader: TopicReader): unknown {
  const { offset, length, memory } = reader;
  const value = decodeParts(memory.data, offset, offset + length, copyBytes);
  return reader.intact ? value : OVERWRITTEN;
}

/** Bytes, as a copy. */
export function takeBytes(reader: TopicReader): Uint8Array<ArrayBuffer> | typeof OVERWRITTEN {
  const { offset, length, memory } = reader;
  const bytes = copyOut(memory.data, memory.dataLongs, offset, length);
  return reader.intact ? bytes : OVERWRITTEN;
}

/** Messages of up to this many bytes are copied: that is cheaper than making views that can end. */
const SMALL = 1024;

function viewOf(source: Uint8Array<ArrayBuffer>, from: number, length: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(source.buffer, source.byteOffset + from, length);
}

/** A value in place: its byte strings are views. */
export function lendValue(
  reader: TopicReader,
  at: Attendance,
  lender: object,
): BorrowedPublication<unknown> | typeof OVERWRITTEN {
  const decode = (bytes: Uint8Array<ArrayBuffer>) => decodeParts(bytes, 0, bytes.length, viewOf);
  if (reader.length > SMALL) return lend(reader, at, lender, decode);
  const value = takeValue(reader);
  return value === OVERWRITTEN ? OVERWRITTEN : new BorrowedAsCopy(value);
}

/** Bytes in place. */
export function lendBytes(
  reader: TopicReader,
  at: Attendance,
  lender: object,
): BorrowedPublication<Uint8Array<ArrayBuffer>> | typeof OVERWRITTEN {
  if (reader.length > SMALL) return lend(reader, at, lender, (bytes) => bytes);
  const bytes = takeBytes(reader);
  return bytes === OVERWRITTEN ? OVERWRITTEN : new BorrowedAsCopy(bytes);
}

function lend<R>(
  reader: TopicReader,
  at: Attendance,
  lender: object,
  decode: (bytes: Uint8Array<ArrayBuffer>) => R,
): BorrowedPublication<R> | typeof OVERWRITTEN {
  const { offset, length, memory } = reader;
  const part = length === 0 ? undefined : memory.lend(offset, length);
  if (part === undefined) {
    // Nothing of it can be lent: what the program gets becomes empty with the release all the same.
    const bytes = new Uint8Array(memory.data.subarray(offset, offset + length));
    if (!reader.intact) return OVERWRITTEN;
    return new BorrowedAsCopy(decode(bytes), bytes);
  }
  try {
    const value = decode(new Uint8Array(part.window.buffer));
    if (reader.intact) {
      const lent = new LentPublication(reader, part.takeBack, at.takenBack);
      at.lend(lent);
      return new BorrowedInPlace(value, lent, lender);
    }
  } catch (error) {
    part.takeBack();
    throw error;
  }
  part.takeBack();
  return OVERWRITTEN;
}
