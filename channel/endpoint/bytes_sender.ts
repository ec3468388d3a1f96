// The byte sender: messages as they are, without an encoding.
import { asFound } from "../../base/arguments.ts";
import { type SyncWaitOptions, timeoutOf, type WaitOptions } from "../../base/wait.ts";
import { afterOthers } from "../../base/event_loop.ts";
import { claimSender } from "../message/sender_attachment.ts";
import { type Loan, tryLoan } from "./reservation.ts";
import { outgoing } from "../message/outgoing.ts";
import { SenderBase } from "./sender_base.ts";
import { SenderPort } from "./sender_port.ts";
import { type NamedChannelOptions, openRingFile } from "../named/file.ts";
import { type Attachments, type Kind, onArrival, PACK } from "../message/attachments.ts";

/**
 * Sends byte strings, without an encoding: the fastest way through a channel.
 *
 * @example Sending raw bytes
 * ```ts
 * import { bytesChannel } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const [sender, receiver] = bytesChannel();
 * sender.sendSync(new Uint8Array([1, 2, 3]));
 * assertEquals(receiver.recvSync(), new Uint8Array([1, 2, 3]));
 * sender.close(), receiver.close();
 * ```
 */
export class IpcBytesSender extends SenderBase<Uint8Array> {
  /**
   * Attaches to a named channel, which is made if there is none. Senders and the receiver come and go in any order;
   * what is sent while no receiver runs waits for one, as far as there is room.
   *
   * A named channel carries data only, and no message larger than itself. Nobody is told of the other side's end. Its
   * file does not say what the messages are: for a receiver of values, bytes that are no CBOR are `Serialization`.
   *
   * @param path Where the channel's file is, or is to be; best in a folder that is memory, such as `/dev/shm`.
   * @param options Whose channel is used; capacity and permission bits, for one that does not exist yet.
   * @returns A sender to it.
   * @throws {IpcError} `Incompatible` if the path is something else, `NotFound` if its folder does not exist,
   * `Permission` if another user has made it, or others may write to it, who are not trusted; `System` if there is no room.
   * @throws {TypeError} If the path is none, or the name of a server (`@name`).
   */
  static open(path: string, options: NamedChannelOptions = {}): IpcBytesSender {
    return new IpcBytesSender(SenderPort.open(openRingFile(path, options)));
  }

  /**
   * Another sender to the same channel.
   *
   * @returns The clone; it is closed by itself.
   * @throws {IpcError} `Closed`.
   */
  clone(): IpcBytesSender {
    return new IpcBytesSender(this.share());
  }

  /**
   * Reserves room for a message in the ring itself, to be filled in place; waits until there is some.
   *
   * @param length Bytes, at most the channel's capacity.
   * @param options How long to wait at most, and a signal that ends the wait.
   * @returns The room.
   * @throws {IpcError} `Disconnected`, `Timeout`, `Closed`; `TooLarge` if the ring can never hold it.
   * @throws {RangeError} If the length is not an integer from 0.
   */
  reserve(length: number, options?: WaitOptions): Promise<Loan> {
    try {
      if (options !== undefined) {
        timeoutOf(options);
        options.signal?.throwIfAborted();
      }
      const port = this.port() as SenderPort;
      return port.whenRoom(this.seat(), () => tryLoan(port, length), options);
    } catch (error) {
      return afterOthers(Promise.reject(error));
    }
  }

  /**
   * The blocking twin of {@linkcode reserve}.
   *
   * @param length Bytes, at most the channel's capacity.
   * @param options How long to wait at most.
   * @returns The room.
   * @throws {IpcError} As {@linkcode reserve}.
   */
  reserveSync(length: number, options?: SyncWaitOptions): Loan {
    if (options !== undefined) timeoutOf(options);
    const port = this.port() as SenderPort;
    return port.whenRoomSync(() => tryLoan(port, length), options);
  }

  /**
   * Reserves room for a message if there is some now.
   *
   * @param length Bytes, at most the channel's capacity.
   * @returns The room, or `undefined` if there is none now.
   * @throws {IpcError} `Disconnected`, `Closed`; `TooLarge` if the ring can never hold it.
   */
  tryReserve(length: number): Loan | undefined {
    const port = this.port() as SenderPort;
    return port.ifRoom(() => tryLoan(port, length));
  }

  /** @ignore */
  protected override encode(value: Uint8Array): object | undefined {
    if (!(value instanceof Uint8Array)) {
      throw new TypeError(`Cannot send ${asFound(value)}: a bytes channel carries Uint8Array only`);
    }
    if (value.length === 0 && (value.buffer as ArrayBuffer).detached) {
      throw new TypeError(
        "Cannot send a Uint8Array whose buffer is detached: it was transferred, or its loan has ended",
      );
    }
    outgoing.setBytes(value);
    return undefined;
  }

  /** @ignore */
  [PACK](attachments: Attachments): [Kind, ...unknown[]] {
    return ["bytes-sender", ...this.pack(attachments)];
  }
}

onArrival(
  "bytes-sender",
  (attachments, first, details) => new IpcBytesSender(claimSender(attachments, first, details)),
);
