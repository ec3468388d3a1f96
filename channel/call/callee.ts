// The answering side of a line: methods that are called, and what they return.
import { IpcError } from "../../base/error.ts";
import { PACK } from "../../base/pack.ts";
import { step } from "../../base/step_hook.ts";
import { discard } from "../message/discard.ts";
import { cannotCall, ReceivedCall } from "./call.ts";
import { packFailure, unpackFailure } from "./failure.ts";
import { CALL_VERSION, END, type Frame, HELLO, isCount, ITEM, RESULT, STREAM, THROW } from "./frame.ts";
import { type CallLine, endError, GONE, type LineEnd } from "./line_end.ts";

/** A function of the program's. */
type Method = (this: ReceivedCall, ...args: unknown[]) => unknown;

/** A call that is being answered. */
interface Answering {
  readonly id: number;
  readonly call: ReceivedCall;
  /** Of a stream: items that the caller wants, and those that were sent. */
  wanted: number;
  sent: number;
  /** Whether its items are sent one by one. */
  streaming: boolean;
  /** Whether no more of it is to be sent. */
  stopped: boolean;
  /** Whether its answer could not be sent as it was. */
  plain: boolean;
  /** Wakes a stream that waits until items are wanted. */
  wake: (() => void) | undefined;
}

/** What is exposed at present, or was. */
interface Exposed {
  readonly methods: ReadonlyMap<string, Method>;
  /** Calls at a time. */
  readonly most: number;
  readonly done: PromiseWithResolvers<void>;
  /** Whether no other call is begun. */
  stopping: boolean;
  finished: boolean;
}

/** Names that mean something to JavaScript itself, or to `remote()`. */
export const RESERVED: ReadonlySet<string> = new Set(["__proto__", "constructor", "then", "with"]);

/** Own, enumerable functions with a name. */
export function methodsOf(api: object): ReadonlyMap<string, Method> {
  const methods = new Map<string, Method>();
  for (const key of Object.keys(api)) {
    const value = Object.getOwnPropertyDescriptor(api, key)?.value;
    if (typeof value === "function" && !RESERVED.has(key)) methods.set(key, value as Method);
  }
  return methods;
}

export class Callee {
  readonly #line: CallLine;
  readonly #active = new Map<number, Answering>();
  #exposed: Exposed | undefined;

  constructor(line: CallLine) {
    this.#line = line;
  }

  /** Whether methods are exposed now. */
  get busy(): boolean {
    return this.#exposed?.finished === false;
  }

  /** Answers calls until the line is at its end, or the signal says so. */
  async expose(methods: ReadonlyMap<string, Method>, most: number, signal: AbortSignal | undefined): Promise<void> {
    const exposed: Exposed = { methods, most, done: Promise.withResolvers<void>(), stopping: false, finished: false };
    const stop = () => {
      exposed.stopping = true;
      this.#stopStreams();
      this.#finishIfIdle();
    };
    this.#exposed = exposed;
    this.#line.hold();
    this.#line.post([HELLO, CALL_VERSION, most]);
    signal?.addEventListener("abort", stop, { once: true });
    try {
      await exposed.done.promise;
    } finally {
      exposed.finished = true;
      signal?.removeEventListener("abort", stop);
      this.#line.letGo();
    }
  }

  // --- Frames --------------------------------------------------------------------------------------------------------

