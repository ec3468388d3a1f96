// A file of shared memory as it is written down for a test vector, and the form that it is stored in.

/** Memory of a vector: all zeros but for what was put there. */
export class VectorMemory {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly #view: DataView<ArrayBuffer>;

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
    this.#view = new DataView(this.bytes.buffer);
  }

  /** Puts 32-bit numbers one behind the other; what would lie behind the end is left out. */
  words(at: number, ...numbers: number[]): this {
    for (const [i, number] of numbers.entries()) {
      if (at + 4 * i + 4 <= this.bytes.length) this.#view.setUint32(at + 4 * i, number >>> 0, true);
    }
    return this;
  }

  /** Puts a 64-bit number. */
  long(at: number, number: number | bigint): this {
    this.#view.setBigInt64(at, BigInt(number), true);
    return this;
  }

  /** Puts bytes, or the bytes of a text. */
  put(at: number, content: Uint8Array | string): this {
    this.bytes.set(typeof content === "string" ? new TextEncoder().encode(content) : content, at);
    return this;
  }

  /** The same bytes, cut short or made longer. */
  resized(size: number): VectorMemory {
    const other = new VectorMemory(size);
    other.bytes.set(this.bytes.subarray(0, size));
    return other;
  }
}

const MAGIC = "ISTHVECT";
/** Zeros that end a piece. */
const GAP = 32;

/**
 * The stored form: what is not zero, in pieces.
 *
 * ```text
 * 0 magic "ISTHVECT" (8) · 8 size of the memory (8) · then pieces: offset (4) · length (4) · that many bytes
 * ```
 */
export function pack(memory: VectorMemory): Uint8Array<ArrayBuffer> {
  const { bytes } = memory;
  const pieces: [start: number, end: number][] = [];
  for (let at = 0; at < bytes.length; at++) {
    if (bytes[at] === 0) continue;
    const last = pieces.at(-1);
    if (last !== undefined && at - last[1] < GAP) last[1] = at + 1;
    else pieces.push([at, at + 1]);
  }
  const packed = new VectorMemory(16 + pieces.reduce((sum, [start, end]) => sum + 8 + end - start, 0));
  packed.put(0, MAGIC).long(8, bytes.length);
  let at = 16;
  for (const [start, end] of pieces) {
    packed.words(at, start, end - start).put(at + 8, bytes.subarray(start, end));
    at += 8 + end - start;
  }
  return packed.bytes;
}

/** The memory of a stored vector. */
export function unpack(packed: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.length);
  if (new TextDecoder().decode(packed.subarray(0, 8)) !== MAGIC) throw new Error("This file is not a test vector");
  const bytes = new Uint8Array(Number(view.getBigUint64(8, true)));
  for (let at = 16; at < packed.length;) {
    const length = view.getUint32(at + 4, true);
    bytes.set(packed.subarray(at + 8, at + 8 + length), view.getUint32(at, true));
    at += 8 + length;
  }
  return bytes;
}

/** Bytes as hexadecimal digits. */
export function hex(bytes: Uint8Array | string): string {
  const all = typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes;
  return Array.from(all, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** What is said of a message: its bytes, or of more than 1,000 of them how many. */
export function messageText(bytes: Uint8Array): string {
  return bytes.length > 1000 ? `message of ${bytes.length}` : `message ${hex(bytes)}`.trim();
}

/** A test vector, as the index has it. */
export interface Vector {
  name: string;
  /** What the memory is; "sender": a ring, to be sent through. */
  kind: "ring" | "sender" | "cell" | "topic";
  /** What it shows. */
  about: string;
  /** Of a cell with a layout: what to load it with. */
  layout?: string;
  /** The processor whose mutex is in it. */
  machine?: "x86_64";
  /** What is to be said of it, in this order. */
  says: string[];
}

/** A vector and its memory. */
export type Made = [vector: Vector, memory: VectorMemory];
