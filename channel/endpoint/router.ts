// Calls a function for every message of many channels.
import { asFound, optionsOf } from "../../base/arguments.ts";
import { printAs, stateOf } from "../../base/custom_inspect.ts";
import { IpcError } from "../../base/error.ts";
import type { IpcBytesReceiver } from "./bytes_receiver.ts";
import type { IpcReceiver, OpaqueIpcReceiver } from "./receiver.ts";
import type { SetReceiver } from "./receiver_set.ts";
import type { SelectEvent } from "./select_event.ts";
import { SetCore } from "./set_core.ts";
import { cannotTravel } from "../../base/pack.ts";

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
   * Told of what goes wrong with routes that have no `onError` of their own, and of which route it is: what a handler
   * throws, or rejects with; messages that cannot be decoded, after which the route goes on; a channel that a peer has
   * damaged (`Corrupt`), whose route ends with that. What it throws itself is written to the console.
   *
   * @default console.error
   */
  onError?: (error: unknown, route: IpcRoute | undefined) => void;
}

/**
 * Options of {@linkcode IpcRouter.route}.
 *
 * @example Hearing of what goes wrong with one route
 * ```ts
 * import { channel, IpcRouter, type RouteOptions } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const heard = Promise.withResolvers<unknown>();
 * const options: RouteOptions = { onError: (error) => heard.resolve(error) };
 * using router = new IpcRouter();
 * const [sender, receiver] = channel<string>();
 * router.route(receiver, (word) => Promise.reject(new Error(`no ${word}`)), options);
 * sender.sendSync("hello");
 * assertEquals(String(await heard.promise), "Error: no hello");
 * sender.close();
 * ```
 */
export interface RouteOptions {
  /** Told of what goes wrong with this route, in the place of the router's. */
  onError?: (error: unknown) => void;
}

/**
 * A route of an {@linkcode IpcRouter}.
 *
 * @example Ending one route of several
 * ```ts
 * import { channel, type IpcRoute, IpcRouter } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * using router = new IpcRouter();
 * const [sender, receiver] = channel<string>();
 * const route: IpcRoute = router.route(receiver, () => {});
 * route.close();
 * await route.ended;
 * assertEquals(router.size, 0);
 * sender.close();
 * ```
 */
export interface IpcRoute extends Disposable {
  /**
   * Resolves when the handler will not be called any more: the senders are gone, a peer has damaged the channel, the one
   * message of {@linkcode IpcRouter.routeOnce} has come, or the route or the router was closed.
   */
  readonly ended: Promise<void>;
  /** Ends the route, and closes its receiver. Closing twice is harmless. */
  close(): void;
}

class Route implements IpcRoute {
  readonly ended: Promise<void>;
  readonly once: boolean;
  /** Gone when the route has ended, with all that they refer to. */
  handler: ((value: unknown) => unknown) | undefined;
  onError: ((error: unknown) => void) | undefined;
  #onClose: (() => void) | undefined;
  #resolve!: () => void;

