// Typed messages: values to records and back.
import { decodeCbor, encodeTarget } from "../ffi/cbor.ts";
import { openExtended } from "./record.ts";
import { EXTENDED_HEADER } from "./ring_layout.ts";
import type { RingReceiver } from "./ring_receiver.ts";
import { outgoing } from "./sender_base.ts";
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
const scratch = new Uint8Array(64 << 10);
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
  const bytes = copyOut(ring, ring.offset, length);
  ring.release();
  return decodeCbor(bytes, length);
}

function decodeExtended(ring: RingReceiver): unknown {
  const { body, fds } = openExtended(ring);
  const length = body?.length ?? ring.length - EXTENDED_HEADER;
  const bytes = body ?? copyOut(ring, ring.offset + EXTENDED_HEADER, length);
  ring.release();
  const reviver = new Reviver(fds);
  try {
    const value = decodeCbor(bytes, length, reviver.revive);
    reviver.finish();
    return value;
  } catch (error) {
    reviver.abandon();
    throw error;
  }
}

function copyOut(ring: RingReceiver, offset: number, length: number): Uint8Array<ArrayBuffer> {
  const { data, dataWords } = ring.memory;
  if (length <= COPY_BY_WORDS) {
    const from = offset >>> 2, words = (length + 3) >>> 2;
    for (let i = 0; i < words; i++) scratchWords[i] = dataWords[from + i]!;
    return scratch;
  }
  if (length > scratch.length) return data.slice(offset, offset + length);
  scratch.set(data.subarray(offset, offset + length));
  return scratch;
}
