// Calls the methods that the other end of a conversation exposes.
import { optionsOf } from "../../base/arguments.ts";
import { timeoutOf, type WaitOptions } from "../../base/wait.ts";
import type { IpcDuplex } from "../endpoint/duplex.ts";
import type { ReceiverBase } from "../endpoint/either_kind.ts";
import { RESERVED } from "./callee.ts";
import { lineOf } from "./expose.ts";
import type { Line } from "./line.ts";

/**
 * What a call returns to the caller: a promise for the answer, or a stream of what an async generator yields.
 *
 * @typeParam R What the method returns.
 *
 * @example
 * ```ts
 * import type { RemoteResult } from "@isthmus/ipc";
 *
 * const answer: RemoteResult<number> = Promise.resolve(3);
 * const stream: RemoteResult<AsyncGenerator<string>> = (async function* () {})();
 * await answer, stream;
 * ```
 */
export type RemoteResult<R> = Awaited<R> extends ReceiverBase<unknown> | IpcDuplex<never, unknown> // they travel as they are
  ? Promise<Awaited<R>>
  : Awaited<R> extends AsyncIterable<infer Y> ? AsyncIterable<Y>
  : Promise<Awaited<R>>;

/**
 * The methods of an object as the other end of a conversation calls them, see {@linkcode remote}.
 *
 * @typeParam Api The type of the object.
 *
 * @example A function that needs one method only
 * ```ts
 * import { duplex, expose, type Remote, remote } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * interface Greeter {
 *   greet(name: string): string;
 * }
 * const greetAll = (greeter: Remote<Greeter>, names: string[]) => Promise.all(names.map((name) => greeter.greet(name)));
 *
 * const [here, there] = duplex();
 * const exposed = expose(there, { greet: (name: string) => `Hello ${name}` });
 * assertEquals(await greetAll(remote<Greeter>(here), ["Ada", "Alan"]), ["Hello Ada", "Hello Alan"]);
 * here.close();
 * await exposed;
 * ```
 */
export type Remote<Api> =
  & {
    readonly [
      // deno-lint-ignore no-explicit-any -- any function
      K in keyof Api as Api[K] extends (...args: any[]) => any
        ? K extends string ? Exclude<K, "__proto__" | "constructor" | "then" | "with"> : never
        : never
    ]:
      // deno-lint-ignore no-explicit-any -- whatever its `this` is
      Api[K] extends (this: any, ...args: infer A) => infer R ? (...args: A) => RemoteResult<R> : never;
  }
  & Disposable
  & {
    /**
     * The same methods, each of whose calls waits at most so long, and ends by a signal. The answering side is told.
     *
     * @param options How long to wait for each answer, of a stream for its beginning; and a signal.
     */
    with(options: WaitOptions): Remote<Api>;
  };

/**
 * Options of {@linkcode remote}.
 *
 * @example
 * ```ts
 * import { duplex, IpcError, remote, type RemoteOptions } from "@isthmus/ipc";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * const options: RemoteOptions = { timeout: 5 };
 * const [here, there] = duplex(); // and nobody exposes anything
 * using nobody = remote<{ hello(): string }>(here, options);
 * const error = await assertRejects(async () => await nobody.hello(), IpcError);
 * assertEquals([error.code, error.delivered], ["Timeout", false]);
 * there.close();
 * ```
 */
export interface RemoteOptions {
  /** Milliseconds that each call waits for its answer at most, of a stream for its beginning. No limit by default. */
  timeout?: number;
}

/**
 * Calls the methods that the other end of a conversation exposes by {@linkcode expose}.
 *
 * Any number of calls may be under way, and are answered in any order. What a method throws is thrown here: an error of the
 * same class, of the standard ones, `IpcError` and the runtime's own, with the stack of the other side as its `cause`.
 *
 * A call that fails by itself is an `IpcError`: `Disconnected` if the other end dies, `Timeout`, `Closed`, `Serialization`
 * for what cannot be sent, `NotFound` if there is no such method. Its `delivered` is `false` if the method was certainly not
 * called, so that calling again, there or elsewhere, is safe.
 *
 * Calls wait at this side until the other end exposes its methods, and while it has as many under way as it takes.
 * Disposing of the object closes the conversation.
 *
 * @typeParam Api The type of the object that is exposed: `typeof api`.
 * @param end This end of the conversation. Nothing else may receive from it meanwhile, but it may expose methods, too.
 * @param options How long calls wait.
 * @returns An object with the methods.
 * @throws {TypeError} If an argument is of the wrong kind.
 *
 * @example
 * ```ts
 * import { duplex, expose, remote } from "@isthmus/ipc";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * const api = {
 *   root(n: number) {
 *     if (n < 0) throw new RangeError("There is none");
 *     return Math.sqrt(n);
 *   },
 * };
 * const [here, there] = duplex();
 * const exposed = expose(there, api); // in another process, usually
 *
 * using calculator = remote<typeof api>(here);
 * assertEquals(await calculator.root(9), 3);
 * await assertRejects(() => calculator.root(-1), RangeError, "There is none");
 * calculator[Symbol.dispose]();
 * await exposed;
 * ```
 */
export function remote<Api extends object>(
  // deno-lint-ignore no-explicit-any -- any conversation
  end: IpcDuplex<any, any>,
  options: RemoteOptions = {},
): Remote<Api> {
  const { timeout } = optionsOf(options, "Cannot call methods");
  const wait = timeout === undefined ? undefined : { timeout };
  timeoutOf(wait);
  return proxyOf(lineOf(end, "Cannot call methods"), wait) as Remote<Api>;
}

function proxyOf(line: Line, options: WaitOptions | undefined): object {
  const methods = new Map<string | symbol, unknown>([
    [Symbol.dispose, () => line.duplex.close()],
    [Symbol.toStringTag, "Remote"],
    ["with", (more: WaitOptions) => {
      timeoutOf(more);
      return proxyOf(line, { ...options, ...more });
    }],
  ]);
  return new Proxy(Object.freeze({}), {
    get(_target, key) {
      const known = methods.get(key);
      if (known !== undefined || typeof key === "symbol" || RESERVED.has(key)) return known;
      const method = (...args: unknown[]) => line.caller.call(key, args, options);
      methods.set(key, method);
      return method;
    },
    has: (_target, key) => methods.has(key) || (typeof key === "string" && !RESERVED.has(key)),
  });
}
