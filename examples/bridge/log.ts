// What the bridge says, on standard error: standard output is not used, so that a service manager has one stream to keep.

/** Says something. */
export function say(text: string): void {
  console.error(`bridge: ${text}`);
}

/** The message of whatever was thrown, with the message of its cause. */
export function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message} (${error.cause.message})` : error.message;
}

/** Something that the user can mend: its message is all that is said. */
export class BridgeError extends Error {
  override readonly name = "BridgeError";
}

/** Says that something does not work, once, and once that it does again. */
export class Trouble {
  readonly #what: string;
  #since: number | undefined;

  /** @param what What does not work: "publishing to the queue". */
  constructor(what: string) {
    this.#what = what;
  }

  /** It did not work. */
  failed(error: unknown): void {
    if (this.#since !== undefined) return;
    this.#since = performance.now();
    say(`${this.#what} fails, and is tried again: ${textOf(error)}`);
  }

  /** It did. */
  worked(): void {
    if (this.#since === undefined) return;
    say(`${this.#what} works again, after ${((performance.now() - this.#since) / 1000).toFixed(1)} s`);
    this.#since = undefined;
  }
}
