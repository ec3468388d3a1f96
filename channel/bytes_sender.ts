// The byte sender: messages as they are, without an encoding.
import { HANDLE_FDS, handleFrom } from "./handle.ts";
import { outgoing, SenderBase } from "./sender_base.ts";
import { type Kind, type Luggage, onArrival, PACK } from "./transfer.ts";

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
   * Another sender to the same channel.
   *
   * @returns The clone; it is closed by itself.
   */
  clone(): IpcBytesSender {
    return new IpcBytesSender(this.share());
  }

  /** @ignore */
  protected override encode(value: Uint8Array): object | undefined {
    if (!(value instanceof Uint8Array)) {
      throw new TypeError(`Cannot send ${Deno.inspect(value, { depth: 0 })}: a bytes channel carries Uint8Array only`);
    }
    outgoing.bytes = value;
    outgoing.start = 0;
    outgoing.end = value.length;
    return undefined;
  }

  /** @ignore */
  [PACK](luggage: Luggage): [Kind] {
    this.pack(luggage);
    return ["bytes-sender"];
  }
}

onArrival("bytes-sender", (arrivals, first) => new IpcBytesSender(handleFrom(arrivals.claim(first, HANDLE_FDS))));
