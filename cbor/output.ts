// The memory that messages are written to, one message at a time. An object that is there once: the compiler knows of its
// fields what they are, and where, which it does not of the variables of a module.
import type { Insert } from "./written.ts";

/**
 * Bytes at the beginning: what is larger is not kept for the next message. As much at once costs nothing, as the system gives
 * memory that was never touched a page at a time; and as long as no message needs more, the compiler knows the memory itself,
 * not only where to find it. (Measured: after one message of 24 KB with 8 KiB at first, a small object took 290 ns, not 200.)
 */
const FIRST_SIZE = 1 << 20;
/** The same for a message in the middle of another. */
const NESTED_SIZE = 8192;

export const NO_INSERTS: Insert[] = [];

export class Output {
  bytes: Uint8Array<ArrayBuffer> = new Uint8Array(FIRST_SIZE);
  view: DataView<ArrayBuffer> = new DataView(this.bytes.buffer);
  /** The bytes eight at a time. */
  longs: BigInt64Array<ArrayBuffer> = new BigInt64Array(this.bytes.buffer);
  inserts: Insert[] = NO_INSERTS;
  readonly #first = this.bytes;

  /** Before a message: a large one has left much memory. */
  begin(): void {
    this.inserts = NO_INSERTS;
    if (this.bytes.length > FIRST_SIZE) this.#set(this.#first);
  }

  /** Makes room for so many bytes. */
  ensure(to: number, bytes: number): void {
    if (to + bytes > this.bytes.length) this.#grow(Math.max(to + bytes, this.bytes.length * 2), to);
  }

  #grow(size: number, keep: number): void {
    const larger = new Uint8Array(Math.ceil(size / 8) * 8);
    larger.set(this.bytes.subarray(0, keep));
    this.#set(larger);
  }

  #set(bytes: Uint8Array<ArrayBuffer>): void {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer);
    this.longs = new BigInt64Array(bytes.buffer);
  }

  /** Puts the message that is being written aside, and starts with memory of its own for another. */
  suspend(): Suspended {
    const { bytes, inserts } = this;
    this.#set(new Uint8Array(NESTED_SIZE));
    return { bytes, inserts };
  }

  resume({ bytes, inserts }: Suspended): void {
    this.#set(bytes);
    this.inserts = inserts;
  }
}

/** A message that was put aside. */
export interface Suspended {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly inserts: Insert[];
}
