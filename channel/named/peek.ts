// Looks into a named ring without attaching to it: no lock, no doorbell, nothing written and nothing received.
//
// What is read is what senders and the receiver are working on meanwhile, and what a hostile peer may have put there.
// So a backlog is a picture of one moment: what was received while it was taken is left out of it.
import { openIfThere } from "../../ffi/file/open.ts";
import { IpcError } from "../../base/error.ts";
import type { IpcFd } from "../../ffi/file/fd.ts";
import { type FileStatus, fileStatus } from "../../ffi/file/file_status.ts";
import { isAlive, ownThread } from "../../ffi/process/liveness.ts";
import { readAt, readWordsAt } from "../../ffi/file/read_at.ts";
import {
  BELL_CLOSED,
  BLOCK,
  blocksFor,
  dataOffset,
  EXTENDED_HEADER,
  FORMAT_VERSION,
  HEADER_BYTES,
  ID_NAMESPACE,
  ID_PID,
  ID_START,
  ID_TID,
  IS_OUT_OF_LINE,
  MAGIC_HIGH,
  MAGIC_LOW,
  MAX_CAPACITY,
  MIN_CAPACITY,
  ringSize,
  SLOT_WORDS,
  SLOTS,
  W_BELL,
  W_BLOCKS,
  W_COMMIT,
  W_CONSUMER,
  W_HEAD,
  W_MAGIC,
  W_READ,
  W_SLOTS,
  W_TAIL,
  W_VERSION,
} from "../ring/layout.ts";

/** The words of the header that change. */
export interface RingCounters {
  /** First position that is not released. */
  readonly head: number;
  /** First position that was not received. */
  readonly read: number;
  /** First position that nobody has claimed. */
  readonly tail: number;
  /** Whether the receiver waits for a message at this moment. */
  readonly receiverWaits: boolean;
}

/** One message that waits. */
export interface WaitingMessage {
  /** Where its record begins: positions count blocks since the ring was made, in 32 bits. */
  readonly position: number;
  /** Bytes of it. */
  readonly length: number;
  /** Whether its bytes lie behind a header of their own. */
  readonly extended: boolean;
}

/** What waits in a ring. */
export interface Backlog {
  /** The messages, oldest first. */
  readonly messages: readonly WaitingMessage[];
  /** Blocks that are claimed by senders that have not finished, or never will. */
  readonly unfinished: number;
  /** What breaks the rules, if anything: then the messages are those before it. */
  readonly damage: string | undefined;
}

/** How often the positions are looked at again that moved meanwhile so far that they contradict one another. */
const ATTEMPTS = 100;

/** Commit words that are read at a time. */
const WORDS_AT_A_TIME = 1 << 16;

/** A named ring, looked at. */
export class RingPeek implements Disposable {
  readonly status: FileStatus;
  /** Blocks of the ring, a power of two. */
  readonly blocks: number;
  readonly #fd: IpcFd;

  private constructor(fd: IpcFd, status: FileStatus, blocks: number) {
    this.#fd = fd;
    this.status = status;
    this.blocks = blocks;
  }

  /**
   * Opens the file at a path, for reading alone.
   *
   * @returns `undefined` if there is nothing at the path.
   * @throws {IpcError} `Incompatible` if it is not a ring, or one of another format.
   */
  static open(path: string): RingPeek | undefined {
    const what = `Cannot look at the channel "${path}"`;
    const fd = openIfThere(path, { access: "read", followLink: true }, () => what);
    if (fd === undefined) return undefined;
    const number = fd.fd;
    try {
      const status = fileStatus(number);
      if (status?.regular !== true) throw noChannel(what, "not a regular file");
      let blocks = MIN_CAPACITY / BLOCK;
      while (ringSize(blocks) < status.size && blocks < MAX_CAPACITY / BLOCK) blocks *= 2;
      if (ringSize(blocks) !== status.size) {
        throw noChannel(what, `a file of ${status.size} bytes, not the size of a ring`);
      }
      const words = readWordsAt(number, 0, W_BLOCKS + 1);
      if (words[W_MAGIC] !== MAGIC_LOW || words[W_MAGIC + 1] !== MAGIC_HIGH) {
        throw noChannel(what, "a file that does not begin as a ring does");
      }
      if (words[W_VERSION] !== FORMAT_VERSION) {
        throw new IpcError(
          "Incompatible",
          `${what}: it has format ${words[W_VERSION]}, and this version of the package knows format ${FORMAT_VERSION}`,
        );
      }
      if (words[W_BLOCKS] !== blocks) {
        throw noChannel(what, `damaged: its header says ${words[W_BLOCKS]} blocks, its size says ${blocks}`);
      }
      return new RingPeek(fd, status, blocks);
    } catch (error) {
      fd.close();
      throw error;
    }
  }

  /** Bytes that it can hold. */
  get capacity(): number {
    return this.blocks * BLOCK;
  }

  /** What the header says now. */
  counters(): RingCounters {
    // Not one moment: the positions move while they are copied. So the first two are looked at before and after the third.
    for (let attempt = 0;; attempt++) {
      const before = this.#header(), after = this.#header();
      const head = before[W_HEAD]!, read = before[W_READ]!, tail = after[W_TAIL]!;
      const received = (read - head) | 0;
      // As a new receiver has it: damaged where the three are not in their order.
      const ordered = received >= 0 && ((tail - read) | 0) >= 0 && this.#used(head, tail) >= 0;
      const receiverWaits = after[W_BELL]! > 0;
      if (ordered) return { head, read, tail, receiverWaits };
      if (after[W_HEAD] === head || attempt === ATTEMPTS) return { head, read: head, tail, receiverWaits };
    }
  }

