// The receiver of a channel without a ring, in the isolate that made the channel: see `ringless.ts`.
import { IpcError } from "../../base/error.ts";
import { type IpcFd, unwatched } from "../../ffi/file/fd.ts";
import { closeAllForeign } from "../../ffi/file/foreign_fd.ts";
import { socketPair } from "../../ffi/socket/new_socket.ts";
import { stopReceiving } from "../../ffi/socket/pair_end.ts";
import {
  copyWhole,
  dropCopied,
  END_LOOKS,
  isPeerGone,
  isReset,
  messageError,
  sendMessage,
  tellsEnd,
  wasCutOff,
  wouldWait,
} from "../../ffi/socket/socket_message.ts";
import { PACKET } from "./carrier.ts";
import { closeHandle, type Handle, HANDLE_FDS, handleFds, handleFrom } from "./handle.ts";
import {
  fields,
  GROW_FDS,
  KIND_GROW,
  KIND_POST,
  KIND_RING,
  MOST_POSTED,
  packet,
  RING_FDS,
  writeHeader,
} from "./ringless.ts";
import { RinglessBell } from "./ringless_bell.ts";
import { RinglessSender } from "./ringless_sender.ts";
import { RinglessWait } from "./ringless_wait.ts";

/** Both ends of the ring that the sender has made. */
export interface Grown {
  /** Whether the message that was posted is the first one there, again. */
  readonly hasPost: boolean;
  readonly receiver: Handle;
  /** For the senders of the isolate that has the receiver. */
  readonly sender: Handle;
}

/**
 * The receiver without a ring. Those that wait for messages use it as they use a ring's consumer: it has as much of that as they
 * need.
 */
export class RinglessReceiver {
  /** As in a ring's consumer: posts are small. */
  readonly extended = false;
  readUntil = Infinity;
  readonly bell: RinglessBell;
  readonly wait: RinglessWait;
  readonly #socket: IpcFd;
  /** The message that was posted, until it is received; and whether it is in the socket still. */
  #post: Uint8Array<ArrayBuffer> | undefined;
  #inSocket = false;
  #posted = false;
  #grown: Grown | undefined;
  #over = false;

  private constructor(socket: IpcFd) {
    this.#socket = socket;
    this.bell = new RinglessBell(socket);
    this.wait = new RinglessWait(this, socket);
  }

  /**
   * Makes both ends. They are not closed should they be forgotten.
   *
   * @param capacity Bytes of the ring that it will have, as `capacityOf` returns it.
   * @throws {IpcError} `System` without descriptors.
   */
  static create(capacity: number): [RinglessSender, RinglessReceiver] {
    const [sender, receiver] = unwatched(() => socketPair("seqpacket"));
    return [new RinglessSender(sender, capacity), new RinglessReceiver(receiver)];
  }

  /** Whether there is nothing, and nothing will come any more that is not in {@linkcode grown}. */
  get isDone(): boolean {
    return this.#over && this.#post === undefined;
  }

  /** Whether nothing will come any more that is not in {@linkcode grown}. */
  get over(): boolean {
    return this.#over;
  }

  /** Whether it was closed: by {@linkcode close}, or as a peer has sent what is malformed. */
  get closed(): boolean {
    return this.#socket.closed;
  }

  /** What the sender has made, once it is over. */
  get grown(): Grown | undefined {
    return this.#grown;
  }

  /** What {@linkcode grown} says belongs to somebody else from now on. */
  adopted(): void {
    this.#grown = undefined;
  }

  /** Whether the message that was posted was received. */
  get delivered(): boolean {
    return this.#posted && this.#post === undefined;
  }

  /**
   * Looks for a message.
   *
   * @returns Whether there is one.
   * @throws {IpcError} `Corrupt` if a peer has sent anything else; it is over then. `System` if this process has no room for what
   * came; nothing is lost.
   */
  next(): boolean {
    if (this.#post !== undefined) return true;
    if (!this.#over) this.#read();
    return this.#post !== undefined;
  }

  /** The message that was found; it is received. */
  take(): Uint8Array<ArrayBuffer> {
    const bytes = this.#post!;
    this.#drop();
    this.#post = undefined;
    return bytes;
  }

  /** Not before it is received, as its sender can see whether it is: see `ringless_growth.ts`. */
  #drop(): void {
    if (this.#inSocket) dropCopied(this.#socket.fd, packet, PACKET + this.#post!.length);
    this.#inSocket = false;
  }

  /** Reads one packet; `false` if there is none, or no more. */
  #read(): boolean {
    let received = copyWhole(this.#socket.fd, packet);
    for (let i = 0; i < END_LOOKS && tellsEnd(received); i++) received = copyWhole(this.#socket.fd, packet);
    if (typeof received === "number") {
      if (wouldWait(received)) return false;
      if (!isReset(received)) throw messageError("Cannot receive a message", received, "recvmsg");
      this.#over = true;
      return false;
    }
    const { length, fds } = received;
    if (length === 0) {
      this.#over = true;
      closeAllForeign(fds);
      return false;
    }
    const kind = length < PACKET || wasCutOff(received) ? 0 : fields.getInt32(0, true),
      count = fields.getInt32(12, true);
    if (kind === KIND_POST && fds.length === 0 && count === length - PACKET && count <= MOST_POSTED && !this.#posted) {
      this.#post = packet.slice(PACKET, length);
      this.#posted = this.#inSocket = true;
    } else if (kind === KIND_GROW && length === PACKET && count === GROW_FDS && fds.length === GROW_FDS) {
      this.#over = true;
      const hasPost = fields.getInt32(8, true) !== 0;
      this.#grown = { hasPost, receiver: handleFrom(fds), sender: handleFrom(fds.slice(HANDLE_FDS)) };
      dropCopied(this.#socket.fd, packet, length);
    } else {
      closeAllForeign(fds);
      this.close();
      throw new IpcError("Corrupt", "Cannot receive a message: a peer sent a malformed packet");
    }
    return true;
  }

  /**
   * Ends the sender's part, and reads what it has sent until now. Follow it by {@linkcode giveRing}, or {@linkcode close}: the
   * sender waits for that.
   *
   * @returns The message that was posted and not received.
   * @throws {IpcError} As {@linkcode next}.
   */
  stop(): Uint8Array<ArrayBuffer> | undefined {
    if (!this.#over) stopReceiving(this.#socket);
    do this.#drop(); while (!this.#over && this.#read());
    return this.#post;
  }

  /**
   * Gives the sender its end of a ring, if there is still one.
   *
   * @param handle It stays the caller's.
   * @throws {IpcError} `System` if too many descriptors are in flight.
   */
  giveRing(handle: Handle): void {
    writeHeader(KIND_RING, 0, RING_FDS);
    const sent = sendMessage(this.#socket.fd, packet, handleFds(handle).map(({ fd }) => fd), PACKET);
    if (sent >= 0 || isPeerGone(sent)) return;
    throw messageError("Cannot make a channel larger", sent, "sendmsg");
  }

  /** Closes it: the sender finds nobody there. Those who wait are told to look. */
  close(): void {
    this.#over = true;
    this.#post = undefined;
    this.#inSocket = false;
    if (this.#grown !== undefined) closeHandle(this.#grown.receiver), closeHandle(this.#grown.sender);
    this.#grown = undefined;
    this.#socket.close();
    this.bell.stop(true);
  }
}
