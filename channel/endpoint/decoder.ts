// What a receiver does with the message that its ring has found: as a value, or as bytes.
import type { Borrowed } from "../message/borrowed.ts";
import { borrowMessage, decodeBytes, decodeMessage } from "../message/codec.ts";
import type { RingConsumer } from "../ring/consumer.ts";

/** Takes messages out of a ring. */
export interface Decoder<out T> {
  /** Decodes and releases the message that the ring has found. */
  take(ring: RingConsumer): T;
  /** Decodes a message that was never in a ring, and without descriptors: its bytes belong to the caller. */
  decode(bytes: Uint8Array<ArrayBuffer>): T;
  /** The same as {@linkcode take} in place: its bytes stay in the ring until the message is released. */
  lend(ring: RingConsumer): Borrowed<T>;
}

/** Messages are CBOR. */
class ValueDecoder implements Decoder<unknown> {
  take(ring: RingConsumer): unknown {
    return decodeMessage(ring);
  }

  decode(bytes: Uint8Array<ArrayBuffer>): unknown {
    return decodeBytes(bytes);
  }

  lend(ring: RingConsumer): Borrowed<unknown> {
    return borrowMessage(ring);
  }
}

const values = new ValueDecoder();

/** The decoder of typed channels: nobody checks whether what it returns is a `T`. */
export function valueDecoder<T>(): Decoder<T> {
  return values as Decoder<T>;
}
