// A message that is passed on without being decoded, and has senders without a ring: these have one holder, see
// `ring/ringless.ts`, and a program that passes the message on keeps it, and may send it to several. So its senders get their rings
// first.
import { decodeParts as decodeCbor } from "../../cbor/mod.ts";
import { IpcError } from "../../base/error.ts";
import type { IpcFd } from "../../ffi/file/fd.ts";
import { closeAll } from "../ring/carrier.ts";
import { decodeWith, encodeMessage } from "./codec.ts";
import type { Attachments } from "./attachments.ts";
import { outgoing } from "./outgoing.ts";
import { isRingless } from "./sender_attachment.ts";
import { MARK, mark, Reviver } from "./travellers.ts";

/** Whether a message, in CBOR, has a sender without a ring. What cannot be decoded is its receiver's business. */
export function hasRingless(bytes: Uint8Array<ArrayBuffer>): boolean {
  let found = false;
  const look = (written: readonly unknown[]) => (found ||= written[0] === MARK && isRingless(written), null);
  try {
    decodeCbor(bytes, 0, bytes.length, (source) => source, mark, look);
  } catch {
    return false;
  }
  return found;
}

/** The endpoints of such a message, until all have their rings. */
export class PassedOn {
  /** How many descriptors it had. */
  readonly descriptors: number;
  readonly #value: unknown;
  readonly #reviver: Reviver;

  /** @param fds The descriptors of the message; this object's from now on, also if it throws. */
  constructor(bytes: Uint8Array<ArrayBuffer>, fds: readonly IpcFd[]) {
    this.descriptors = fds.length;
    this.#reviver = new Reviver(fds);
    this.#value = decodeWith(bytes, this.#reviver);
  }

  /**
   * The message as it can be kept and sent to several; ends this object.
   *
   * @throws {IpcError} `System` if there is no room for a ring: nothing is lost, for another try. `Serialization` if a peer has given
   * what is no sender.
   */
  encode(): { bytes: Uint8Array<ArrayBuffer>; fds: IpcFd[] } {
    const attachments = this.#encode();
    const fds: IpcFd[] = [];
    let bytes: Uint8Array<ArrayBuffer>;
    try {
      bytes = outgoing.snapshot().bytes;
      for (const owner of attachments?.owners ?? []) fds.push(owner.clone());
    } catch (error) {
      closeAll(fds);
      throw error;
    } finally {
      outgoing.forget();
      attachments?.kept();
    }
    this.close();
    return { bytes, fds };
  }

  /** What is wrong with a sender is the fault of the message, not of the channel that it is to go through. */
  #encode(): Attachments | undefined {
    try {
      return encodeMessage(this.#value);
    } catch (error) {
      if (error instanceof IpcError && error.code === "System") throw error;
      throw new IpcError("Serialization", "Cannot send a message on: a sender in it is damaged", { cause: error });
    }
  }

  /** Closes the endpoints. */
  close(): void {
    this.#reviver.abandon();
  }
}
