// What a method sees of the call that it answers.
import type { PeerCredentials } from "../../ffi/socket/socket_types.ts";

/**
 * The call that a method answers: its `this`, in methods that are given to {@linkcode expose}.
 *
 * @example A method that stops when the caller gives up
 * ```ts
 * import { type Call, duplex, expose, remote } from "@isthmus/ipc";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * const begun = Promise.withResolvers<void>(), stopped = Promise.withResolvers<string>();
 * const api = {
 *   async work(this: Call) {
 *     begun.resolve();
 *     await new Promise((resolve) => this.signal.addEventListener("abort", resolve));
 *     stopped.resolve(this.signal.reason.message);
 *   },
 * };
 * const [here, there] = duplex();
 * const exposed = expose(there, api); // in another process, usually
 *
 * using caller = remote<typeof api>(here);
 * const stop = new AbortController();
 * const working = caller.with({ signal: stop.signal }).work();
 * await begun.promise;
 * stop.abort(new Error("Not needed any more"));
 * await assertRejects(() => working, Error, "Not needed any more");
 * assertEquals(await stopped.promise, "Not needed any more");
 * caller[Symbol.dispose]();
 * await exposed;
 * ```
 */
export interface Call {
  /** Aborts when the caller gives the call up, leaves the stream, or is gone. */
  readonly signal: AbortSignal;
  /** Who calls, if the conversation came through a server or a parent: as the kernel says. */
  readonly peer?: PeerCredentials;
}

/** A call; its signal is made when somebody asks for it. */
export class ReceivedCall implements Call {
  declare readonly peer?: PeerCredentials;
  #controller: AbortController | undefined;
  #reason: { readonly reason: unknown } | undefined;

  constructor(peer: PeerCredentials | undefined) {
    if (peer !== undefined) this.peer = peer;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) this.#controller.abort(this.#reason.reason);
    }
    return this.#controller.signal;
  }

  /** Tells the method that its answer is not wanted any more. */
  abort(reason: unknown): void {
    if (this.#reason !== undefined) return;
    this.#reason = { reason };
    this.#controller?.abort(reason);
  }
}

/** Most characters of the name of a method in a message: a peer may send names of any length. */
const SHOWN = 100;

/** The beginning of a message about a call. */
export function cannotCall(method: string): string {
  return `Cannot call "${method.length > SHOWN ? `${method.slice(0, SHOWN)}…` : method}"`;
}
