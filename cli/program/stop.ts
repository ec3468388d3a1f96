// Ends a command that waits: by Ctrl-C or a signal, or because what it works for is gone.

/** The signals by which a user, a service manager or a terminal that is closed asks a program to end. */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** The user wants the program to end. */
export class Interrupted extends Error {
  override name = "Interrupted";
  readonly code = "Interrupted";
}

/**
 * While it lives, a signal does not kill the program but ends what it waits for, so that it can put away what it
 * has. The second signal kills it.
 */
export class Stop implements Disposable {
  readonly #abort = new AbortController();
  readonly #listeners = SIGNALS.map((name) => [name, () => this.now(new Interrupted(`Ended by ${name}`))] as const);

  constructor() {
    for (const [name, listener] of this.#listeners) Deno.addSignalListener(name, listener);
  }

  /** For everything that waits. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Ends all waits. */
  now(reason: Error): void {
    this.#forget();
    this.#abort.abort(reason);
  }

  /** The value of a promise, or an error once all waits are ended: for what takes no signal. */
  async or<T>(promise: Promise<T>): Promise<T> {
    const { signal } = this;
    signal.throwIfAborted();
    const called = Promise.withResolvers<never>();
    const onAbort = () => called.reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      return await Promise.race([promise, called.promise]);
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  #forget(): void {
    for (const [name, listener] of this.#listeners.splice(0)) Deno.removeSignalListener(name, listener);
  }

  /** Signals do what they always do again. */
  [Symbol.dispose](): void {
    this.#forget();
  }
}
