// The one place that names cbor-x. It writes what is neither plain nor made of other values; it never reads.
//
// The entry without `eval` is a bundle with a module state of its own, so nothing here leaks into a program that uses
// cbor-x itself, and it needs no permission.
import { Encoder, Tag } from "cbor-x/index-no-eval";

/** What `encode` returns in the mode used here: its whole buffer, with the bounds of the message in it. */
type EncodedTarget = Uint8Array<ArrayBuffer> & { start: number; end: number };

/** The parts of cbor-x that its declarations leave out. */
interface CborX {
  encode(value: unknown, mode: number): EncodedTarget;
  useBuffer(buffer: Uint8Array): void;
}

/** REUSE_BUFFER_MODE | RESET_BUFFER_MODE: no allocation a message, and always at the start of the same buffer. */
const ENCODE_MODE = 512 | 1024;

const options = {
  useRecords: false, // plain RFC 8949: objects are maps with text keys
  variableMapSize: true, // of any number of keys, with heads as short as they can be
  mapsAsObjects: true,
  tagUint8Array: false, // a Uint8Array is a byte string, without a tag
};
// deno-lint-ignore no-explicit-any
const codec = new Encoder(options as any) as unknown as CborX;

/** A larger buffer is not kept from one value to the next. */
const KEEP = 1 << 20;
const allocate: (length: number) => Uint8Array =
  // cbor-x writes strings with Buffer's methods where Buffer exists.
  // deno-lint-ignore no-explicit-any
  (globalThis as any).Buffer?.allocUnsafeSlow ?? ((length: number) => new Uint8Array(length));

/** Encodes a date or a big integer; the result is overwritten by the next call. */
export function encodeLeaf(value: Date | bigint): Uint8Array<ArrayBuffer> {
  const { buffer, byteOffset, start, end, length } = codec.encode(
    typeof value === "bigint" ? bigInteger(value) : value,
    ENCODE_MODE,
  );
  if (length > KEEP) codec.useBuffer(allocate(8192));
  // Not `subarray`: this is Node's Buffer, whose `slice` does not copy.
  return new Uint8Array(buffer, byteOffset + start, end - start);
}

/** Tags 2 and 3. By way of hexadecimal digits, since shifting out byte by byte takes time by the square. */
function bigInteger(value: bigint): Tag {
  const magnitude = value < 0n ? -1n - value : value;
  let digits = magnitude.toString(16);
  if (digits.length % 2 === 1) digits = "0" + digits;
  return new Tag(Uint8Array.fromHex(digits), value < 0n ? 3 : 2);
}
