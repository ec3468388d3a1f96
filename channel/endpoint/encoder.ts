// What a sender makes of what it is given: CBOR, or bytes as they are.
import { asFound } from "../../base/arguments.ts";
import type { Attachments } from "../message/attachments.ts";
import { encodeMessage } from "../message/codec.ts";
import { isEncoded, loadEncoded } from "../message/encoded_message.ts";
import { outgoing } from "../message/outgoing.ts";

/** Makes messages. */
export interface Encoder<in T> {
  /** Leaves the message in `outgoing`; returns what is attached to it, if anything. */
  encode(value: T): Attachments | undefined;
}

class ValueEncoder implements Encoder<unknown> {
  encode(value: unknown): Attachments | undefined {
    if (isEncoded(value)) return loadEncoded(value);
    return encodeMessage(value);
  }
}

class BytesEncoder implements Encoder<Uint8Array> {
  encode(value: Uint8Array): undefined {
    if (!(value instanceof Uint8Array)) {
      throw new TypeError(`Cannot send ${asFound(value)}: a bytes channel carries Uint8Array only`);
    }
    if (value.length === 0 && (value.buffer as ArrayBuffer).detached) {
      throw new TypeError(
        "Cannot send a Uint8Array whose buffer is detached: it was transferred, or its loan has ended",
      );
    }
    outgoing.setBytes(value);
  }
}

/** The encoder of typed channels. */
export const VALUES: Encoder<unknown> = new ValueEncoder();

/** The encoder of channels of bytes. */
export const BYTES: Encoder<Uint8Array> = new BytesEncoder();
