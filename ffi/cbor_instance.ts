// The one place that names cbor-x: an instance of it with the tags of this package.
//
// The entry without `eval` is a bundle with a module state of its own, so the tags registered here do not leak into a
// program that uses cbor-x itself; it needs no permission, and it is as fast as the other (measured: encode 290 ns,
// decode 400 ns for a small object, either way).
import { addExtension, Encoder, Tag } from "cbor-x/index-no-eval";

export { Tag };

/** What `encode` returns in the mode used here: its whole buffer, with the bounds of the message in it. */
export type EncodedTarget = Uint8Array<ArrayBuffer> & { start: number; end: number };

/** The parts of cbor-x that its declarations leave out. */
interface CborX {
  encode(value: unknown, mode: number): EncodedTarget;
  decode(bytes: Uint8Array, end: number): unknown;
  useBuffer(buffer: Uint8Array): void;
  alwaysUseFloat: boolean;
}

/** REUSE_BUFFER_MODE | RESET_BUFFER_MODE: no allocation a message, and always at the start of the same buffer. */
const ENCODE_MODE = 512 | 1024;

const options = {
  useRecords: false, // plain RFC 8949: objects are maps with text keys
  mapsAsObjects: true,
  tagUint8Array: false, // a Uint8Array is a byte string, without a tag
};
// deno-lint-ignore no-explicit-any
const make = (copyBuffers: boolean) => new Encoder({ ...options, copyBuffers } as any) as unknown as CborX;
const codec = make(true);
/** Its typed arrays are views on the byte strings they are made of. */
const viewing = make(false);

/** Buffers above this are not kept from one message to the next. */
const KEEP = 1 << 20;
const allocate: (length: number) => Uint8Array =
  // cbor-x writes strings with Buffer's methods where Buffer exists.
  // deno-lint-ignore no-explicit-any
  (globalThis as any).Buffer?.allocUnsafeSlow ?? ((length: number) => new Uint8Array(length));

/** Encodes with cbor-x; the result is overwritten by the next call. */
export function rawEncode(value: unknown): EncodedTarget {
  const target = codec.encode(value, ENCODE_MODE);
  if (target.length > KEEP) codec.useBuffer(allocate(8192));
  return target;
}

/**
 * Decodes the first `end` bytes with cbor-x. They must be private memory: nothing may change them meanwhile.
 *
 * @param views Whether byte strings may be views on `bytes` rather than copies.
 */
export function rawDecode(bytes: Uint8Array, end: number, views: boolean): unknown {
  return (views ? viewing : codec).decode(bytes, end);
}

// --- What only an encoder hook can write -----------------------------------------------------------------------------

type EncodeNested = (value: unknown) => void;

/** Encodes as the float -0.0; cbor-x itself would write the integer 0. */
export class NegativeZero {}

/** A value that may turn out to be referred to again: it then carries tag 28, and its number. */
export class Shareable {
  /** Set as soon as a second reference is found. */
  shared = false;
  /** Position among the shared values of the message, given when it is written. */
  id = -1;
  /** @param value The object, already made of what cbor-x can write. */
  constructor(public value: unknown) {}
}

/** A second reference to a value: tag 29. */
export class Reference {
  constructor(readonly to: Shareable) {}
}

let sharedCount = 0;

/** Starts numbering shared values for a new message. */
export function resetSharing(): void {
  sharedCount = 0;
}

function hook(extension: Record<string, unknown>): void {
  // deno-lint-ignore no-explicit-any
  addExtension(extension as any);
}

hook({
  Class: NegativeZero,
  encode(this: CborX, _value: NegativeZero, encode: EncodeNested) {
    this.alwaysUseFloat = true;
    encode(-0);
    this.alwaysUseFloat = false;
  },
});

hook({
  Class: Shareable,
  getTag: (value: Shareable) => value.shared ? 28 : undefined,
  encode(value: Shareable, encode: EncodeNested) {
    if (value.shared) value.id = sharedCount++;
    encode(value.value);
  },
});

hook({
  Class: Reference,
  getTag: () => 29,
  encode: (value: Reference, encode: EncodeNested) => encode(value.to.id),
});

/** Registers how a tag is read. With `wholeRead`, `decode` gets a function that reads the content. */
export function onTag(tag: number, decode: (content: never) => unknown, wholeRead = false): void {
  const handler = decode as typeof decode & { handlesRead?: boolean };
  if (wholeRead) handler.handlesRead = true;
  hook({ tag, decode: handler });
}
