// What the drivers of the matrix send each other: message i of a size, and whether a received one is right.
import { Buffer } from "node:buffer";

/** A message whose content is wrong, or another than expected. */
export class Failed extends Error {}

/** Bytes 0 to 255, again and again. */
let pattern = Buffer.from(Uint8Array.from({ length: 256 }, (_, k) => k));

function bytesFrom(start: number, length: number): Buffer<ArrayBuffer> {
  const first = start & 255;
  if (pattern.length < first + length) {
    pattern = Buffer.alloc(2 * (first + length), pattern.subarray(0, 256));
  }
  return pattern.subarray(first, first + length);
}

const lengthOf = (i: number, size: number) => size - (i * 37) % Math.floor(size / 2);

/** Fills the beginning of some memory with message `i`; returns its length. */
export function writeBytes(to: Uint8Array<ArrayBuffer>, i: number, size: number): number {
  const length = lengthOf(i, size);
  new DataView(to.buffer, to.byteOffset).setBigUint64(0, BigInt(i), true);
  to.set(bytesFrom(i + 8, length - 8), 8);
  return length;
}

/** Message `i` as bytes. */
export function bytesOf(i: number, size: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(lengthOf(i, size));
  writeBytes(bytes, i, size);
  return bytes;
}

/** The number of a message of bytes. */
export const indexOf = (bytes: Uint8Array<ArrayBuffer>) =>
  bytes.length < 8 ? -1 : Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));

/** The same, if all of it is right. */
export function checkBytes(bytes: Uint8Array<ArrayBuffer>, size: number): number {
  const i = indexOf(bytes);
  const right = i >= 0 && bytes.length === lengthOf(i, size) &&
    bytesFrom(i + 8, bytes.length - 8).equals(bytes.subarray(8));
  if (!right) throw new Failed(`message ${i} of ${bytes.length} bytes has the wrong content`);
  return i;
}

/** Message `i` as a value. */
export const valueOf = (i: number, size: number): unknown => ({
  i,
  text: `message ${i}`,
  list: [i, i === 0 ? 0 : -i, i + 0.5],
  yes: i % 2 === 0,
  none: null,
  bytes: new Uint8Array(bytesFrom(i, lengthOf(i, size))),
});

/** The number of a value, if all of it is right. */
export function checkValue(value: unknown, size: number): number {
  const { i, text, list, yes, none, bytes, ...rest } = value as Record<string, unknown>;
  const right = Number.isSafeInteger(i) && Object.keys(rest).length === 0 && none === null;
  const n = i as number;
  const same = right && text === `message ${n}` && yes === (n % 2 === 0) && bytes instanceof Uint8Array &&
    Array.isArray(list) && list.length === 3 && list[0] === n && list[1] === (n === 0 ? 0 : -n) &&
    list[2] === n + 0.5 &&
    bytes.length === lengthOf(n, size) && bytesFrom(n, bytes.length).equals(bytes);
  if (!same) throw new Failed(`message ${i} has the wrong content`);
  return n;
}
