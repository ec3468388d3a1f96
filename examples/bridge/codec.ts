// Values as CBOR and back, by the library's own rules: what goes through a channel undecoded is the encoding.
import { channel, EncodedMessage } from "../../mod.ts";

/** Turns values into bytes and back. */
export class Codec implements Disposable {
  readonly #channel = channel<unknown>();

  /** @throws {IpcError} `Serialization` if the value cannot be encoded, or has endpoints in it. */
  encode(value: unknown): Uint8Array<ArrayBuffer> {
    const [sender, receiver] = this.#channel;
    sender.sendSync(value);
    using message = receiver.recvEncodedSync();
    if (message.descriptors > 0) {
      throw new TypeError("Cannot encode the value: there are endpoints in it, which stay on a machine");
    }
    return message.bytes;
  }

  /** @throws {IpcError} `Serialization` if the bytes are no CBOR, or none that a channel carries. */
  decode(bytes: Uint8Array): unknown {
    const [sender, receiver] = this.#channel;
    using message = new EncodedMessage(bytes.slice(), []);
    sender.sendEncodedSync(message);
    return receiver.recvSync();
  }

  /** Lets go of it. */
  [Symbol.dispose](): void {
    for (const end of this.#channel) end.close();
  }
}
