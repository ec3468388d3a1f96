// Whether the consumer of a ring lives, as its producers find out.
import { hasListener } from "../../ffi/event/doorbell.ts";
import { IpcError } from "../../base/error.ts";
import { hasEnded, ownThread } from "../../ffi/process/liveness.ts";
import { BELL_CLOSED, ID_NAMESPACE, ID_PID, ID_TID, W_BELL, W_CONSUMER } from "./layout.ts";

/**
 * Milliseconds between two checks, whatever turns of the event loop begin meanwhile: every `await` is one. No peer can
 * observe a death and act on it within so short a time.
 */
const CHECK_INTERVAL = 0.02;

/** What one producer knows of the consumer. */
export class ConsumerLiveness {
  readonly #words: Int32Array<ArrayBuffer>;
  readonly #bellFd: number;
  readonly #named: boolean;
  #checkedAt = -Infinity;
  /** When it was looked at, whether it sleeps or not. */
  #lookedAt = -Infinity;
  /** Whether the consumer is gone, or the producer closed. */
  gone = false;

  /**
   * @param bellFd This producer's end of the doorbell.
   * @param named Whether the ring has a name: then another consumer may come, and gets what is sent until then.
   */
  constructor(words: Int32Array<ArrayBuffer>, bellFd: number, named: boolean) {
    this.#words = words;
    this.#bellFd = bellFd;
    this.#named = named;
  }

  /**
   * Checks at bearable cost, 2 µs, that it was not killed, if the last check was not just now. One that sleeps will be rung
   * for, and that tells as well whether it lives: a process that has ended listens no more. Of a Worker that was terminated
   * the process still does.
   *
   * @returns Whether it was checked.
   * @throws {IpcError} `Disconnected` if it is gone.
   */
  checkIfDue(): boolean {
    if (this.gone) throw this.ended();
    const now = performance.now();
    if (now - this.#checkedAt < CHECK_INTERVAL) return false;
    if (!this.#sleeps && (!hasListener(this.#bellFd) || this.#threadEnded())) throw this.ended();
    this.#checkedAt = now;
    return true;
  }

  /**
   * The same for a message with something that travels in it, which would be lost with a consumer that is asleep and dead:
   * that one is looked for as well. What has closed its end is known at once.
   *
   * @throws {IpcError} `Disconnected` if it is gone.
   */
  checkForTravellers(): void {
    if (this.gone || Atomics.load(this.#words, W_BELL) === BELL_CLOSED) throw this.ended();
    const now = performance.now();
    if (now - this.#lookedAt < CHECK_INTERVAL) return;
    this.check();
    this.#checkedAt = this.#lookedAt = now;
  }

  /** Whether it waits for its bell, in the main thread of its process. */
  get #sleeps(): boolean {
    const words = this.#words;
    return words[W_BELL]! > 0 && words[W_CONSUMER + ID_TID] === words[W_CONSUMER + ID_PID];
  }

  /** The same now. */
  check(): void {
    const open = !this.gone && Atomics.load(this.#words, W_BELL) !== BELL_CLOSED && hasListener(this.#bellFd);
    if (!open || this.#threadEnded()) throw this.ended();
  }

  /** The consumer is gone: the error that says so. */
  ended(): IpcError {
    this.gone = true;
    return new IpcError("Disconnected", "Cannot send: the receiver is gone");
  }

  /**
   * Whether the consumer was in a thread that has ended: what Deno itself holds of a terminated Worker, such as the
   * doorbell that it listened on, stays open until the process ends. A receiver on its way in a message is in no thread.
   */
  #threadEnded(): boolean {
    if (this.#named) return false;
    const words = this.#words;
    const tid = Atomics.load(words, W_CONSUMER + ID_TID), pid = Atomics.load(words, W_CONSUMER + ID_PID);
    const { namespace } = ownThread();
    if (tid <= 0 || pid <= 0 || namespace === 0 || words[W_CONSUMER + ID_NAMESPACE] !== namespace) return false;
    return hasEnded(pid, tid) && Atomics.load(words, W_CONSUMER + ID_TID) === tid;
  }
}
