// One end of a conversation with calls: what both the calling and the answering side of it share.
//
// It receives only while somebody here waits: for an answer, or for calls. So nothing else keeps the process alive.
import { IpcError } from "../../base/error.ts";
import type { WaitOptions } from "../../base/wait.ts";
import { isTableFull } from "../../ffi/socket/socket_message.ts";
import { type IpcDuplex, ringOfDuplex } from "../endpoint/duplex.ts";
import { discard } from "../message/discard.ts";
import { Callee } from "./callee.ts";
import { Caller } from "./caller.ts";
import {
  CALL,
  END,
  type Frame,
  HELLO,
  isFrame,
  ITEM,
  MORE,
  RESULT,
  SKIPPED,
  STOP,
  STREAM,
  SYNC,
  SYNCED,
  THROW,
} from "./frame.ts";
import { packFailure } from "./failure.ts";
import { CLOSED_HERE, GONE, type LineEnd } from "./line_end.ts";

/** Frames that are taken before the event loop is asked whether it is others' turn. */
const BATCH = 64;

/** Milliseconds until a message is tried again for which this process had no descriptor left. */
const LOOK_AGAIN = 10;

const lines = new WeakMap<object, Line>();

export class Line {
  readonly duplex: IpcDuplex<unknown, unknown>;
  readonly caller: Caller = new Caller(this);
  readonly callee: Callee = new Callee(this);
  #end: LineEnd | undefined;
  /** How many wait for something to be received. */
  #holds = 0;
  #reading = false;
  #messages: AsyncIterator<unknown> | undefined;
  #waiting = false;
  /** Whether a frame that says what was skipped is on its way. */
  #complaining = false;

  private constructor(duplex: IpcDuplex<unknown, unknown>) {
    this.duplex = duplex;
  }

  /** The line of a duplex; one for all that call and answer through it. */
  static of(duplex: IpcDuplex<unknown, unknown>): Line {
    let line = lines.get(duplex);
    if (line === undefined) lines.set(duplex, line = new Line(duplex));
    return line;
  }

  /** Why it is at its end, if it is. */
  get end(): LineEnd | undefined {
    if (this.#end === undefined && this.duplex.closed) this.finish(CLOSED_HERE);
    return this.#end;
  }

  // --- Receiving -----------------------------------------------------------------------------------------------------

  /** One more waits. */
  hold(): void {
    if (++this.#holds === 1 && !this.#reading && this.#end === undefined) void this.#read();
  }

  /** One less waits. */
  letGo(): void {
    if (--this.#holds === 0) this.#stopWaiting();
  }

  #stopWaiting(): void {
    if (!this.#waiting) return;
    const messages = this.#messages;
    this.#messages = undefined;
    void messages?.return?.(); // takes no message
  }

  async #read(): Promise<void> {
    this.#reading = true;
    await undefined; // the call goes out first: a receiver polls for a moment before it sleeps, and the answer comes then
    while (this.#holds > 0 && this.#end === undefined) {
      try {
        await this.#readSome();
      } catch (error) {
        if (isTableFull(error)) await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN));
        else this.#failed(error);
      }
    }
    this.#reading = false;
  }

  async #readSome(): Promise<void> {
    const messages = this.#messages ??= this.duplex.values();
    this.#waiting = true;
    let result: IteratorResult<unknown>;
    try {
      result = await messages.next();
    } finally {
      this.#waiting = false;
    }
    if (result.done) {
      // Not if nobody waited any more.
      if (this.#messages === messages) this.finish(this.duplex.closed ? CLOSED_HERE : GONE);
      return;
    }
    this.#take(result.value);
    for (let n = 1; n < BATCH && this.#holds > 0 && this.#end === undefined; n++) {
      const next = this.duplex.tryRecv();
      if (next.state !== "message") return;
      this.#take(next.value);
    }
  }

  #take(message: unknown): void {
    if (!isFrame(message)) {
      discard(message);
      this.violated("what it sent is not part of a call; both ends must use expose() or remote()");
      return;
    }
    this.#hand(message);
  }

  #hand(frame: Frame): void {
    const { caller, callee } = this;
    switch (frame[0]) {
      case CALL:
        return callee.called(frame[1], frame[2], frame[3]);
      case RESULT:
        return caller.returned(frame[1], frame[2]);
      case THROW:
        return caller.threw(frame[1], frame[2]);
      case STREAM:
        return caller.streams(frame[1]);
      case ITEM:
        return caller.yielded(frame[1], frame[2], frame[3]);
      case END:
        return caller.ended(frame[1], frame[2]);
      case MORE:
        return callee.wanted(frame[1], frame[2]);
      case STOP:
        return callee.unwanted(frame[1], frame[2]);
      case HELLO:
        return caller.greeted(frame[1], frame[2]);
      case SKIPPED:
        return caller.overheard(frame[1]);
      case SYNC:
        return this.#tell(frame[1]);
      case SYNCED:
        return caller.synced(frame[1], frame[2]);
    }
  }

  /** A message could not be received: its sender must learn of it, as it may be part of a call. */
  #failed(error: unknown): void {
    if (!(error instanceof IpcError) || (error.code !== "Serialization" && error.code !== "TooLarge")) {
      if (this.duplex.closed) return this.finish(CLOSED_HERE);
      const code = error instanceof IpcError && error.code === "Corrupt" ? "Corrupt" : "System";
      this.finish({ code, why: (error as Error)?.message ?? String(error), cause: error });
      return;
    }
    this.caller.skipped(error);
    if (this.#complaining) return;
    this.#complaining = true;
    this.post([SKIPPED, packFailure(error, true)], () => this.#complaining = false);
  }

  #telling = false;

  #tell(number: unknown): void {
    if (this.#telling) return this.violated("it asks again before it was answered");
    this.#telling = true;
    this.post([SYNCED, number, this.callee.underWay()], () => this.#telling = false);
  }

  // --- Sending -------------------------------------------------------------------------------------------------------

  /** Sends a frame if there is room for it now. */
  trySend(frame: Frame): boolean {
    return this.duplex.trySend(frame);
  }

  /** Sends a frame as soon as there is room for it. */
  send(frame: Frame, options?: WaitOptions): Promise<void> {
    return this.duplex.send(frame, options);
  }

  /** Sends a frame, now or later, if the other end is there. */
  post(frame: Frame, sent: () => void = () => {}): void {
    try {
      if (this.duplex.trySend(frame)) return sent();
      this.duplex.send(frame).then(sent, () => {});
    } catch {
      // The other end is gone, or this one closed: the loop finds out.
    }
  }

  /** Where what is sent next will lie in the ring. */
  position(): number {
    return ringOfDuplex(this.duplex).position;
  }

  /** Whether what was sent from a position on was not received, and now never will be. */
  isUnread(position: number): boolean {
    try {
      return ringOfDuplex(this.duplex).isUnread(position);
    } catch {
      return false; // closed
    }
  }

  // --- The end -------------------------------------------------------------------------------------------------------

  /** The peer breaks the rules: nothing it sends makes sense any more. */
  violated(what: string): void {
    this.finish({ code: "Corrupt", why: `the other end breaks the protocol: ${what}` });
  }

  finish(end: LineEnd): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#stopWaiting();
    this.caller.finish(end);
    this.callee.finish(end);
    if (end.code !== "Disconnected" && end.code !== "Closed") this.duplex.close(); // or the peer would go on
  }
}
