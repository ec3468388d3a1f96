// The standard output for messages: a reader that is slow is waited for, one that is gone is noticed.
import { standardOutputState, WRITTEN_AT_ONCE } from "../../ffi/inspect.ts";
import { ReaderGone } from "../format/output.ts";
import type { Stop } from "./stop.ts";

/** Milliseconds between two looks whether the reader is still there while nothing is written; nobody would tell. */
const LOOK = 200;

/** Writes messages. */
export class MessageOutput implements Disposable {
  readonly #stop: Stop;
  readonly #looking: ReturnType<typeof setInterval>;

  /** @param stop Ended with {@linkcode ReaderGone} when the reader goes. */
  constructor(stop: Stop) {
    this.#stop = stop;
    this.#looking = setInterval(() => {
      if (standardOutputState() === "closed") stop.now(new ReaderGone("The output was closed"));
    }, LOOK);
  }

  /**
   * Throws if nobody reads any more: before a message is taken that nobody would get.
   *
   * @throws {ReaderGone}
   */
  check(): void {
    if (standardOutputState() === "closed") throw new ReaderGone("The output was closed");
  }

  /**
   * Writes a message. The thread is not blocked by a reader that is slow, or no signal would reach the program.
   *
   * @throws {ReaderGone} If nobody reads any more; otherwise what all waits were ended with.
   */
  async write(bytes: Uint8Array): Promise<void> {
    try {
      while (bytes.length > 0) {
        const atOnce = bytes.length <= WRITTEN_AT_ONCE && standardOutputState() === "room";
        const written = atOnce ? Deno.stdout.writeSync(bytes) : await this.#stop.or(Deno.stdout.write(bytes));
        bytes = bytes.subarray(written);
      }
    } catch (cause) {
      if (cause instanceof Deno.errors.BrokenPipe) throw new ReaderGone("The output was closed", { cause });
      throw cause;
    }
  }

  /** Looks no more. */
  [Symbol.dispose](): void {
    clearInterval(this.#looking);
  }
}
