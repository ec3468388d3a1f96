// The mapped memory of a topic, as a publisher or a subscriber has it.
import { integerOf } from "../../base/arguments.ts";
import { IpcError } from "../../base/error.ts";
import type { IpcFd } from "../../ffi/file/fd.ts";
import { readWordsAt } from "../../ffi/file/read_at.ts";
import { Futex } from "../../ffi/memory/futex.ts";
import { Mapping } from "../../ffi/memory/mapping.ts";
import { fileSize } from "../../ffi/memory/storage.ts";
import {
  BLOCK,
  DATA_OFFSET,
  DEFAULT_CAPACITY,
  FORMAT_VERSION,
  MAGIC_HIGH,
  MAGIC_LOW,
  MAX_CAPACITY,
  MIN_CAPACITY,
  REMOVED,
  ROOM,
  topicSize,
  W_BLOCKS,
  W_LAST,
  W_MAGIC,
  W_STATE,
  W_TURN,
  W_VERSION,
  WORDS,
} from "./layout.ts";
import { Lending, type Window } from "./lending.ts";

/** The blocks of a new topic that keeps as many bytes as an option asks for. */
export function blocksOf(capacity: number | undefined): number {
  const bytes = capacity ?? DEFAULT_CAPACITY;
  integerOf(bytes, 1, MAX_CAPACITY, "Cannot make a topic with the capacity");
  return ROOM * Math.max(MIN_CAPACITY, 2 ** Math.ceil(Math.log2(bytes))) / BLOCK;
}

/** The header of a new topic, for the beginning of its file. */
export function newHeader(blocks: number): Int32Array<ArrayBuffer> {
  const words = new Int32Array(1024);
  words[W_MAGIC] = MAGIC_LOW;
  words[W_MAGIC + 1] = MAGIC_HIGH;
  words[W_VERSION] = FORMAT_VERSION;
  words[W_BLOCKS] = blocks;
  words[W_LAST] = words[W_LAST + 1] = -1;
  return words;
}

/**
 * The blocks of the topic in a file. Read, not mapped: the file may be any.
 *
 * @param what Begins the messages of errors.
 * @throws {IpcError} `Incompatible` if it is not a topic, or one of another format.
 */
export function blocksIn(fd: number, what: string): number {
  const size = fileSize(fd);
  const words = readWordsAt(fd, 0, W_STATE);
  if (size < topicSize(0) || words[W_MAGIC] !== MAGIC_LOW || words[W_MAGIC + 1] !== MAGIC_HIGH) {
    throw new IpcError("Incompatible", `${what}: the file is not a topic; use another name`);
  }
  if (words[W_VERSION] !== FORMAT_VERSION) {
    throw new IpcError(
      "Incompatible",
      `${what}: it has format ${
        words[W_VERSION]
      }, and this version of the package knows format ${FORMAT_VERSION}; use ` +
        "the same version in all programs",
    );
  }
  const blocks = words[W_BLOCKS]!;
  const valid = blocks >= ROOM * MIN_CAPACITY / BLOCK && blocks <= ROOM * MAX_CAPACITY / BLOCK &&
    (blocks & (blocks - 1)) === 0 && topicSize(blocks) === size;
  if (valid) return blocks;
  throw new IpcError(
    "Incompatible",
    `${what}: its header says ${blocks} blocks, which a file of ${size} bytes cannot have; remove it`,
  );
}

/** One attachment's memory. */
export class TopicMemory {
  readonly #mapping: Mapping;
  readonly #fd: IpcFd;
  /** Everything before the data, as words. */
  readonly words: Int32Array<ArrayBuffer>;
  /** The data, twice in a row, so that every message is contiguous. */
  readonly data: Uint8Array<ArrayBuffer>;
  /** The same as words, for headers. */
  readonly dataWords: Int32Array<ArrayBuffer>;
  /** The same eight bytes at a time. */
  readonly dataLongs: BigInt64Array<ArrayBuffer>;
  /** Blocks of the data, a power of two. */
  readonly blocks: number;
  /** Whether this is a publisher's. */
  readonly mayWrite: boolean;
  #lending: Lending | undefined;

  /**
   * @param fd The file; owned by this object from now on, and still the caller's if this throws.
   * @param access Publishers write.
   * @param what Begins the messages of errors.
   */
  constructor(fd: IpcFd, access: "read" | "write", what: string) {
    const blocks = blocksIn(fd.fd, what);
    this.#fd = fd;
    this.blocks = blocks;
    this.mayWrite = access === "write";
    const kind = access === "read" ? "read-only" : "shared";
    this.#mapping = Mapping.mirrored(fd.fd, DATA_OFFSET, blocks * BLOCK, kind);
    const { buffer } = this.#mapping;
    this.words = new Int32Array(buffer, 0, WORDS);
    this.data = new Uint8Array(buffer, DATA_OFFSET);
    this.dataWords = new Int32Array(buffer, DATA_OFFSET);
    this.dataLongs = new BigInt64Array(buffer, DATA_OFFSET);
  }

  /** The file, still owned by this object. */
  get fd(): IpcFd {
    return this.#fd;
  }

  /** The word by which publishers take turns, to sleep at. */
  get turn(): Futex {
    return new Futex(this.#mapping, W_TURN * 4);
  }

  /** Bytes of the largest message, and bytes that are kept at least. */
  get capacity(): number {
    return this.blocks * BLOCK / ROOM;
  }

  /** Whether it has been removed, and its path is another topic's. */
  get removed(): boolean {
    return Atomics.load(this.words, W_STATE) === REMOVED;
  }

  /** Lends part of the data to the program, if that can be; a copy does otherwise. */
  lend(offset: number, length: number): { window: Window; takeBack: () => void } | undefined {
    if (this.#lending === undefined || this.#lending.ended) {
      this.#lending = new Lending(this.#fd.fd, DATA_OFFSET, this.blocks * BLOCK);
    }
    const lending = this.#lending;
    const window = lending.lend(offset, this.data.subarray(offset, offset + length));
    return window && { window, takeBack: () => lending.takeBack(window) };
  }

  /** Unmaps everything, but for what is lent, and closes the file. */
  close(): void {
    this.#lending?.end();
    this.#mapping.unmap();
    this.#fd.close();
  }
}