  constructor(
    handler: (value: unknown) => unknown,
    once: boolean,
    onError: ((error: unknown) => void) | undefined,
    onClose: () => void,
  ) {
    this.handler = handler;
    this.once = once;
    this.onError = onError;
    this.#onClose = onClose;
    this.ended = new Promise((resolve) => this.#resolve = resolve);
  }

  close(): void {
    this.#onClose?.();
  }

  /** It has ended. An error of its handler may still come. */
  end(): void {
    this.handler = this.#onClose = undefined;
    this.#resolve();
  }

  [Symbol.dispose](): void {
    this.close();
  }
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
  static {
    cannotTravel(this.prototype, "send the receivers");
  }

  static {
    printAs(IpcRouter.prototype, (router) => ({ state: stateOf(router.#set), size: router.size }));
  }

  readonly #set = new SetCore();
  readonly #routes = new Map<number, Route>();
  readonly #onError: (error: unknown, route: IpcRoute | undefined) => void;
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
   * @param receiver The channel's receiver.
   * @param handler Called with each message, in order; the next one does not wait for a promise that it returns.
   * @param options Whom to tell of errors.
   * @returns The route.
   * @throws {IpcError} `Closed` after {@linkcode shutdown}, or if the receiver is closed.
   * @throws {TypeError} If the handler is not a function.
   */
  route(
    receiver: IpcBytesReceiver,
    handler: (value: Uint8Array<ArrayBuffer>) => unknown,
    options?: RouteOptions,
  ): IpcRoute;
  /**
   * The same for values.
   *
   * @typeParam T The type of the messages.
   * @param receiver The channel's receiver.
   * @param handler Called with each message.
   * @param options Whom to tell of errors.
   * @returns The route.
   */
  route<T>(
    receiver: IpcReceiver<T> | OpaqueIpcReceiver,
    handler: (value: T) => unknown,
    options?: RouteOptions,
  ): IpcRoute;
  /**
   * The same for a receiver of any kind.
   *
   * @param receiver The channel's receiver.
   * @param handler Called with each message.
   * @param options Whom to tell of errors.
   * @returns The route.
   */
  route<T>(receiver: SetReceiver, handler: (value: T) => unknown, options?: RouteOptions): IpcRoute {
    return this.#add(receiver, handler as (value: unknown) => unknown, options, false);
  }

  /**
   * Calls a handler for the next message only; the receiver is closed then.
   *
   * @param receiver The channel's receiver.
   * @param handler Called with the message.
   * @param options Whom to tell of errors.
   * @returns The route.
   * @throws {IpcError} `Closed` after {@linkcode shutdown}, or if the receiver is closed.
   * @throws {TypeError} If the handler is not a function.
   */
  routeOnce(
    receiver: IpcBytesReceiver,
    handler: (value: Uint8Array<ArrayBuffer>) => unknown,
    options?: RouteOptions,
  ): IpcRoute;
  /**
   * The same for a value.
   *
   * @typeParam T The type of the message.
   * @param receiver The channel's receiver.
   * @param handler Called with the message.
   * @param options Whom to tell of errors.
   * @returns The route.
   */
  routeOnce<T>(
    receiver: IpcReceiver<T> | OpaqueIpcReceiver,
    handler: (value: T) => unknown,
    options?: RouteOptions,
  ): IpcRoute;
  /**
   * The same for a receiver of any kind.
   *
   * @param receiver The channel's receiver.
   * @param handler Called with the message.
   * @param options Whom to tell of errors.
   * @returns The route.
   */
  routeOnce<T>(receiver: SetReceiver, handler: (value: T) => unknown, options?: RouteOptions): IpcRoute {
    return this.#add(receiver, handler as (value: unknown) => unknown, options, true);
  }

  #add(
    receiver: SetReceiver,
    handler: (value: unknown) => unknown,
    options: RouteOptions | undefined,
    once: boolean,
  ): IpcRoute {
    if (this.#set.closed) throw new IpcError("Closed", "Cannot add a route: the router was shut down");
    if (typeof handler !== "function") throw new TypeError("Cannot add a route: the handler must be a function");
    const id = this.#set.add(receiver);
    const route = new Route(handler, once, options?.onError, () => this.#end(id));
    this.#routes.set(id, route);
    this.#running ??= this.#run();
    return route;
  }

  #end(id: number): void {
    const route = this.#routes.get(id);
    this.#routes.delete(id);
    this.#set.remove(id);
    route?.end();
  }

  async #run(): Promise<void> {
    // So that a program that adds several routes in a row has added them all before the first message is handled.
    await Promise.resolve();
    while (this.#set.size > 0) {
      await this.#set.each((event) => this.#dispatch(event), (error) => {
        this.#report(error, undefined);
        // Want of descriptors or memory lasts: the rest of the program must get the time to end it.
        return pause();
      });
    }
    this.#running = undefined;
  }

  #dispatch(event: SelectEvent): void {
    const route = this.#routes.get(event.id);
    if (route === undefined) return;
    if (event.type === "error") {
      this.#report(event.error, route);
      if (event.error.code === "Corrupt") this.#end(event.id);
    } else if (event.type === "closed") {
      this.#end(event.id);
    } else {
      this.#handle(route, event);
    }
  }

  #handle(route: Route, { id, value }: { id: number; value: unknown }): void {
    const { handler } = route;
    if (route.once) {
      this.#routes.delete(id);
      this.#set.remove(id);
    }
    try {
      const result = handler!(value);
      if (result instanceof Promise) result.catch((error) => this.#report(error, route));
    } catch (error) {
      this.#report(error, route);
    } finally {
      if (route.once) route.end();
    }
  }

  /** Whatever the program does about it, the router goes on. */
  #report(error: unknown, route: Route | undefined): void {
    try {
      const result: unknown = route?.onError !== undefined ? route.onError(error) : this.#onError(error, route);
      if (result instanceof Promise) result.catch(complain);
    } catch (thrown) {
      complain(thrown);
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
    const routes = [...this.#routes.values()];
    this.#routes.clear();
    for (const route of routes) route.end();
  }
}

function complain(thrown: unknown): void {
  console.error("IpcRouter: onError has failed:", thrown);
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 20));
}