  called(id: unknown, method: unknown, args: unknown): void {
    const exposed = this.#exposed;
    if (!isCount(id) || typeof method !== "string" || !Array.isArray(args) || this.#active.has(id)) {
      discard(args);
      return this.#line.violated("it sends a malformed call");
    }
    if (exposed === undefined || this.#active.size >= exposed.most) {
      discard(args);
      return this.#line.violated("it sends more calls at a time than it may");
    }
    step("call-received");
    const call = new ReceivedCall(this.#line.duplex.peer);
    const answering: Answering = {
      id,
      call,
      wanted: 0,
      sent: 0,
      streaming: false,
      stopped: false,
      plain: false,
      wake: undefined,
    };
    this.#active.set(id, answering);
    const body = exposed.methods.get(method);
    if (exposed.stopping || body === undefined) {
      discard(args);
      const error = exposed.stopping ? takesNoMore(cannotCall(method), false) : new IpcError(
        "NotFound",
        `${cannotCall(method)}: the other end exposes no such method; own, enumerable ` +
          "functions of an object count, and methods of a class do not",
        {
          delivered: false,
        },
      );
      delete error.stack; // of nobody's interest
      return this.#throw(answering, error);
    }
    step("call-started");
    let result: unknown;
    try {
      result = Reflect.apply(body, call, args);
    } catch (error) {
      return this.#throw(answering, error);
    }
    if (typeof (result as PromiseLike<unknown> | undefined)?.then === "function") {
      Promise.resolve(result).then((value) => this.#return(answering, value), (error) => this.#throw(answering, error));
    } else this.#return(answering, result);
  }

  /** The caller wants so many more items of a stream. */
  wanted(id: unknown, count: unknown): void {
    const answering = this.#active.get(id as number);
    if (answering === undefined) return; // it has ended
    if (!isCount(count)) return this.#line.violated("it asks for items without a number");
    answering.wanted = Math.min(answering.wanted + count, Number.MAX_SAFE_INTEGER);
    answering.wake?.();
  }

  /** The caller does not want the answer any more. */
  unwanted(id: unknown, failure: unknown): void {
    const answering = this.#active.get(id as number);
    if (answering !== undefined) stop(answering, unpackFailure(failure));
    else discard(failure);
  }

  /** The calls that are under way, each followed by the items that were sent of its stream. */
  underWay(): number[] {
    return [...this.#active.values()].flatMap(({ id, sent }) => [id, sent]);
  }

  // --- Answers -------------------------------------------------------------------------------------------------------

  #return(answering: Answering, value: unknown): void {
    if (isStream(value)) {
      void this.#stream(answering, value);
      return;
    }
    this.#answer(answering, [RESULT, answering.id, value]);
  }

  #throw(answering: Answering, error: unknown): void {
    this.#answer(answering, [THROW, answering.id, packFailure(error)], error);
  }

  /**
   * Sends the last frame of a call, which is over once the frame is in the ring.
   *
   * @param thrown What the frame says was thrown, if it does.
   */
  #answer(answering: Answering, frame: Frame, thrown?: unknown): void {
    step("call-answering");
    const line = this.#line;
    if (line.end !== undefined) return;
    try {
      if (line.trySend(frame)) return this.#over(answering);
      line.send(frame).then(() => this.#over(answering), (error) => this.#unsent(answering, frame, thrown, error));
    } catch (error) {
      this.#unsent(answering, frame, thrown, error);
    }
  }

  #unsent(answering: Answering, [kind]: Frame, thrown: unknown, error: unknown): void {
    if (this.#isTheEnd(error)) return;
    // What cannot be sent is the method's mistake, and the caller must know.
    if (kind === RESULT) return this.#throw(answering, error);
    if (answering.plain) {
      this.#line.finish({ code: "System", why: (error as Error).message, cause: error });
      return;
    }
    answering.plain = true;
    this.#answer(answering, [THROW, answering.id, packFailure(thrown, true)]);
  }

  /** Whether sending has failed as the other end, or this one, is no more. */
  #isTheEnd(error: unknown): boolean {
    const line = this.#line;
    if (line.end !== undefined) return true;
    if (!(error instanceof IpcError) || error.code !== "Disconnected") return false;
    line.finish(GONE);
    return true;
  }

  #over({ id }: Answering): void {
    step("call-over");
    this.#active.delete(id);
    this.#finishIfIdle();
  }

  #finishIfIdle(): void {
    const exposed = this.#exposed;
    if (exposed?.stopping && this.#active.size === 0) exposed.done.resolve();
  }

  // --- Streams -------------------------------------------------------------------------------------------------------

  async #stream(answering: Answering, stream: AsyncIterable<unknown>): Promise<void> {
    const { id } = answering;
    let items: AsyncIterator<unknown> | undefined;
    answering.streaming = true;
    try {
      items = stream[Symbol.asyncIterator]();
      await this.#line.send([STREAM, id]);
      const whole = await this.#pump(answering, items);
      if (whole || !this.#exposed?.stopping) this.#answer(answering, [END, id, answering.sent]);
      else this.#throw(answering, takesNoMore("Cannot go on with the stream", true));
    } catch (error) {
      if (this.#isTheEnd(error)) items?.return?.()?.catch(() => {});
      else this.#throw(answering, error);
    }
  }

  /** Sends items as they are wanted. `false` if it was stopped. */
  async #pump(answering: Answering, items: AsyncIterator<unknown>): Promise<boolean> {
    let ended = false;
    try {
      for (;;) {
        while (answering.wanted === 0 && !answering.stopped) {
          await new Promise<void>((resolve) => answering.wake = resolve);
          answering.wake = undefined;
        }
        if (answering.stopped) return false;
        answering.wanted--;
        const { done, value } = await items.next().catch((error) => {
          ended = true;
          throw error;
        });
        if (done) return ended = true;
        if (answering.stopped) {
          discard(value);
          return false;
        }
        const frame: Frame = [ITEM, answering.id, answering.sent, value];
        if (!this.#line.trySend(frame)) await this.#line.send(frame);
        answering.sent++;
      }
    } finally {
      if (!ended) await items.return?.();
    }
  }

  #stopStreams(): void {
    for (const answering of this.#active.values()) {
      // A call that returns none goes on; one that returns one later is cut then.
      if (answering.streaming) stop(answering, takesNoMore("Cannot go on with the stream", true));
      else answering.stopped = true;
    }
  }

  // --- The end -------------------------------------------------------------------------------------------------------

  finish(end: LineEnd): void {
    const active = [...this.#active.values()], exposed = this.#exposed;
    this.#active.clear();
    if (active.length > 0) {
      const reason = endError("Cannot answer", end);
      for (const answering of active) stop(answering, reason);
    }
    if (exposed === undefined || exposed.finished) return;
    if (end.code === "Disconnected" || end.code === "Closed") exposed.done.resolve();
    else exposed.done.reject(endError("Cannot answer calls", end));
  }
}

function takesNoMore(what: string, delivered: boolean): IpcError {
  return new IpcError("Closed", `${what}: the other end takes no more calls`, { delivered });
}

function stop(answering: Answering, reason: unknown): void {
  answering.stopped = true;
  answering.call.abort(reason);
  answering.wake?.();
}

/** Whether a method has returned what is sent item by item. An endpoint goes as it is. */
function isStream(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === "object" && value !== null && Symbol.asyncIterator in value && !(PACK in value);
}
