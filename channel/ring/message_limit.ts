// How long a message may be that is received.
import { IpcError } from "../../base/error.ts";
import { availableMemory } from "../../ffi/file/resources.ts";

/** Longer messages are checked before they are received: whether anybody wrote them, and whether there is room for them. */
export const LARGE = 1 << 20;

/** Up to this, the machine is taken to have room. */
const VERY_LARGE = 16 << 20;

/** The limit of one consumer. */
export class MessageLimit {
  /** Longer messages are refused; `undefined` for half of what the machine has free. */
  #most: number | undefined;

  /** Sets how many bytes a message may have. */
  set(bytes: number): void {
    this.#most = bytes;
  }

  /** Messages of up to so many bytes need no check. */
  get unchecked(): number {
    return Math.min(LARGE, this.#most ?? LARGE);
  }

  /**
   * Checks whether a message of so many bytes may be received.
   *
   * @throws {IpcError} `TooLarge` if not.
   */
  check(length: number): void {
    const most = this.#most;
    if (most !== undefined) {
      if (length <= most) return;
      throw new IpcError("TooLarge", `Cannot receive a message of ${length} bytes: at most ${most} are allowed here`);
    }
    if (length <= VERY_LARGE) return;
    const available = availableMemory() ?? Infinity;
    if (length <= available / 2) return;
    throw new IpcError(
      "TooLarge",
      `Cannot receive a message of ${length} bytes: the machine has ${available} left, and by default a message may take ` +
        "half of that; allow more by limitMessages()",
    );
  }
}
