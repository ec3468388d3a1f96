// The calling side of a line: calls that wait to be sent, and those that wait for their answers.
import { IpcError } from "../../base/error.ts";
import { cannotCall } from "./call.ts";
import { CallQueue } from "./call_queue.ts";
import { step } from "../../base/step_hook.ts";
import { millisecondsText, PendingWait, type WaitOptions } from "../../base/wait.ts";
import { discard } from "../message/discard.ts";
import { CALL, CALL_VERSION, isCount, MORE, STOP, SYNC } from "./frame.ts";
import { packFailure, unpackFailure } from "./failure.ts";
import { type CallLine, endError, type LineEnd } from "./line_end.ts";
import { type StreamSource, StreamState } from "./stream.ts";

const NOBODY = () => {};

/** A call, from when it is made until its last frame has arrived. */
class OutgoingCall {
  id = 0;
  place = 0;
  readonly method: string;
  readonly args: unknown[];
  readonly options: WaitOptions | undefined;
  readonly wait: PendingWait<unknown>;
  /** Where it lies in the ring, or before that, once it was sent. */
  position: number | undefined;
  /** Takes it back, while it waits for room in the ring. */
  withdraw: (() => void) | undefined;
  /** Whether nobody wants its answer. */
  abandoned = false;
  stream: StreamState<unknown> | undefined;
  /** Whether the other side has said that it is one. */
  streaming = false;
  /** Items that are to be asked for as soon as it is sent. */
  early = 0;
  /** Stops listening to the signal, of a stream. */
  deafen: (() => void) | undefined;

  constructor(method: string, args: unknown[], options: WaitOptions | undefined, caller: Caller) {
    this.method = method;
    this.args = args;
    this.options = options;
    // Most calls have no options: nothing ends their wait but an answer, and nobody needs to be told.
    this.wait = options === undefined ? new PendingWait<unknown>("call", undefined, NOBODY) : new PendingWait<unknown>(
      "call",
      options,
      () => caller.gaveUp(this),
      () => this.expired(),
    );
  }

  /** The error of its time-out. */
  expired(): IpcError {
    return new IpcError(
      "Timeout",
      `${this.what}: timed out after ${millisecondsText(this.options?.timeout ?? Infinity)}`,
      {
        delivered: this.sent,
      },
    );
  }

  /** For messages. */
  get what(): string {
    return cannotCall(this.method);
  }

  /** Whether the other side may have it. */
  get sent(): boolean {
    return this.position !== undefined && this.withdraw === undefined;
  }
}

const CALL_OF = Symbol("isthmus.call");

/** What knows the stream that a call returns. */
interface StreamOwner {
  streamOf(call: OutgoingCall | undefined): StreamState<unknown>;
}

const CALLER_OF = Symbol("isthmus.caller");

/** What a call returns: a promise that may be iterated over instead, where the answer is a stream. */
type CallPromise = Promise<unknown> & { [CALLER_OF]: StreamOwner; [CALL_OF]: OutgoingCall | undefined };

/** Of promises, and not a class of its own: `await` on those takes more turns. */
const CALL_PROMISE: object = Object.create(Promise.prototype, {
  [Symbol.asyncIterator]: {
    value(this: CallPromise): AsyncIterator<unknown> {
      this.catch(() => {}); // the iterator says so
      const state = this[CALLER_OF].streamOf(this[CALL_OF]);
      state.start();
      return state.reader;
    },
    configurable: true,
    writable: true,
  },
});

export class Caller {
  readonly #line: CallLine;
  /** Calls that the other side takes at a time; none until it says so. */
  #window = 0;
  #next = 1;
  /** Calls that wait until they may be sent. */
  readonly #queue = new CallQueue<OutgoingCall>();
  readonly #active = new Map<number, OutgoingCall>();
  /** While it is found out which calls were lost with a message that could not be received. */
  #sync: { readonly number: number; readonly until: number; error: unknown; delivered: boolean } | undefined;
  #syncs = 0;
  #again: { error: unknown; delivered: boolean } | undefined;

