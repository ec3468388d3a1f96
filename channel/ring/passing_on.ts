// The handle that stands for a producer in a message: three descriptors the first time, then one if that can be arranged.
import type { IpcFd } from "../../ffi/file/fd.ts";
import { PackedSender, packSender, unpacked } from "./packed_sender.ts";
import type { SenderHandle } from "./sender_handle.ts";

/** What others are given of one producer. */
export class PassingOn {
  readonly #memory: IpcFd;
  readonly #endToGive: () => IpcFd;
  readonly #socket: IpcFd;
  /** The consumer's end of the socket, if it was in this isolate when the ring was made. */
  #consumerSocket: IpcFd | undefined;
  /** An end of the doorbell that others are given instead of this producer's, as they could make that block. */
  #given: IpcFd | undefined;
  /** Once packed; and whether this isolate has packed it. */
  #packed: PackedSender | undefined;
  #packedHere = false;

  /**
   * @param endToGive Makes, once, the end of the doorbell that others are given.
   * @param origin Whether the producer came packed; the other end of the socket, if that is in this isolate, which stays
   * the consumer's.
   */
  constructor(
    memory: IpcFd,
    endToGive: () => IpcFd,
    socket: IpcFd,
    origin: { readonly packed?: boolean; readonly consumerSocket?: IpcFd | undefined },
  ) {
    this.#memory = memory;
    this.#endToGive = endToGive;
    this.#socket = socket;
    this.#consumerSocket = origin.consumerSocket;
    if (origin.packed === true) this.#packed = new PackedSender(socket);
  }

  /** Still owned by the producer. */
  get handle(): SenderHandle {
    if (this.#packed !== undefined) return this.#packed;
    if (this.#given === undefined) this.#given = this.#endToGive();
    else if (this.#pack(this.#given)) return this.#packed!;
    return { memory: this.#memory, bell: this.#given, descriptors: this.#socket };
  }

  /** Sent once already: from now on it travels as one descriptor, if that can be arranged here. */
  #pack(bell: IpcFd): boolean {
    const consumerSocket = this.#consumerSocket;
    if (consumerSocket === undefined || consumerSocket.closed) return false;
    if (!packSender(consumerSocket, this.#socket, this.#memory, bell)) return false;
    this.#consumerSocket = undefined;
    this.#packed = new PackedSender(this.#socket);
    return this.#packedHere = true;
  }

  /** The producer is closed. */
  close(): void {
    this.#given?.close();
    if (this.#packedHere) unpacked();
  }
}
