// Takes the record that a ring has found apart: where its bytes are, and which descriptors came with it.
import { IpcError } from "../../base/error.ts";
import type { IpcFd } from "../../ffi/file/fd.ts";
import { closeAllForeign } from "../../ffi/file/foreign_fd.ts";
import { MemoryFileReader } from "../../ffi/memory/memory_file.ts";
import { isTableFull } from "../../ffi/socket/socket_message.ts";
import { MAX_DESCRIPTORS } from "../ring/carrier.ts";
import { EXTENDED_HEADER, HAS_DESCRIPTORS, IS_OUT_OF_LINE } from "../ring/layout.ts";
import type { RingConsumer } from "../ring/consumer.ts";

/** An extended record, read. */
export interface ExtendedRecord {
  /** The body in private memory if it did not fit into the ring; else it lies in the ring, behind the header. */
  readonly body: Uint8Array<ArrayBuffer> | undefined;
  /** The descriptors that travel with the message; the caller owns them. */
  readonly fds: IpcFd[];
}

/**
 * Thrown when the time of a wait is over and a body is not read yet: the message is the next one still, and the next call
 * goes on where this one stopped. Never reaches programs.
 */
export const UNFINISHED: Error = new Error("The body of a message is not read yet");

/**
 * Reads the header of the extended record that the ring has found, and fetches what lies outside the ring.
 *
 * When this process has no room for the descriptors (`System`), the record stays where it is, for another try; when the
 * record is damaged it is released.
 *
 * @throws {Error} {@linkcode UNFINISHED} if the body could not be read until {@linkcode RingConsumer.readUntil}.
 */
export function openExtended(ring: RingConsumer): ExtendedRecord {
  const { dataWords } = ring.memory;
  const h = ring.offset >>> 2;
  // Each field once, into a variable: a peer may change the memory under us.
  const flags = dataWords[h]!, slot = dataWords[h + 1]!, counter = dataWords[h + 2]!, count = dataWords[h + 3]!;
  const length = (dataWords[h + 4]! >>> 0) + dataWords[h + 5]! * 2 ** 32;
  let fds: IpcFd[] = [];
  try {
    if ((flags & HAS_DESCRIPTORS) !== 0) {
      if (count < 1 || count > MAX_DESCRIPTORS) throw damaged(`it claims ${count} descriptors`);
      fds = ring.descriptors.take(slot, counter, count);
    }
    if ((flags & IS_OUT_OF_LINE) === 0) {
      if (length !== ring.length - EXTENDED_HEADER) throw damaged(`it claims ${length} bytes`);
      return { body: undefined, fds };
    }
    const file = fds[0];
    if (file === undefined || length < 0) throw damaged(`it claims ${length} bytes elsewhere, and sends no memory`);
    const body = readBody(ring, file.fd, slot, counter, length);
    if (body === undefined) {
      ring.descriptors.putBack({ slot, counter, fds });
      fds = [];
      throw UNFINISHED;
    }
    fds.shift();
    file.close();
    return { body, fds };
  } catch (error) {
    if (error === UNFINISHED) throw error;
    closeAllForeign(fds);
    if (!isTableFull(error)) ring.release();
    if (error instanceof RangeError) { // no memory of that size to be had
      throw new IpcError("TooLarge", `Cannot receive a message of ${length} bytes: no memory for it`, { cause: error });
    }
    throw error;
  }
}

/** The body; `undefined` if the time was over before: the next call goes on. */
function readBody(
  ring: RingConsumer,
  file: number,
  slot: number,
  counter: number,
  length: number,
): Uint8Array<ArrayBuffer> | undefined {
  const of = { position: ring.position, slot, counter, length };
  let reader = ring.unread.take(of);
  if (reader === undefined) {
    reader = new MemoryFileReader(file, length, (length) => ring.admit(length));
  }
  const body = reader.read(file, ring.readUntil);
  if (body === undefined) ring.unread.keep(reader, of);
  return body;
}

/** Bytes that the extended record at hand claims to have, before it is opened. */
export function claimedLength(ring: RingConsumer): number {
  const h = ring.offset >>> 2;
  return (ring.memory.dataWords[h + 4]! >>> 0) + ring.memory.dataWords[h + 5]! * 2 ** 32;
}

function damaged(what: string): IpcError {
  return new IpcError("Corrupt", `Cannot receive a message: its header is damaged, ${what}`);
}
