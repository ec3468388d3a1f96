// Undecodable messages cost their receiver more than their sender: a peer that sends nothing else keeps a program busy
// with errors. So many of them in a short time are no accident.

import { IpcError } from "../../base/error.ts";

/** Errors that a channel may have at once, and how many more each second. */
const AT_ONCE = 10_000, A_SECOND = 1000;

/** Counts the errors of one channel. */
export class ErrorBudget {
  #left = AT_ONCE;
  #countedAt = 0;

  /**
   * What is to be thrown for a message that could not be received: of one too many that is the end of who receives.
   *
   * @param end Closes it.
   * @param what What it is called: "receiver".
   */
  judge(error: unknown, end: () => void, what: string): unknown {
    const itsFault = error instanceof IpcError && (error.code === "Serialization" || error.code === "Corrupt");
    if (!itsFault || this.#spend()) return error;
    end();
    return new IpcError(
      "Corrupt",
      `Cannot receive: thousands of messages cannot be decoded; this ${what} was closed`,
      { cause: error },
    );
  }

  /** One more; `false` if it is one too many. */
  #spend(): boolean {
    const now = performance.now();
    const earned = (now - this.#countedAt) / 1000 * A_SECOND;
    this.#countedAt = now;
    this.#left = Math.min(this.#left + earned, AT_ONCE) - 1;
    return this.#left >= 0;
  }
}
