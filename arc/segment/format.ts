// What the header of a cell says of its value: written as the cell is made, compared by who attaches.
import { IpcError } from "../../base/error.ts";
import type { Mapping } from "../../ffi/memory/mapping.ts";
import { mutexMark, RobustMutex } from "../../ffi/memory/robust_mutex.ts";
import { ownThread } from "../../ffi/process/liveness.ts";
import { fingerprint, type PodLayout } from "../layout/layout.ts";
import { isScalar } from "../layout/scalar.ts";
import {
  alignUp,
  BUFFER_OFFSET,
  BUFFER_STRIDE,
  CAPACITY,
  FINGERPRINT_HIGH,
  FINGERPRINT_LOW,
  FORMAT_VERSION,
  KIND,
  KIND_CBOR,
  KIND_POD,
  LENGTHS,
  MAGIC,
  MUTEX_MARK,
  MUTEX_OFFSET,
  NAMESPACE,
  REF_COUNT,
  SIZE_HIGH,
  SIZE_LOW,
  STATE,
  STATE_READY,
  TEXT_LENGTH,
  TEXT_OFFSET,
  VALUES_OFFSET,
  VERSION,
  WRITERS,
} from "./header.ts";

/** Longest text of a layout that is read. */
const TEXT_LIMIT = 1 << 16;

/** Where everything lies in a segment that is about to be made. */
export class SegmentFormat {
  readonly #layout: PodLayout<unknown> | undefined;
  readonly #capacity: number;
  readonly #text: Uint8Array;
  readonly #stride: number;
  readonly #offset: number;

  /**
   * @param layout Of the values; CBOR without it.
   * @param capacity Most bytes of a value.
   */
  constructor(layout: PodLayout<unknown> | undefined, capacity: number) {
    this.#layout = layout;
    this.#capacity = capacity;
    this.#text = new TextEncoder().encode(layout?.description ?? "");
    // A scalar is one store; anything larger needs a second place to be written beside the first.
    this.#stride = layout !== undefined && isScalar(layout) ? 0 : alignUp(capacity);
    this.#offset = alignUp(VALUES_OFFSET + this.#text.length);
  }

  /** Bytes of the segment. */
  get size(): number {
    return this.#offset + this.#stride + alignUp(this.#capacity);
  }

  /**
   * Writes the segment into memory that is zeros but for the magic.
   *
   * @param bytes The first value.
   */
  fill(mapping: Mapping, bytes: Uint8Array): void {
    const words = new Int32Array(mapping.buffer, 0, VALUES_OFFSET >> 2);
    const all = new Uint8Array(mapping.buffer);
    const layout = this.#layout, text = this.#text;
    all.set(MAGIC);
    words[VERSION] = FORMAT_VERSION;
    words[KIND] = layout === undefined ? KIND_CBOR : KIND_POD;
    words[SIZE_LOW] = mapping.length; // larger than asked for, in a file that is used again
    words[SIZE_HIGH] = Math.floor(mapping.length / 2 ** 32);
    words[REF_COUNT] = 1;
    const print = layout === undefined ? 0n : fingerprint(layout.description);
    words[FINGERPRINT_LOW] = Number(BigInt.asIntN(32, print));
    words[FINGERPRINT_HIGH] = Number(BigInt.asIntN(32, print >> 32n));
    words[BUFFER_OFFSET] = this.#offset;
    words[BUFFER_STRIDE] = this.#stride;
    words[CAPACITY] = this.#capacity;
    words[LENGTHS] = words[LENGTHS + 1] = bytes.length;
    words[WRITERS] = 1;
    words[TEXT_OFFSET] = text.length === 0 ? 0 : VALUES_OFFSET;
    words[TEXT_LENGTH] = text.length;
    all.set(text, VALUES_OFFSET);
    words[MUTEX_MARK] = mutexMark();
    words[NAMESPACE] = ownThread().namespace;
    all.set(bytes, this.#offset);
    const mutex = new RobustMutex(mapping, MUTEX_OFFSET);
    mutex.initialize();
    mutex.close(); // the cell has one of its own
    words[STATE] = STATE_READY;
  }
}

/** The fingerprint of the layout, as a header has it; 0 for CBOR. */
export function fingerprintOf(words: Int32Array): bigint {
  return (BigInt(words[FINGERPRINT_HIGH]! >>> 0) << 32n) | BigInt(words[FINGERPRINT_LOW]! >>> 0);
}

/**
 * Where the text of the layout lies, if that can be.
 *
 * @param size Bytes of the segment.
 * @returns `undefined` if there is none, or it cannot be where the header says.
 */
export function layoutTextPlace(words: Int32Array, size: number): { offset: number; length: number } | undefined {
  const offset = words[TEXT_OFFSET]!, length = words[TEXT_LENGTH]!;
  if (offset <= 0 || length <= 0 || length > TEXT_LIMIT || offset + length > size) return undefined;
  return { offset, length };
}

/**
 * Compares what a cell holds with what the program says it holds.
 *
 * @param words Its header.
 * @throws {IpcError} `Incompatible` if they differ.
 */
export function checkLayout(
  name: string,
  mapping: Mapping,
  words: Int32Array,
  layout: PodLayout<unknown> | undefined,
): void {
  const isCbor = words[KIND] === KIND_CBOR;
  if (isCbor && layout === undefined) return;
  if (!isCbor && layout !== undefined) {
    const matches = fingerprintOf(words) === fingerprint(layout.description) && words[CAPACITY] === layout.size &&
      (words[BUFFER_STRIDE] === 0) === isScalar(layout);
    if (matches) return;
  }
  const found = isCbor ? "CBOR values" : `the layout ${layoutText(mapping, words)}`;
  const wanted = layout === undefined ? "CBOR values" : `the layout ${layout.description}`;
  throw new IpcError("Incompatible", `Cannot use the cell "${name}" with ${wanted}: it has ${found}; name the same`);
}

function layoutText(mapping: Mapping, words: Int32Array): string {
  const place = layoutTextPlace(words, mapping.length);
  if (place === undefined) return "(unknown)";
  return new TextDecoder().decode(new Uint8Array(mapping.buffer, place.offset, place.length).slice());
}
