// One program that calls, and its calls.
import { EncodedMessage, type IpcDuplex, IpcError } from "../../../mod.ts";
import type { Codec } from "../codec.ts";
import { say, textOf } from "../log.ts";
import {
  CALL,
  failureOf,
  headOf,
  HELLO,
  isLast,
  ITEM,
  MORE,
  type Refusal,
  STOP,
  SYNC,
  SYNCED,
  THROW,
  VERSION,
  withId,
} from "./frame.ts";

/** Calls of a program that are under way at a time; further ones wait there. */
const WINDOW = 1024;

/** Where calls go. */
export interface FrontRoute {
  readonly subject: string;
  readonly maxPayload: number;
  /** Sends a call; returns what it is known by. */
  send(frame: Uint8Array, call: Routed): string;
  /** Sends a frame to the machine that has a call. */
  control(subject: string, frame: Uint8Array): void;
  /** The call has ended. */
  done(key: string): void;
}

/** A call that was sent. */
export interface Routed {
  /** When, on the clock of `performance.now()`. */
  readonly since: number;
  /** The subject for frames to the machine that has it. */
  readonly control: string | undefined;
  /** A machine has it. */
  accepted(control: string): void;
  /** A frame of the machine that has it. */
  answer(frame: Uint8Array): void;
  /** It has failed. */
  fail(refusal: Refusal): void;
}

/** Passes the frames of one conversation on. */
export class FrontClient {
  readonly #end: IpcDuplex<unknown, unknown>;
  readonly #route: FrontRoute;
  readonly #codec: Codec;
  readonly #calls = new Map<number, FrontCall>();

  constructor(end: IpcDuplex<unknown, unknown>, route: FrontRoute, codec: Codec) {
    this.#end = end;
    this.#route = route;
    this.#codec = codec;
  }

  /** Until the program is gone. */
  async run(): Promise<void> {
    try {
      await this.#end.send([HELLO, VERSION, WINDOW]);
      for (;;) {
        using message = await this.#end.recvEncoded();
        this.#frame(message);
      }
    } catch (error) {
      const expected = error instanceof IpcError && (error.code === "Disconnected" || error.code === "Closed");
      if (!expected) say(`a caller is shut out: ${textOf(error)}`);
    } finally {
      this.#end.close();
      for (const call of [...this.#calls.values()]) call.stop();
    }
  }

  #frame(message: EncodedMessage): void {
    const { bytes } = message, head = headOf(bytes);
    if (head === undefined) return;
    const { kind, id } = head;
    if (kind === CALL) {
      if (this.#calls.has(id) || this.#calls.size >= WINDOW) throw new Error("it breaks the protocol of calls");
      const call = new FrontCall(id, this.#route, this.#codec, this);
      this.#calls.set(id, call);
      const { maxPayload } = this.#route;
      if (message.descriptors > 0) {
        const text = "Cannot call: endpoints, memory and files in the arguments cannot leave this machine";
        call.fail({ code: "Serialization", message: text, delivered: false });
      } else if (bytes.length > maxPayload - 1024) {
        const text = `Cannot call: the arguments have ${bytes.length} bytes, and NATS takes ${maxPayload} here`;
        call.fail({ code: "TooLarge", message: text, delivered: false });
      } else {
        call.send(bytes);
      }
    } else if (kind === MORE || kind === STOP) {
      this.#calls.get(id)?.forward(bytes);
    } else if (kind === SYNC) {
      this.post(this.#codec.encode([SYNCED, id, [...this.#calls].flatMap(([call, { items }]) => [call, items])]));
    }
  }

  /** Sends a frame to the program: no more waits than it has asked for. */
  post(frame: Uint8Array<ArrayBuffer>): void {
    this.#end.sendEncoded(new EncodedMessage(frame, [])).catch(() => {}); // it is gone: see run()
  }

  /** A call has ended. */
  ended(id: number): void {
    this.#calls.delete(id);
  }
}

/** One call. */
class FrontCall implements Routed {
  readonly since = performance.now();
  control: string | undefined;
  /** Items of its stream that were passed on. */
  items = 0;
  readonly #id: number;
  readonly #route: FrontRoute;
  readonly #codec: Codec;
  readonly #client: FrontClient;
  /** Frames for the machine that takes it, until it is known. */
  readonly #early: Uint8Array[] = [];
  #key: string | undefined;

  constructor(id: number, route: FrontRoute, codec: Codec, client: FrontClient) {
    this.#id = id;
    this.#route = route;
    this.#codec = codec;
    this.#client = client;
  }

  send(frame: Uint8Array): void {
    this.#key = this.#route.send(frame, this);
  }

  accepted(control: string): void {
    this.control = control;
    for (const frame of this.#early.splice(0)) this.#route.control(control, frame);
  }

  /** A frame of the caller's. */
  forward(frame: Uint8Array): void {
    if (this.control !== undefined) this.#route.control(this.control, frame);
    else this.#early.push(frame);
  }

  answer(frame: Uint8Array): void {
    const head = headOf(frame);
    if (head === undefined) return;
    if (head.kind === ITEM) this.items++;
    if (isLast(head.kind)) this.#end();
    this.#client.post(withId(frame, head, this.#id));
  }

  fail(refusal: Refusal): void {
    this.#end();
    this.#client.post(this.#codec.encode([THROW, this.#id, failureOf(refusal)]));
  }

  /** Nobody wants its answer any more. */
  stop(): void {
    this.forward(this.#codec.encode([STOP, 0, { class: "Error", message: "The caller is gone" }]));
    if (this.control !== undefined) this.#end(); // else when it is known where it is
    else this.#client.ended(this.#id);
  }

  #end(): void {
    if (this.#key !== undefined) this.#route.done(this.#key);
    this.#client.ended(this.#id);
  }
}
