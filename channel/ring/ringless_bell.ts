// What wakes a receiver without a ring from the event loop: see `ringless.ts`.
import { BellListener, createDoorbell } from "../../ffi/event/doorbell.ts";
import type { IpcFd } from "../../ffi/file/fd.ts";
import { isPeerGone, messageError, sendMessage } from "../../ffi/socket/socket_message.ts";
import { PACKET } from "./carrier.ts";
import { BELL_FDS, KIND_BELL, packet, writeHeader } from "./ringless.ts";

/** Bells that are given, in the life of a receiver: a sender needs no more than one for each of its packets. */
const MOST_BELLS = 4;

/** The doorbell of a receiver without a ring: made only when the event loop is to listen. */
export class RinglessBell {
  readonly #socket: IpcFd;
  #listener: BellListener | undefined;
  #onRing: (() => void) | undefined;
  #awaited = false;
  #given = 0;

  constructor(socket: IpcFd) {
    this.#socket = socket;
  }

  /**
   * As a ring's doorbell does.
   *
   * @throws {IpcError} `System` without descriptors.
   */
  listen(onRing: () => void): void {
    this.#onRing = onRing;
    if (this.#listener?.ended === true && this.#given < MOST_BELLS) { // its sender has closed it, and may be there all the same
      this.#listener.close();
      this.#listener = undefined;
    }
    if (this.#listener === undefined) {
      const [listen, ring] = createDoorbell();
      const listener = new BellListener(listen);
      try {
        writeHeader(KIND_BELL, 0, BELL_FDS);
        // pair: post/BELL. The bell is sent, then packets are looked for; a sender sends its packet, then looks for a bell.
        // Nobody there: this end is the last one then, and closing it rings.
        const sent = sendMessage(this.#socket.fd, packet, [ring.fd], PACKET);
        if (sent < 0 && !isPeerGone(sent)) throw messageError("Cannot wait for a message", sent, "sendmsg");
      } catch (error) {
        listener.close();
        throw error;
      } finally {
        ring.close();
      }
      this.#listener = listener;
      this.#given++;
    }
    this.#listener.listen(onRing);
  }

  /**
   * Listens on, if the last bell has told all that it ever will and nothing came: a sender may close it before its socket, as the
   * kernel does with a killed one's. Look for packets once more after it.
   *
   * @returns `false` if enough bells were given: look by the clock then.
   * @throws {IpcError} As {@linkcode listen}.
   */
  listenOn(): boolean {
    if (this.#onRing === undefined || this.#listener?.ended === false) return true;
    if (this.#given >= MOST_BELLS) return false;
    this.listen(this.#onRing);
    this.awaited = this.#awaited;
    return true;
  }

  /** As of a ring's doorbell. */
  set awaited(value: boolean) {
    this.#awaited = value;
    if (this.#listener !== undefined) this.#listener.awaited = value;
  }

  /** Calls nobody any more until {@linkcode listen} is called again. */
  rest(): void {
    this.#onRing = undefined;
    this.#listener?.rest();
  }

  /** Closes it. Those who listen are called once more, if that is wanted. */
  stop(call = false): void {
    const onRing = this.#onRing;
    this.#onRing = undefined;
    this.#listener?.close();
    this.#listener = undefined;
    if (call && onRing !== undefined) queueMicrotask(onRing);
  }
}
