// Memory of a topic that is lent to the program. It is mapped once more for that, privately: a program that writes to what
// it has borrowed changes a page of its own, and neither ends (the other mapping is for reading alone) nor disturbs anybody.
import { sameBytes } from "../../ffi/memory/compare.ts";
import { Mapping } from "../../ffi/memory/mapping.ts";

/** Bytes of the largest page of any supported kernel. */
const LARGEST_PAGE = 65_536;

/** Part of the memory that is lent. */
export interface Window {
  readonly buffer: ArrayBuffer;
  readonly at: number;
  readonly length: number;
}

/** One private mapping, for as long as anything of it is lent. */
export class Lending {
  readonly #mapping: Mapping;
  readonly #headLength: number;
  #windows = 0;
  #ended = false;

  /**
   * @param fd The file; it may be closed afterwards.
   * @param headLength Bytes before the data.
   * @param dataLength Bytes of data.
   */
  constructor(fd: number, headLength: number, dataLength: number) {
    this.#mapping = Mapping.mirrored(fd, headLength, dataLength, "private");
    this.#headLength = headLength;
  }

  /** Whether nothing more is to be lent of it. */
  get ended(): boolean {
    return this.#ended;
  }

  /**
   * Part of the data for the program to look at.
   *
   * @param original The same part of the memory itself.
   * @returns `undefined` if the two differ: the program has written to a page that what it has borrowed before ends in.
   */
  lend(offset: number, original: Uint8Array): Window | undefined {
    const { length } = original, at = this.#headLength + offset;
    if (this.#windows > 0 && !this.#shows(at, original)) return undefined;
    const buffer = this.#mapping.window(at, length);
    this.#windows++;
    return { buffer, at, length };
  }

  /** Only pages at its ends may be shared with what is lent already. */
  #shows(at: number, original: Uint8Array): boolean {
    const { length } = original, edge = Math.min(length, LARGEST_PAGE);
    const { buffer } = this.#mapping;
    return sameBytes(new Uint8Array(buffer, at, edge), original.subarray(0, edge)) &&
      sameBytes(new Uint8Array(buffer, at + length - edge, edge), original.subarray(length - edge));
  }

  /** Takes it back: every view on it is empty from now on. */
  takeBack({ buffer, at, length }: Window): void {
    const transferred = length > 0 && buffer.detached;
    this.#mapping.endWindow(buffer);
    this.#windows--;
    // A program that has transferred it may still write: nothing is lent from there any more.
    if (transferred) this.#ended = true;
    if (this.#ended) this.#unmap();
    else if (length > 0) this.#mapping.discardWrites(at, length);
  }

  /** Lends nothing more; the memory goes when all has been taken back. */
  end(): void {
    this.#ended = true;
    this.#unmap();
  }

  #unmap(): void {
    if (this.#windows === 0) this.#mapping.unmap();
  }
}
