// The request before one that waits: how its end is heard of.
//
// Each request has a FIFO that only its own process has open for writing. Who opens it for reading hears of a hang-up when
// the request ends, and also when its process is killed or its Worker terminated: without looking, and without a thread.
import { BellListener } from "../../ffi/event/doorbell.ts";
import { openNamedPipe } from "../../ffi/event/named_bell.ts";
import { Trusted } from "../../ffi/file/trust.ts";
import { lifePath } from "./lock_name.ts";

/** Watches one request at a time. */
export class Predecessor {
  readonly #path: string;
  readonly #onEnd: () => void;
  #listener: BellListener | undefined;
  #number = -1;
  #ticket = 0;
  #ended = false;

  /**
   * @param path The file of the lock.
   * @param onEnd Called by the event loop when the request has ended that is watched then.
   */
  constructor(path: string, onEnd: () => void) {
    this.#path = path;
    this.#onEnd = onEnd;
  }

  /** Whether this request is watched, or has been until it ended. */
  watches(number: number, ticket: number): boolean {
    return this.#number === number && this.#ticket === ticket;
  }

  /** Whether the request has ended that {@linkcode watches} knows. */
  get hasEnded(): boolean {
    return this.#ended;
  }

  /**
   * Watches another request, which keeps the process alive.
   *
   * @returns `false` if that cannot be: it ends just now, or its process, or this one, had no descriptor left.
   */
  watch(number: number, ticket: number): boolean {
    this.forget();
    const fd = openNamedPipe(lifePath(this.#path, number), Trusted.user);
    if (fd === undefined) return false;
    const listener = new BellListener(fd);
    try {
      listener.listen(() => {
        // Its process may have died just before the FIFO was opened here: then only the end of the pipe tells.
        if (!listener.ended && !listener.hungUp) return; // somebody has written to it
        this.#ended = true;
        listener.close();
        this.#onEnd();
      });
      listener.awaited = true;
    } catch {
      listener.close();
      return false;
    }
    this.#listener = listener;
    this.#number = number;
    this.#ticket = ticket;
    return true;
  }

  /** Watches nothing any more. */
  forget(): void {
    this.#listener?.close();
    this.#listener = undefined;
    this.#number = -1;
    this.#ended = false;
  }
}