  constructor(line: CallLine) {
    this.#line = line;
  }

  /** Calls a method of the other side. */
  call(method: string, args: unknown[], options: WaitOptions | undefined): Promise<unknown> {
    if (options?.signal?.aborted) return rejected(options.signal.reason);
    const end = this.#line.end;
    if (end !== undefined) return rejected(endError(cannotCall(method), end, false));
    const call = new OutgoingCall(method, args, options, this);
    this.#line.hold();
    if (this.#queue.size === 0 && this.#active.size < this.#window) this.#send(call);
    else this.#queue.push(call);
    return promiseOf(call.wait.promise, this, call);
  }

  #send(call: OutgoingCall): void {
    const line = this.#line, id = call.id = this.#next++;
    const frame: [number, ...unknown[]] = [CALL, id, call.method, call.args];
    this.#active.set(id, call);
    try {
      call.position = line.position();
      if (!line.trySend(frame)) return this.#sendLater(call, frame);
    } catch (error) {
      this.#notSent(call, error);
      return;
    }
    this.#sent(call);
  }

  /** The ring is full. */
  #sendLater(call: OutgoingCall, frame: [number, ...unknown[]]): void {
    const withdrawal = new AbortController();
    call.withdraw = () => withdrawal.abort();
    this.#line.send(frame, { signal: withdrawal.signal }).then(
      () => {
        call.withdraw = undefined;
        // Given up in the moment in which it was sent.
        if (call.abandoned) this.#stop(call, new DOMException("The call was given up", "AbortError"));
        else this.#sent(call);
      },
      (error) => {
        call.withdraw = undefined;
        this.#notSent(call, error);
      },
    );
  }

  #sent(call: OutgoingCall): void {
    step("call-sent");
    const { early } = call;
    call.early = 0;
    if (early > 0) this.#line.post([MORE, call.id, early]);
  }

  #notSent(call: OutgoingCall, error: unknown): void {
    call.position = undefined;
    this.#active.delete(call.id);
    if (error instanceof IpcError) {
      const { code, message, errno, syscall, cause } = error;
      error = new IpcError(code, `${call.what}: ${message}`, {
        ...(errno === undefined ? {} : { errno }),
        ...(syscall === undefined ? {} : { syscall }),
        ...(cause === undefined ? {} : { cause }),
        delivered: false,
      });
    }
    this.#fail(call, error);
    this.#sendNext();
  }

  #sendNext(): void {
    while (this.#queue.size > 0 && this.#active.size < this.#window && this.#line.end === undefined) {
      this.#send(this.#queue.shift()!);
    }
  }

  // --- Settling ------------------------------------------------------------------------------------------------------

  #fail(call: OutgoingCall, error: unknown): void {
    call.deafen?.();
    call.stream?.end({ error });
    if (call.wait.settled) return;
    // Errors say who has called: what the other side knows of it is their cause.
    if (error instanceof Error && !(error instanceof DOMException)) call.wait.rejectHere(error);
    else call.wait.reject(error);
    this.#line.letGo();
  }

  #fulfil(call: OutgoingCall, value: unknown): void {
    if (call.wait.resolve(value)) this.#line.letGo();
    else discard(value);
  }

  /** The caller does not wait any more: its time is over, or its signal says so. */
  gaveUp(call: OutgoingCall): void {
    const { options } = call;
    const reason = options?.signal?.aborted ? options.signal.reason : call.expired();
    call.stream?.end({ error: reason });
    this.#abandon(call, reason);
    this.#line.letGo();
  }

  #abandon(call: OutgoingCall, reason: unknown): void {
    call.deafen?.();
    if (call.abandoned) return;
    call.abandoned = true;
    if (call.withdraw !== undefined) call.withdraw();
    else if (call.sent) this.#stop(call, reason);
    else this.#queue.delete(call);
  }

  #stop(call: OutgoingCall, reason: unknown): void {
    if (this.#active.has(call.id)) this.#line.post([STOP, call.id, packFailure(reason, true)]);
  }

  // --- Streams -------------------------------------------------------------------------------------------------------

  /** The stream that a call returns, or is to return. */
  streamOf(call: OutgoingCall): StreamState<unknown> {
    return call.stream ??= new StreamState<unknown>({
      more: (count) => {
        if (!call.sent) call.early += count;
        else if (this.#active.has(call.id)) this.#line.post([MORE, call.id, count]);
      },
      leave: () => {
        this.#abandon(call, new DOMException("The reader has left the stream", "AbortError"));
        if (call.wait.resolve(undefined)) this.#line.letGo();
      },
      hold: () => this.#line.hold(),
      letGo: () => this.#line.letGo(),
    });
  }

  // --- Frames --------------------------------------------------------------------------------------------------------

  /** The call of a frame; none if it is over. */
  #find(id: unknown): OutgoingCall | undefined {
    return this.#active.get(id as number);
  }

  /** The last frame of a call has arrived. */
  #over(call: OutgoingCall): void {
    this.#active.delete(call.id);
    this.#sendNext();
  }

  greeted(version: unknown, window: unknown): void {
    if (version !== CALL_VERSION) {
      this.#line.finish({
        code: "Incompatible",
        why: `the other end speaks version ${String(version)} of calls, this one ${CALL_VERSION}`,
      });
      return;
    }
    if (!isCount(window)) return this.#line.violated("it says how many calls it takes without a number");
    this.#window = window;
    this.#sendNext();
  }

  returned(id: unknown, value: unknown): void {
    const call = this.#find(id);
    if (call === undefined) return discard(value);
    if (call.streaming) {
      discard(value);
      return this.#line.violated("it answers twice");
    }
    step("call-answered");
    if (call.abandoned) {
      discard(value);
    } else {
      const { stream } = call;
      call.stream = undefined;
      stream?.end({
        error: new TypeError(`Cannot iterate over what "${call.method}" returns: it is not a stream; await it`),
      });
      this.#fulfil(call, value);
    }
    this.#over(call);
  }

  threw(id: unknown, failure: unknown): void {
    const call = this.#find(id);
    if (call === undefined) return discard(failure);
    if (!call.abandoned) this.#fail(call, unpackFailure(failure));
    else discard(failure);
    this.#over(call);
  }

  streams(id: unknown): void {
    const call = this.#find(id);
    if (call === undefined) return;
    if (call.streaming) return this.#line.violated("it answers twice");
    call.streaming = true;
    if (call.abandoned) return;
    const state = this.streamOf(call), signal = call.options?.signal;
    if (signal !== undefined) {
      const abort = () => {
        state.end({ error: signal.reason });
        this.#abandon(call, signal.reason);
      };
      signal.addEventListener("abort", abort, { once: true });
      call.deafen = () => signal.removeEventListener("abort", abort);
    }
    this.#fulfil(call, state.reader);
  }

  yielded(id: unknown, number: unknown, item: unknown): void {
    const call = this.#find(id);
    if (call === undefined) return discard(item);
    if (!call.streaming || !isCount(number)) {
      discard(item);
      return this.#line.violated("it sends an item of an unknown stream");
    }
    const found = call.abandoned ? discard(item) : call.stream!.arrive(number, item);
    if (found === "too many") this.#line.violated("it sends more of a stream than was asked for");
    if (found === "lost") this.#cut(call, this.#missing(call));
  }

  /** An item of a stream was lost. */
  #cut(call: OutgoingCall, error: unknown): void {
    call.stream!.end({ error });
    this.#abandon(call, error);
  }

  ended(id: unknown, count: unknown): void {
    const call = this.#find(id);
    if (call === undefined) return;
    if (call.abandoned) return this.#over(call);
    if (!call.streaming) return this.#line.violated("it ends a stream that has not begun");
    const stream = call.stream!;
    call.deafen?.();
    if (stream.count === count) stream.end();
    else stream.end({ error: this.#missing(call) });
    this.#over(call);
  }

  #missing(call: OutgoingCall): IpcError {
    return new IpcError("Serialization", `Cannot go on with the stream of "${call.method}": an item was lost`, {
      delivered: true,
    });
  }

  // --- What could not be received ------------------------------------------------------------------------------------

  /** This side could not receive a message: it may have been an answer. */
  skipped(error: unknown): void {
    this.#findLost(error, true);
  }

  /** The other side could not receive a message: it may have been a call, which it has not begun then. */
  overheard(failure: unknown): void {
    const error = unpackFailure(failure);
    this.#findLost(error instanceof IpcError ? error : new IpcError("Serialization", String(error)), false);
  }

  #findLost(error: unknown, delivered: boolean): void {
    if (this.#active.size === 0 || this.#line.end !== undefined) return;
    if (this.#sync !== undefined) {
      this.#again = { error, delivered: delivered || this.#again?.delivered === true };
      return;
    }
    const number = ++this.#syncs;
    this.#sync = { number, until: this.#next, error, delivered };
    this.#line.post([SYNC, number]);
  }

  /** What the other side has under way: the rest of what was asked about has been lost. */
  synced(number: unknown, underWay: unknown): void {
    const sync = this.#sync, again = this.#again;
    if (sync === undefined || number !== sync.number || !Array.isArray(underWay)) return;
    this.#sync = this.#again = undefined;
    const items = new Map<unknown, unknown>();
    for (let i = 0; i + 1 < underWay.length; i += 2) items.set(underWay[i], underWay[i + 1]);
    const { code, message } = sync.error as IpcError;
    const delivered = sync.delivered || again?.delivered === true;
    const lost = ({ what }: OutgoingCall, delivered: boolean) =>
      new IpcError(code, `${what}: ${message}`, { cause: sync.error, delivered });
    for (const [id, call] of this.#active) {
      if (id >= sync.until || !call.sent) continue;
      const sent = items.get(id);
      if (sent === undefined) {
        this.#active.delete(id);
        if (!call.abandoned) this.#fail(call, lost(call, delivered));
      } else if (call.streaming && !call.abandoned && call.stream!.count !== sent) this.#cut(call, lost(call, true));
    }
    if (again !== undefined) this.#findLost(again.error, again.delivered);
    this.#sendNext();
  }

  // --- The end -------------------------------------------------------------------------------------------------------

  finish(end: LineEnd): void {
    const active = [...this.#active.values()];
    this.#active.clear();
    for (const call of active) {
      const never = call.position === undefined || call.withdraw !== undefined || this.#line.isUnread(call.position);
      call.withdraw?.();
      if (!call.abandoned) this.#fail(call, endError(call.what, end, !never));
    }
    for (let call = this.#queue.shift(); call !== undefined; call = this.#queue.shift()) {
      this.#fail(call, endError(call.what, end, false));
    }
  }
}

/** What a call returns that is not even tried. */
function rejected(error: unknown): Promise<unknown> {
  return promiseOf(Promise.reject(error), {
    streamOf() {
      const state = new StreamState<unknown>(NO_SOURCE);
      state.end({ error });
      return state;
    },
  }, undefined);
}

const NO_SOURCE: StreamSource = { more() {}, leave() {}, hold() {}, letGo() {} };

function promiseOf(promise: Promise<unknown>, owner: StreamOwner, call: OutgoingCall | undefined): Promise<unknown> {
  Object.setPrototypeOf(promise, CALL_PROMISE);
  (promise as CallPromise)[CALLER_OF] = owner;
  (promise as CallPromise)[CALL_OF] = call;
  return promise;
}
