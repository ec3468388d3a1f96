// Lets the other end of a conversation call methods.
import { asFound, integerOf, optionsOf } from "../../base/arguments.ts";
import { IpcError } from "../../base/error.ts";
import { timeoutOf } from "../../base/wait.ts";
import { IpcDuplex } from "../endpoint/duplex.ts";
import type { Call } from "./call.ts";
import { methodsOf } from "./callee.ts";
import { Line } from "./line.ts";
import { CLOSED_HERE, endError } from "./line_end.ts";

/**
 * Options of {@linkcode expose}.
 *
 * @example One call after another, until told to stop
 * ```ts
 * import { duplex, expose, type ExposeOptions, remote } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const [here, there] = duplex();
 * const stop = new AbortController();
 * const options: ExposeOptions = { concurrency: 1, signal: stop.signal };
 * const api = { double: (n: number) => 2 * n };
 * const exposed = expose(there, api, options); // in another process, usually
 * assertEquals(await remote<typeof api>(here).double(21), 42);
 * stop.abort();
 * await exposed;
 * here.close(), there.close();
 * ```
 */
export interface ExposeOptions {
  /**
   * The number of calls that are under way at a time. Further ones wait at the caller, who knows that they were not begun.
   *
   * @default 1024
   */
  concurrency?: number;
  /**
   * Ends it: calls that are under way are answered, streams are cut, and no other call is begun. The promise resolves then.
   */
  signal?: AbortSignal;
}

const CONCURRENCY = 1024;

/**
 * Lets the other end of a conversation call the methods of an object, by {@linkcode remote}.
 *
 * Callable are the object's own, enumerable properties that are functions, by their names as they are now: no inherited
 * ones, no getters, and none that is called `__proto__`, `constructor`, `then` or `with`. A method is called with a
 * {@linkcode Call} as its `this`, and returns what the caller gets: a value, a promise for one, or an async generator, which
 * runs only as far ahead as the caller reads. Arguments and answers are whatever a channel carries, endpoints included.
 *
 * The other end may expose methods as well. Nothing else may receive from this end meanwhile.
 *
 * @typeParam Api The type of the object, which the caller names: `remote<typeof api>(end)`.
 * @param end This end of the conversation: of `duplex()`, a server, `spawn()` or `parent()`.
 * @param api The object with the methods.
 * @param options How many calls at a time, and how to end it.
 * @returns Resolves when the other end is gone, this one was closed, or the signal says so.
 * @throws {IpcError} `Corrupt` if the other end breaks the protocol: this end is closed then; `AlreadyExists` if this end
 * exposes methods already; `Closed` if it was closed before; `System`.
 * @throws {TypeError} If an argument is of the wrong kind.
 * @throws {RangeError} If the concurrency is no number of calls.
 *
 * @example
 * ```ts
 * import { duplex, expose, remote } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const api = {
 *   add: (a: number, b: number) => a + b,
 *   async *count(to: number) {
 *     for (let n = 1; n <= to; n++) yield n;
 *   },
 * };
 * const [here, there] = duplex();
 * const exposed = expose(there, api); // in another process, usually
 *
 * using calculator = remote<typeof api>(here);
 * assertEquals(await Promise.all([calculator.add(1, 2), calculator.add(3, 4)]), [3, 7]);
 * assertEquals(await Array.fromAsync(calculator.count(3)), [1, 2, 3]);
 * calculator[Symbol.dispose]();
 * await exposed;
 * ```
 */
export async function expose<Api extends object>(
  // deno-lint-ignore no-explicit-any -- any conversation
  end: IpcDuplex<any, any>,
  api: Api & ThisType<Call>,
  options: ExposeOptions = {},
): Promise<void> {
  const { concurrency = CONCURRENCY, signal } = optionsOf(options, "Cannot expose methods");
  const line = lineOf(end, "Cannot expose methods");
  if ((typeof api !== "object" && typeof api !== "function") || api === null) {
    throw new TypeError(`Cannot expose the methods of ${asFound(api)}: it must be an object`);
  }
  const most = integerOf(concurrency, 1, 0x7fff_ffff, "Cannot expose methods with the concurrency");
  timeoutOf(signal === undefined ? {} : { signal });
  const found = end.closed ? CLOSED_HERE : line.end;
  if (found?.code === "Disconnected") return;
  if (found !== undefined) throw endError("Cannot expose methods", found);
  if (line.callee.busy) {
    throw new IpcError("AlreadyExists", "Cannot expose methods: this end exposes some already; put them in one object");
  }
  if (signal?.aborted) return;
  await line.callee.expose(methodsOf(api), most, signal);
}

/** The line of an end of a conversation. */
export function lineOf(end: IpcDuplex<unknown, unknown>, what: string): Line {
  if (!(end instanceof IpcDuplex)) {
    throw new TypeError(`${what} through ${asFound(end)}: give an end of a conversation, an IpcDuplex`);
  }
  return Line.of(end);
}