  #header(): Int32Array {
    return readWordsAt(this.#fd.fd, 0, HEADER_BYTES / 4);
  }

  /** Whether the receiver has closed the channel for good. */
  get closed(): boolean {
    return readWordsAt(this.#fd.fd, W_BELL * 4, 1)[0] === BELL_CLOSED;
  }

  /** Blocks from one position to another; below 0 if they cannot be those of this ring. */
  #used(head: number, tail: number): number {
    const used = (tail - head) | 0;
    return used > this.blocks ? -1 : used;
  }

  /** Ids of the processes that can receive, and send, by this ring now; those of another PID namespace are left out. */
  endpoints(): { receiver: number | undefined; senders: number[] } {
    const { fd } = this.#fd;
    const receiver = pidOf(readWordsAt(fd, W_CONSUMER * 4, 4), 0);
    const slots = readWordsAt(fd, W_SLOTS * 4, SLOTS * SLOT_WORDS);
    const senders: number[] = [];
    for (let slot = 0; slot < SLOTS; slot++) {
      const pid = pidOf(slots, slot * SLOT_WORDS);
      if (pid !== undefined) senders.push(pid);
    }
    return { receiver, senders };
  }

  /** What waits in the ring, at one moment. */
  backlog(): Backlog {
    const { head, read, tail } = this.counters();
    if (this.#used(head, tail) < 0) {
      return {
        messages: [],
        unfinished: 0,
        damage: `its head is ${head} and its tail ${tail}, of ${this.blocks} blocks`,
      };
    }
    const commits = this.#commitWords(read, (tail - read) | 0);
    // What was taken meanwhile may have been cleared half-way, or be another record's by now, a lap later. What has not
    // been taken yet was there all the time.
    const taken = (this.counters().read - read) | 0;
    const messages: WaitingMessage[] = [];
    let unfinished = 0, damage: string | undefined;
    for (let at = Math.max(0, taken); at < commits.length;) {
      const word = commits[at]!;
      if (word === 0) {
        unfinished++;
        at++;
        continue;
      }
      const padding = word < 0 && (word & 1) !== 0;
      const extended = word < 0 && !padding;
      const length = word > 0 ? word - 1 : extended ? -(word >> 1) : 0;
      const blocks = padding ? (-word - 1) >>> 1 : blocksFor(length);
      if (blocks < 1 || at + blocks > commits.length || (extended && length < EXTENDED_HEADER)) {
        damage = `the record at position ${(read + at) >>> 0} claims ${blocks} blocks, and ${
          commits.length - at
        } are left`;
        break;
      }
      if (!padding) {
        const header = extended ? EXTENDED_HEADER : 0;
        messages.push({ position: (read + at) | 0, length: length - header, extended });
      }
      at += blocks;
    }
    return { messages, unfinished, damage };
  }

  #commitWords(from: number, count: number): Int32Array {
    const words = new Int32Array(count);
    for (let done = 0; done < count;) {
      const index = (from + done) & (this.blocks - 1);
      const part = Math.min(count - done, this.blocks - index, WORDS_AT_A_TIME);
      words.set(readWordsAt(this.#fd.fd, (W_COMMIT + index) * 4, part), done);
      done += part;
    }
    return words;
  }

  /**
   * A copy of a message.
   *
   * @returns `undefined` if it was received meanwhile, or does not lie in the ring.
   */
  read({ position, length, extended }: WaitingMessage): Uint8Array<ArrayBuffer> | undefined {
    const start = position & (this.blocks - 1);
    const header = extended ? EXTENDED_HEADER : 0;
    const all = this.#data(start * BLOCK, header + length);
    if (((position - this.counters().read) | 0) < 0) return undefined;
    if (extended && (new Int32Array(all.buffer, 0, 1)[0]! & IS_OUT_OF_LINE) !== 0) return undefined;
    return all.subarray(header);
  }

  /** Part of the data, which goes on at its beginning behind its end. */
  #data(offset: number, length: number): Uint8Array<ArrayBuffer> {
    const begin = dataOffset(this.blocks);
    const first = Math.min(length, this.capacity - offset);
    if (first === length) return readAt(this.#fd.fd, begin + offset, length);
    const bytes = new Uint8Array(length);
    bytes.set(readAt(this.#fd.fd, begin + offset, first));
    bytes.set(readAt(this.#fd.fd, begin, length - first), first);
    return bytes;
  }

  /** Closes the file. */
  close(): void {
    this.#fd.close();
  }

  /** Same as {@linkcode RingPeek.close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}

function noChannel(what: string, found: string): IpcError {
  return new IpcError("Incompatible", `${what}: the path is ${found}, so not a channel; name the path of a channel`);
}

/** The process of an identity, if its thread lives and its numbers mean something here. */
function pidOf(words: Int32Array, at: number): number | undefined {
  const tid = words[at + ID_TID]!, pid = words[at + ID_PID]!, namespace = words[at + ID_NAMESPACE]!;
  if (tid <= 0 || pid <= 0 || namespace === 0 || namespace !== ownThread().namespace) return undefined;
  return isAlive({ tid, start: words[at + ID_START]!, namespace }) ? pid : undefined;
}
