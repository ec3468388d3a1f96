// What a producer sends, as the ring needs it: bytes that are copied straight into their blocks.

/** The bytes of one message. */
export interface Payload {
  /** Bytes of the message. */
  readonly length: number;
  /**
   * Copies the message.
   *
   * @param target Memory with room for a multiple of eight bytes.
   * @param targetLongs The same memory.
   * @param to The offset there in bytes, a multiple of 8.
   * @throws {TypeError} If memory that it lies in has another size by now.
   */
  copyTo(target: Uint8Array, targetLongs: BigInt64Array, to: number): void;
  /** The parts of the message, one after another. */
  parts(): Iterable<Uint8Array>;
}

/** Bytes in one piece. */
export class BytesPayload implements Payload {
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get length(): number {
    return this.#bytes.length;
  }

  copyTo(target: Uint8Array, _targetLongs: BigInt64Array, to: number): void {
    target.set(this.#bytes, to);
  }

  parts(): Iterable<Uint8Array> {
    return [this.#bytes];
  }
}
