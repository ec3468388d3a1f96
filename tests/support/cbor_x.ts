// cbor-x by itself, as a second opinion on what this package writes and reads.
import { Decoder, Encoder } from "cbor-x/index-no-eval";

const options = { useRecords: false, variableMapSize: true, mapsAsObjects: true, tagUint8Array: false };
// deno-lint-ignore no-explicit-any -- its declarations lack some options
const encoder = new Encoder(options as any), decoder = new Decoder({ ...options, copyBuffers: true } as any);

/** What cbor-x makes of the bytes. */
export function rawDecode(bytes: Uint8Array): unknown {
  return decoder.decode(bytes);
}

/** The bytes that cbor-x makes of the value. */
export function rawEncode(value: unknown): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(encoder.encode(value));
}

/**
 * The same value with numbers where cbor-x has big integers: of an integer of 64 bits it makes one however small it is, and
 * this package only where a number would not do.
 */
export function safeNumbers(value: unknown): unknown {
  if (typeof value === "bigint") {
    return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
  }
  if (Array.isArray(value)) return value.map(safeNumbers);
  if (typeof value !== "object" || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, safeNumbers(each)]));
}
