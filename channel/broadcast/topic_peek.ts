// Looks into a topic without attaching to it: nothing is locked, and what is read may be overwritten meanwhile.
import { IpcError } from "../../base/error.ts";
import type { IpcFd } from "../../ffi/file/fd.ts";
import { type FileStatus, fileStatus } from "../../ffi/file/file_status.ts";
import { lockHolders } from "../../ffi/file/lock_holders.ts";
import { openRegularFile } from "../../ffi/file/named_file.ts";
import { readAt, readWordsAt } from "../../ffi/file/read_at.ts";
import { isAlive, ownThread } from "../../ffi/process/liveness.ts";
import { ID_NAMESPACE, ID_PID, ID_START, ID_TID, SLOT_WORDS, SLOTS, W_SLOTS } from "../ring/layout.ts";
import {
  BLOCK,
  blocksFor,
  DATA_OFFSET,
  HEADER_WORDS,
  MESSAGE_HEADER,
  REMOVED,
  ROOM,
  W_LAST,
  W_OLDEST,
  W_STATE,
} from "./layout.ts";
import { blocksIn } from "./memory.ts";
import { positionOf } from "./position.ts";
import { seatsPath, topicName } from "./topic_name.ts";

/** A topic, as its files tell. */
export interface TopicInfo {
  /** The name that it is opened by. */
  readonly name: string;
  /** Where it is. */
  readonly path: string;
  /** Bytes of its file. */
  readonly size: number;
  /** Bytes of messages that it keeps, at least. */
  readonly capacity: number;
  /** Messages that were ever published. */
  readonly published: number;
  /** Messages of which a subscriber can still begin with the oldest. */
  readonly kept: number;
  /** Ids of the processes that publish, as far as this user may see them; one with two publishers is there twice. */
  readonly publishers: readonly number[];
  /** The same for those that subscribe. */
  readonly subscribers: readonly number[];
  /** Whether a living process is attached to it, as far as this user may see. */
  readonly attached: boolean;
  /** What breaks the rules in it, if anything. */
  readonly damage: string | undefined;
}

/** One message that is kept. */
export interface KeptMessage {
  /** Which one it is, from 0. */
  readonly number: number;
  /** Bytes of it. */
  readonly length: number;
  readonly position: number;
}

/** A topic, looked at. */
export class TopicPeek implements Disposable {
  readonly path: string;
  readonly #fd: IpcFd;
  readonly #status: FileStatus;
  readonly #blocks: number;

  private constructor(path: string, fd: IpcFd, status: FileStatus, blocks: number) {
    this.path = path;
    this.#fd = fd;
    this.#status = status;
    this.#blocks = blocks;
  }

  /**
   * Opens the file at a path, for reading alone.
   *
   * @returns `undefined` if there is nothing at the path.
   * @throws {IpcError} `Incompatible` if it is not a topic.
   */
  static open(path: string): TopicPeek | undefined {
    const what = `Cannot look at the topic "${topicName(path)}"`;
    const found = openRegularFile(path, "read", what);
    if (found === "nothing") return undefined;
    if (found === "another kind") throw new IpcError("Incompatible", `${what}: "${path}" is not a regular file`);
    try {
      return new TopicPeek(path, found.fd, found.status, blocksIn(found.fd.fd, what));
    } catch (error) {
      found.fd.close();
      throw error;
    }
  }

  #position(at: number): number {
    const words = readWordsAt(this.#fd.fd, at * 4, 2);
    return positionOf(words[0]!, words[1]!);
  }

  #header(position: number): KeptMessage | undefined {
    const at = DATA_OFFSET + (position & (this.#blocks - 1)) * BLOCK;
    const words = readWordsAt(this.#fd.fd, at, MESSAGE_HEADER / 4);
    const length = words[0]!, number = positionOf(words[2]!, words[3]!);
    // Looked at afterwards: publishers move it before they write.
    if (this.#position(W_OLDEST) > position) return undefined;
    return length >= 0 && length <= this.capacity && number >= 0 ? { number, length, position } : undefined;
  }

  /** Bytes of messages that it keeps, at least. */
  get capacity(): number {
    return this.#blocks * BLOCK / ROOM;
  }

  /** What is known of it. */
  info(): TopicInfo {
    const header = readWordsAt(this.#fd.fd, 0, HEADER_WORDS);
    const last = positionOf(header[W_LAST]!, header[W_LAST + 1]!);
    const newest = last < 0 ? undefined : this.#header(last);
    const [oldest] = this.messages(1);
    const publishers = this.#publishers(), subscribers = lockHolders(this.#status);
    const seats = fileStatus(seatsPath(this.path));
    const attached = subscribers.length > 0 || (seats !== undefined && lockHolders(seats).length > 0);
    return {
      name: topicName(this.path),
      path: this.path,
      size: this.#status.size,
      capacity: this.capacity,
      published: newest === undefined ? 0 : newest.number + 1,
      kept: newest === undefined || oldest === undefined ? 0 : Math.max(0, newest.number - oldest.number + 1),
      publishers,
      subscribers,
      attached,
      damage: header[W_STATE] === REMOVED
        ? "it was removed"
        : last >= 0 && newest === undefined && this.#position(W_LAST) === last && this.#position(W_OLDEST) <= last
        ? "its newest message is impossible"
        : undefined,
    };
  }

  #publishers(): number[] {
    const slots = readWordsAt(this.#fd.fd, W_SLOTS * 4, SLOTS * SLOT_WORDS);
    const found: number[] = [];
    for (let at = 0; at < slots.length; at += SLOT_WORDS) {
      const tid = slots[at + ID_TID]!, pid = slots[at + ID_PID]!, namespace = slots[at + ID_NAMESPACE]!;
      if (tid <= 0 || pid <= 0 || namespace === 0 || namespace !== ownThread().namespace) continue;
      if (isAlive({ tid, start: slots[at + ID_START]!, namespace })) found.push(pid);
    }
    return found;
  }

  /** The messages that are kept, the oldest first, at most so many. */
  messages(limit: number): KeptMessage[] {
    const found: KeptMessage[] = [];
    const last = this.#position(W_LAST);
    for (let position = this.#position(W_OLDEST); found.length < limit && position <= last;) {
      const message = this.#header(position);
      if (message === undefined) break; // overwritten meanwhile
      found.push(message);
      position += blocksFor(message.length);
    }
    return found;
  }

  /** A copy of a message; `undefined` if it was overwritten. */
  read({ position, length }: KeptMessage): Uint8Array<ArrayBuffer> | undefined {
    const size = this.#blocks * BLOCK;
    const at = (position & (this.#blocks - 1)) * BLOCK + MESSAGE_HEADER;
    const bytes = new Uint8Array(length);
    const first = Math.max(0, Math.min(length, size - at));
    bytes.set(readAt(this.#fd.fd, DATA_OFFSET + at, first));
    if (first < length) bytes.set(readAt(this.#fd.fd, DATA_OFFSET, length - first), first);
    return this.#position(W_OLDEST) <= position ? bytes : undefined;
  }

  /** Closes the file. */
  [Symbol.dispose](): void {
    this.#fd.close();
  }
}
