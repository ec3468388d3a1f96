// The mapped memory of a ring: made, or taken over from a peer and checked.
import { integerOf } from "../../base/arguments.ts";
import { IpcError } from "../../base/error.ts";
import type { IpcFd } from "../../ffi/file/fd.ts";
import { ownThread } from "../../ffi/process/liveness.ts";
import { Mapping } from "../../ffi/memory/mapping.ts";
import { checkSealed, sealedMemory } from "../../ffi/memory/sealed_memory.ts";
import { writeAt } from "../../ffi/file/write_at.ts";
import { fileSize } from "../../ffi/memory/storage.ts";
import {
  BLOCK,
  dataOffset,
  DEFAULT_CAPACITY,
  FORMAT_VERSION,
  MAGIC_HIGH,
  MAGIC_LOW,
  MAX_CAPACITY,
  MIN_CAPACITY,
  ringSize,
  W_BLOCKS,
  W_MAGIC,
  W_NAMESPACE,
  W_VERSION,
} from "./layout.ts";

/** The capacity in bytes that an option asks for: the next power of two within the limits. */
export function capacityOf(capacity: number | undefined): number {
  if (capacity === undefined) return DEFAULT_CAPACITY;
  integerOf(capacity, 1, MAX_CAPACITY, "Cannot make a channel with the capacity");
  return Math.max(MIN_CAPACITY, 2 ** Math.ceil(Math.log2(capacity)));
}

/** One ring's memory in this process, shared by the endpoints of the isolate that use it. */
export class RingMemory {
  /** The memory file, for passing it on. */
  readonly fd: IpcFd;
  readonly #mapping: Mapping;
  readonly #dataOffset: number;
  #users = 1;
  /** Everything before the data, as words. */
  readonly words: Int32Array<ArrayBuffer>;
  /** The data, twice in a row, so that every record is contiguous. */
  readonly data: Uint8Array<ArrayBuffer>;
  /** The same as words, for headers. */
  readonly dataWords: Int32Array<ArrayBuffer>;
  /** The same eight bytes at a time, for copies of a few blocks. */
  readonly dataLongs: BigInt64Array<ArrayBuffer>;
  /** Blocks of the ring, a power of two. */
  readonly blocks: number;

  private constructor(fd: IpcFd, blocks: number) {
    this.fd = fd;
    this.blocks = blocks;
    const offset = this.#dataOffset = dataOffset(blocks);
    this.#mapping = Mapping.mirrored(fd.fd, offset, blocks * BLOCK);
    const { buffer } = this.#mapping;
    this.words = new Int32Array(buffer, 0, offset / 4);
    this.data = new Uint8Array(buffer, offset);
    this.dataWords = new Int32Array(buffer, offset);
    this.dataLongs = new BigInt64Array(buffer, offset);
  }

  /** A new ring. */
  static create(capacity: number | undefined): RingMemory {
    const blocks = capacityOf(capacity) / BLOCK;
    const fd = sealedMemory("isthmus-ring", ringSize(blocks));
    try {
      const memory = new RingMemory(fd, blocks);
      writeHeader(memory.words, blocks, ownThread().namespace);
      return memory;
    } catch (error) {
      fd.close();
      throw error;
    }
  }

  /**
   * The file of a new ring, which is not mapped.
   *
   * @param capacity As {@linkcode capacityOf} returns it.
   */
  static createFile(capacity: number): IpcFd {
    const blocks = capacity / BLOCK;
    const fd = sealedMemory("isthmus-ring", ringSize(blocks));
    try {
      writeHeader(header, blocks, ownThread().namespace);
      writeAt(fd.fd, 0, headerBytes, "Cannot create a channel");
      return fd;
    } catch (error) {
      fd.close();
      throw error;
    }
  }

  /**
   * Maps what {@linkcode createFile} has made. Others may have it by now: only what is known here is relied on.
   *
   * @param fd The memory file; owned by the ring from now on, and still the caller's if this throws.
   */
  static map(fd: IpcFd, capacity: number): RingMemory {
    return new RingMemory(fd, capacity / BLOCK);
  }

