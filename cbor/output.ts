// The memory that messages are written to, one message at a time. An object that is there once: the compiler knows of its
// fields what they are, and where, which it does not of the variables of a module.
import type { Insert } from "./written.ts";

/** A larger buffer is not kept for the next message. */
const KEEP = 1 << 20;
const FIRST_SIZE = 8192;

export const NO_INSERTS: Insert[] = [];

export class Output {
  bytes: Uint8Array<ArrayBuffer> = new Uint8Array(FIRST_SIZE);
  view: DataView<ArrayBuffer> = new DataView(this.bytes.buffer);
  /** The bytes eight at a time. */
  longs: BigInt64Array<ArrayBuffer> = new BigInt64Array(this.bytes.buffer);
  inserts: Insert[] = NO_INSERTS;

  /** Before a message: a large one has left much memory. */
  begin(): void {
    this.inserts = NO_INSERTS;
    if (this.bytes.length > KEEP) this.#resize(FIRST_SIZE, 0);
  }

  /** Makes room for so many bytes. */
  ensure(to: number, bytes: number): void {
    if (to + bytes > this.bytes.length) this.#resize(Math.max(to + bytes, this.bytes.length * 2), to);
  }

  #resize(size: number, keep: number): void {
    const larger = new Uint8Array(Math.ceil(size / 8) * 8);
    if (keep > 0) larger.set(this.bytes.subarray(0, keep));
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
    this.#set(new Uint8Array(FIRST_SIZE));
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
