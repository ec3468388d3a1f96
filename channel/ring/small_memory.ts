// Memory for small messages that a program has until it gives them back.
//
// A view on the ring itself that can be ended is a buffer of its own over shared memory: 0.9 µs to make and to end, unless
// one was kept for that very place. So up to 1 KiB what the program has is private memory, copied from the ring, or to it.
// To end it the memory moves to another buffer, which empties every view on the one that the program had: 0.2 µs, and the
// next message has memory at once. (A resizable buffer that shrinks ends views on its last bytes in a fifth of that. But to
// read them takes 2.4 times as long, and views without a length, which programs make on it, follow it and do not end.)

/** Messages of up to so many bytes are lent as copies. */
export const SMALL = 1024;

/** Up to this many bytes a loop that takes eight at a time beats a call, with the view that it needs. */
const BY_LONGS = 256;

/** Buffers that are kept for the next messages. */
const MOST_SPARE = 64;

/** What is in them is left over from other messages. */
const spare: ArrayBuffer[] = [];

/** Memory for one small message: to be kept apart from its view, as a program may take that one's away. */
export function takeSmall(): ArrayBuffer {
  return spare.pop() ?? new ArrayBuffer(SMALL);
}

/** A copy of a record in it. */
export function copyToSmall(
  buffer: ArrayBuffer,
  data: Uint8Array<ArrayBuffer>,
  dataLongs: BigInt64Array,
  offset: number,
  length: number,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(buffer, 0, length);
  if (length > BY_LONGS) {
    bytes.set(data.subarray(offset, offset + length));
    return bytes;
  }
  // Records begin at a multiple of 64 and fill whole blocks: the rest of their last eight bytes may go along.
  const longs = new BigInt64Array(buffer), from = offset >>> 3, count = (length + 7) >>> 3;
  for (let i = 0; i < count; i++) longs[i] = dataLongs[from + i]!;
  return bytes;
}

/** Zeros in it: what other messages have left there is nothing for a peer. */
export function clearSmall(buffer: ArrayBuffer, length: number): Uint8Array<ArrayBuffer> {
  const whole = (length + 7) & ~7; // as a program may look at it eight bytes at a time
  const bytes = new Uint8Array(buffer, 0, whole).fill(0);
  return whole === length ? bytes : new Uint8Array(buffer, 0, length);
}

/** Whether it was given back, or transferred by the program. */
export function isGone(buffer: ArrayBuffer): boolean {
  return buffer.byteLength === 0;
}

/** Empties every view on it, and keeps the memory for another message. Harmless the second time. */
export function endSmall(buffer: ArrayBuffer): void {
  if (isGone(buffer)) return;
  const memory = buffer.transferToFixedLength();
  if (spare.length < MOST_SPARE) spare.push(memory);
}