  /**
   * A ring that came from a peer. Nothing in it is believed: the size decides the layout, and the header must agree.
   *
   * @param fd The memory file; owned by the ring from now on, and still the caller's if this throws.
   */
  static attach(fd: IpcFd): RingMemory {
    return RingMemory.#attachSized(fd, () => checkSealed(fd.fd), "Cannot attach to a channel");
  }

  /**
   * A ring in a file that has a name, and cannot be sealed: who may write to it can cut it short under its users.
   *
   * @param fd The file; owned by the ring from now on, and still the caller's if this throws.
   * @param what Begins the messages of errors.
   */
  static attachFile(fd: IpcFd, what: string): RingMemory {
    try {
      return RingMemory.#attachSized(fd, () => fileSize(fd.fd), what);
    } catch (error) {
      if (!(error instanceof IpcError) || error.code !== "Corrupt") throw error;
      throw new IpcError("Incompatible", error.message, { cause: error });
    }
  }

  /** Writes the header of a ring into a file that nobody else sees yet. */
  static format(fd: number, blocks: number, headerBytes: number): void {
    const mapping = Mapping.shared(fd, headerBytes);
    writeHeader(new Int32Array(mapping.buffer), blocks, 0);
    mapping.unmap();
  }

  static #attachSized(fd: IpcFd, sizeOf: () => number, what: string): RingMemory {
    const size = sizeOf();
    for (let blocks = MIN_CAPACITY / BLOCK; blocks <= MAX_CAPACITY / BLOCK; blocks *= 2) {
      if (ringSize(blocks) !== size) continue;
      const memory = new RingMemory(fd, blocks);
      const problem = problemOf(memory.words, blocks);
      if (problem !== undefined) {
        memory.#mapping.unmap();
        throw problem;
      }
      // All who look at this from now on hold locks, see slots.ts.
      if (memory.words[W_NAMESPACE] !== ownThread().namespace) Atomics.store(memory.words, W_NAMESPACE, 0);
      return memory;
    }
    throw new IpcError(
      "Corrupt",
      `${what}: its memory of ${size} bytes has not the size of a ring`,
    );
  }

  /** One more endpoint uses this memory. */
  retain(): RingMemory {
    this.#users++;
    return this;
  }

  /** One endpoint less; the last one unmaps. */
  release(): void {
    if (--this.#users > 0) return;
    this.#mapping.unmap();
    this.fd.close();
  }

  /** A view on part of the data, to be lent to the program; offsets as in {@linkcode data}. */
  window(offset: number, length: number): ArrayBuffer {
    return this.#mapping.window(this.#dataOffset + offset, length);
  }

  /** Empties a window, whatever the program has done with it. */
  endWindow(window: ArrayBuffer, offset: number): void {
    this.#mapping.endWindow(window, this.#dataOffset + offset);
  }
}

/** Where the header of a ring that is not mapped is written. */
const header = new Int32Array(W_NAMESPACE + 1), headerBytes = new Uint8Array(header.buffer);

function writeHeader(words: Int32Array, blocks: number, namespace: number): void {
  words[W_MAGIC] = MAGIC_LOW;
  words[W_MAGIC + 1] = MAGIC_HIGH;
  words[W_VERSION] = FORMAT_VERSION;
  words[W_BLOCKS] = blocks;
  words[W_NAMESPACE] = namespace;
}

/** What is wrong with the header of a ring of that many blocks, if anything. */
function problemOf(words: Int32Array, blocks: number): IpcError | undefined {
  if (words[W_MAGIC] !== MAGIC_LOW || words[W_MAGIC + 1] !== MAGIC_HIGH) {
    return new IpcError("Corrupt", "Cannot attach to a channel: its memory does not begin as a ring does");
  }
  if (words[W_VERSION] !== FORMAT_VERSION) {
    return new IpcError(
      "Incompatible",
      `Cannot attach to a channel of format ${words[W_VERSION]}: this version of the package speaks format ` +
        `${FORMAT_VERSION}; use the same version on both sides`,
    );
  }
  if (words[W_BLOCKS] !== blocks) {
    return new IpcError(
      "Corrupt",
      `Cannot attach to a channel: its header says ${words[W_BLOCKS]} blocks, its size says ${blocks}`,
    );
  }
  return undefined;
}
