// Memory for the data of a named ring. Its file takes memory, or disk, only as it is used: a page that is written to for
// the first time when there is none left is a SIGBUS, which no program survives. So a producer allocates before it claims.
//
// What was allocated stays so, until the consumer gives memory back. It counts that in the header, after it has made the
// holes and before anybody can claim what they are in; so a producer that sees room there sees that number as well.
import type { IpcError } from "../../base/error.ts";
import { allocate } from "../../ffi/memory/storage.ts";
import { isOutOfRoom, outOfRoom } from "../../ffi/memory/shortage.ts";
import { BLOCK, dataOffset, W_TRIMS } from "./layout.ts";
import type { RingMemory } from "./memory.ts";

/** Blocks that are allocated at a time: 64 KiB of data. */
const CHUNK = (64 << 10) / BLOCK;

/** What a producer knows to be allocated. */
export class RingAllocation {
  readonly #memory: RingMemory;
  readonly #path: string;
  readonly #known: Uint8Array;
  #trims: number;

  constructor(memory: RingMemory, path: string) {
    this.#memory = memory;
    this.#path = path;
    this.#known = new Uint8Array(Math.ceil(memory.blocks / CHUNK));
    this.#trims = Atomics.load(memory.words, W_TRIMS);
  }

  /**
   * Allocates blocks that are free, from a position on.
   *
   * @param most How many at most.
   * @param needed How many at least. More are not taken than the same chunk has.
   * @returns How many there are now.
   * @throws {IpcError} `System` if there is no room for those that are needed.
   */
  allocate(position: number, most: number, needed: number): number {
    const { blocks, words } = this.#memory;
    // pair: TRIMS/HEAD. HEAD was loaded before TRIMS; the consumer changes TRIMS, then moves HEAD.
    const trims = Atomics.load(words, W_TRIMS);
    if (trims !== this.#trims) {
      this.#known.fill(0);
      this.#trims = trims;
    }
    const first = position & (blocks - 1);
    const wanted = Math.min(most, Math.ceil((first + needed) / CHUNK) * CHUNK - first);
    for (let at = first; at < first + wanted;) {
      const chunk = Math.floor((at & (blocks - 1)) / CHUNK);
      if (this.#known[chunk] === 0) {
        try {
          this.#have(chunk * CHUNK, Math.min(CHUNK, blocks));
          this.#known[chunk] = 1;
        } catch (error) {
          if (!isOutOfRoom(error)) throw error;
          if (at - first >= needed) return at - first;
          this.#justThese(first, needed, error);
          return needed;
        }
      }
      at = (Math.floor(at / CHUNK) + 1) * CHUNK;
    }
    return wanted;
  }

  /** There is no room for whole chunks: perhaps there is for the pages of one message. */
  #justThese(first: number, needed: number, cause: IpcError): void {
    const { blocks } = this.#memory;
    const before = Math.min(needed, blocks - first);
    try {
      this.#have(first, before);
      if (before < needed) this.#have(0, needed - before);
    } catch (error) {
      if (!isOutOfRoom(error)) throw error;
      throw outOfRoom(
        `Cannot send through "${this.#path}": its file system has no room for ${needed * BLOCK} bytes more`,
        "free some, or enlarge it; nothing was sent, and what waits in the channel still arrives",
        cause,
      );
    }
  }

  #have(index: number, count: number): void {
    const { fd, blocks } = this.#memory;
    allocate(fd.fd, dataOffset(blocks) + index * BLOCK, count * BLOCK, `Cannot send through "${this.#path}"`);
  }
}
