// Calls a function for every message of many channels.
import { asFound, optionsOf } from "../ffi/arguments.ts";
import { IpcError } from "../ffi/error.ts";
import type { IpcBytesReceiver } from "./bytes_receiver.ts";
import { discard } from "./discard.ts";
import type { IpcReceiver } from "./receiver.ts";
import { IpcReceiverSet } from "./receiver_set.ts";

/**
 * Options of {@linkcode IpcRouter}.
 *
 * @example Hearing of what goes wrong
 * ```ts
 * import { channel, IpcRouter, type RouterOptions } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const heard = Promise.withResolvers<unknown>();
 * const options: RouterOptions = { onError: (error) => heard.resolve(error) };
 * using router = new IpcRouter(options);
 * const [sender, receiver] = channel<string>();
 * router.route(receiver, (word) => {
 *   throw new Error(`I do not know "${word}"`);
 * });
 * sender.sendSync("hello");
 * assertEquals(String(await heard.promise), 'Error: I do not know "hello"');
 * sender.close();
 * ```
 */
export interface RouterOptions {
  /**
   * Told of what a handler throws, or rejects with, and of messages that could not be decoded. The routes go on.
   * `console.error` unless told.
   */
  onError?: (error: unknown) => void;
}

interface Route {
  readonly handler: (value: unknown) => unknown;
  readonly once: boolean;
}

/**
 * Calls a handler for every message of a channel, for any number of channels. A route ends when its senders are gone;
 * the program goes on as long as a route exists.
 *
 * @example
 * ```ts
 * import { channel, IpcRouter } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const router = new IpcRouter();
 * const [sender, receiver] = channel<number>();
 * const sum = new Promise<number>((resolve) => {
 *   let total = 0;
 *   router.route(receiver, (value) => (total += value) === 6 && resolve(total));
 * });
 * for (const value of [1, 2, 3]) sender.sendSync(value);
 * assertEquals(await sum, 6);
 * sender.close();
 * await router.shutdown();
 * ```
 */
export class IpcRouter implements Disposable {
  readonly #set = new IpcReceiverSet();
  readonly #routes = new Map<number, Route>();
  readonly #onError: (error: unknown) => void;
  #running: Promise<void> | undefined;

  /**
   * Makes a router without routes.
   *
   * @param options Whom to tell of errors.
   */
  constructor(options: RouterOptions = {}) {
    const { onError } = optionsOf(options, "Cannot make a router");
    if (onError !== undefined && typeof onError !== "function") {
      throw new TypeError(`Cannot make a router with the "onError" ${asFound(onError)}: it must be a function`);
    }
    this.#onError = onError ?? ((error) => console.error("IpcRouter:", error));
  }

  /** The number of routes, one for each receiver. */
  get size(): number {
    return this.#routes.size;
  }

  /**
   * Calls a handler for every message. The receiver moves into the router.
   *
   * @typeParam T The type of the messages.
   * @param receiver The channel's receiver.
   * @param handler Called with each message, in order; the next one does not wait for a promise that it returns.
   * @throws {IpcError} `Closed` after {@linkcode shutdown}, or if the receiver is closed.
   * @throws {TypeError} If the handler is no function.
   */
  route<T>(receiver: IpcReceiver<T> | IpcBytesReceiver, handler: (value: T) => unknown): void {
    this.#add(receiver, handler, false);
  }

  /**
   * Calls a handler for the next message only; the receiver is closed then.
   *
   * @typeParam T The type of the message.
   * @param receiver The channel's receiver.
   * @param handler Called with the message.
   * @throws {IpcError} `Closed` after {@linkcode shutdown}, or if the receiver is closed.
   * @throws {TypeError} If the handler is no function.
   */
  routeOnce<T>(receiver: IpcReceiver<T> | IpcBytesReceiver, handler: (value: T) => unknown): void {
    this.#add(receiver, handler, true);
  }

  #add<T>(receiver: IpcReceiver<T> | IpcBytesReceiver, handler: (value: T) => unknown, once: boolean): void {
    if (this.#set.closed) throw new IpcError("Closed", "Cannot add a route: the router was shut down");
    if (typeof handler !== "function") throw new TypeError("Cannot add a route: the handler must be a function");
    const id = this.#set.add(receiver as IpcReceiver<unknown> | IpcBytesReceiver);
    this.#routes.set(id, { handler: handler as (value: unknown) => unknown, once });
    this.#running ??= this.#run();
  }

  async #run(): Promise<void> {
    // So that whoever adds several routes in a row has added them all before the first message is handled.
    await Promise.resolve();
    while (this.#set.size > 0) {
      try {
        for (const event of await this.#set.select()) {
          const route = this.#routes.get(event.id);
          if (route === undefined) { // ended by an earlier event
            if (event.type === "message") discard(event.value);
            continue;
          }
          if (event.type === "closed") {
            this.#routes.delete(event.id);
            continue;
          }
          if (route.once) {
            this.#routes.delete(event.id);
            this.#set.remove(event.id);
          }
          this.#handle(route, event.value);
        }
      } catch (error) {
        if (this.#set.closed || this.#set.size === 0) break;
        this.#onError(error);
        // Want of descriptors or memory lasts: the rest of the program must get the time to end it.
        if (error instanceof IpcError && error.code === "System") await pause();
      }
    }
    this.#running = undefined;
  }

  #handle(route: Route, value: unknown): void {
    try {
      const result = route.handler(value);
      if (result instanceof Promise) result.catch(this.#onError);
    } catch (error) {
      this.#onError(error);
    }
  }

  /**
   * Ends all routes and closes their receivers; messages that were not handled yet are dropped. Calling it again is
   * harmless.
   *
   * @returns Resolves when no handler will be called any more.
   */
  async shutdown(): Promise<void> {
    this[Symbol.dispose]();
    await this.#running;
  }

  /** Ends all routes at once, without waiting. */
  [Symbol.dispose](): void {
    this.#set.close();
    this.#routes.clear();
  }
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 20));
}
