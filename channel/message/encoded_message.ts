// A message as it came: for relays, which pass it on without decoding it.
import { asFound } from "../../base/arguments.ts";
import { IpcError } from "../../base/error.ts";
import { IpcFd, watchFd } from "../../ffi/file/fd.ts";
import { cannotTravel } from "../../base/pack.ts";
import { copyBytes } from "./byte_pool.ts";
import { outgoing } from "./outgoing.ts";
import { openExtended } from "./record.ts";
import { EXTENDED_HEADER } from "../ring/layout.ts";
import type { RingConsumer } from "../ring/consumer.ts";
import { Attachments } from "./attachments.ts";
import { hasRingless, PassedOn } from "./passed_on.ts";

/** Whether there ever was one here: looking at each value that is sent costs 70 ns, and most programs relay nothing. */
let any = false;
let hasBrand: (value: object) => boolean;
let fdsOf: (message: EncodedMessage) => readonly IpcFd[];
let makeKeepable: (message: EncodedMessage) => void;

/** Tells a message that was not decoded from any value, without asking the value anything. */
export function isEncoded(value: unknown): value is EncodedMessage {
  return any && typeof value === "object" && value !== null && hasBrand(value);
}

/**
 * A message that was not decoded, with the descriptors of the endpoints, memory and files in it. It can be sent on, to
 * several receivers too; close it then.
 *
 * @example A relay
 * ```ts
 * import { channel, type EncodedMessage, type IpcSender } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const [sender, relayed] = channel<{ reply: IpcSender<string> }>();
 * const [onward, receiver] = channel<{ reply: IpcSender<string> }>();
 * const [reply, answers] = channel<string>();
 * await sender.send({ reply });
 * {
 *   using message: EncodedMessage = await relayed.recvEncoded();
 *   await onward.sendEncoded(message);
 * }
 * const request = await receiver.recv(); // in another process, usually
 * await request.reply.send("hello");
 * assertEquals(await answers.recv(), "hello");
 * for (const end of [sender, relayed, onward, receiver, reply, answers, request.reply]) end.close();
 * ```
 */
export class EncodedMessage implements Disposable {
  static {
    cannotTravel(this.prototype, "send it on by sendEncoded()");
    hasBrand = (value) => #fds in value;
    fdsOf = (message) => message.#fds;
    makeKeepable = (message) => message.#makeKeepable();
  }

  #bytes: Uint8Array<ArrayBuffer>;
  #fds: readonly IpcFd[];
  /** Whether all that it holds may have several holders, and until then, what it holds. */
  #keepable: boolean;
  #passedOn: PassedOn | undefined;
  #closed = false;

  /**
   * Makes a message of what is encoded already. As a rule they come from {@linkcode IpcReceiver.recvEncoded}.
   *
   * @param bytes The message in CBOR; nothing is checked here, but by its receiver.
   * @param fds Its descriptors, which belong to this object from now on.
   * @throws {TypeError} If they are something else.
   */
  constructor(bytes: Uint8Array<ArrayBuffer>, fds: readonly IpcFd[]) {
    if (!(bytes instanceof Uint8Array)) {
      throw new TypeError(`Cannot make an encoded message of ${asFound(bytes)}: give a Uint8Array with CBOR`);
    }
    if (!Array.isArray(fds) || !fds.every((fd) => fd instanceof IpcFd)) {
      throw new TypeError("Cannot make an encoded message with these descriptors: give an array of IpcFd");
    }
    any = true;
    this.#bytes = bytes;
    this.#fds = fds;
    this.#keepable = fds.length === 0;
  }

  /**
   * The message in CBOR, a copy of the caller's own. Endpoints in it are numbers of descriptors; when it is sent for the first
   * time, those may change.
   */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes;
  }

  #makeKeepable(): void {
    if (this.#keepable) return;
    if (this.#passedOn === undefined && hasRingless(this.#bytes)) {
      this.#passedOn = new PassedOn(this.#bytes, this.#fds);
      this.#fds = [];
    }
    if (this.#passedOn !== undefined) {
      const { bytes, fds } = this.#passedOn.encode();
      this.#passedOn = undefined;
      this.#bytes = bytes;
      this.#fds = fds;
    }
    this.#keepable = true;
  }

  /** How many descriptors go with it. */
  get descriptors(): number {
    return this.#passedOn?.descriptors ?? this.#fds.length;
  }

  /** Whether it was closed. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Closes the descriptors: what was sent on arrives all the same. Closing twice is harmless. */
  close(): void {
    this.#closed = true;
    this.#passedOn?.close();
    for (const fd of this.#fds) fd.close();
  }

  /** Same as {@linkcode close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * Makes a message that was not decoded the outgoing one.
 *
 * @returns What is attached to it, if anything.
 */
export function loadEncoded(message: EncodedMessage): Attachments | undefined {
  if (message.closed) throw new IpcError("Closed", "Cannot send a message on: it was closed");
  makeKeepable(message);
  outgoing.setBytes(message.bytes);
  const fds = fdsOf(message);
  if (fds.length === 0) return undefined;
  const attachments = new Attachments();
  attachments.add(fds);
  return attachments;
}

/** Takes the message that the ring has found, as it is. */
export function takeEncoded(ring: RingConsumer): EncodedMessage {
  if (!ring.extended) {
    const bytes = copyBytes(ring.memory.data, ring.offset, ring.length);
    ring.release();
    return new EncodedMessage(bytes, []);
  }
  const { body, fds } = openExtended(ring);
  const bytes = body ?? copyBytes(ring.memory.data, ring.offset + EXTENDED_HEADER, ring.length - EXTENDED_HEADER);
  ring.release();
  return new EncodedMessage(bytes, fds.map(watchFd));
}
