// Where methods are: takes calls from a subject, in a queue group with the other machines, and passes them on to the program
// at a server's path, which exposes methods to every client.
import { createInbox, headers, type Msg, type Subscription } from "@nats-io/nats-core";
import { EncodedMessage, type IpcDuplex, IpcError, IpcServer } from "../../../mod.ts";
import { Codec } from "../codec.ts";
import type { Connection } from "../connection.ts";
import { BridgeError, say, textOf, Trouble } from "../log.ts";
import { resting } from "../queue/outbox.ts";
import {
  CALL,
  failureOf,
  headOf,
  HELLO,
  isLast,
  MORE,
  type Refusal,
  SKIPPED,
  STOP,
  SYNC,
  SYNCED,
  THROW,
  VERSION,
  withId,
} from "./frame.ts";

/** The queue group: each call goes to one of its members. */
const GROUP = "isthmus";
/** Milliseconds between two attempts to reach the program. */
const PAUSE = 250;
/** Calls that wait for the program, for each that it takes at a time. */
const WAITING = 4;
/** Milliseconds for calls that are under way when the bridge is to end. */
const GRACE = 10_000;

/** Frames of a caller that are kept until its call is begun. */
const MOST_FRAMES = 64;

interface Taken {
  readonly reply: string;
  /** Whether the program was given it. */
  begun: boolean;
  /** Until then: the call, and what its caller has sent after it. */
  readonly frames: Uint8Array<ArrayBuffer>[];
}

/** Takes calls, while the program is there. */
export class CallBack implements Disposable {
  readonly #connection: Connection;
  readonly #subject: string;
  readonly #path: string;
  readonly #codec = new Codec();
  readonly #trouble: Trouble;
  readonly #control = createInbox();
  readonly #calls = new Map<number, Taken>();
  #waiting: number[] = [];
  #begun = 0;
  #window = 0;
  #next = 1;
  #syncs = 0;
  #end: IpcDuplex<unknown, unknown> | undefined;
  #taking: Subscription | undefined;

  constructor(connection: Connection, path: string, subject: string) {
    this.#connection = connection;
    this.#path = path;
    this.#subject = subject;
    this.#trouble = new Trouble(`reaching the server "${path}"`);
  }

  /** Takes calls until the signal. */
  async run(signal: AbortSignal): Promise<void> {
    const { nats } = this.#connection;
    const control = nats.subscribe(`${this.#control}.*`, {
      callback: (error, message) => void (error ?? this.#told(message)),
    });
    try {
      while (!signal.aborted) {
        try {
          this.#end = IpcServer.connect<unknown, unknown>(this.#path);
        } catch (error) {
          if (!(error instanceof IpcError) || error.code === "Permission") throw error;
          this.#trouble.failed(error);
          await resting(PAUSE, signal);
          continue;
        }
        await this.#serve(this.#end, signal);
        await resting(PAUSE, signal);
      }
    } finally {
      control.unsubscribe();
    }
  }

  async #serve(end: IpcDuplex<unknown, unknown>, signal: AbortSignal): Promise<void> {
    const stop = () => void this.#finish(end);
    signal.addEventListener("abort", stop);
    try {
      for (;;) {
        using message = await end.recvEncoded();
        this.#frame(message, signal);
      }
    } catch (error) {
      if (!(error instanceof IpcError)) throw error;
      if (!signal.aborted) this.#trouble.failed(error);
    } finally {
      signal.removeEventListener("abort", stop);
      this.#taking?.unsubscribe(); // the other machines get the calls
      this.#taking = undefined;
      end.close();
      const message = "The program that answers this call is gone";
      this.#waiting = [];
      this.#window = 0;
      for (const [id, { begun }] of [...this.#calls]) {
        this.#fail(id, { code: "Disconnected", message, delivered: begun });
      }
    }
  }

  /** No new calls; what is under way is answered. */
  async #finish(end: IpcDuplex<unknown, unknown>): Promise<void> {
    await this.#taking?.drain().catch(() => {});
    this.#taking = undefined;
    for (const until = performance.now() + GRACE; this.#calls.size > 0 && performance.now() < until;) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    end.close();
  }

  // --- From NATS -----------------------------------------------------------------------------------------------------

  #take(message: Msg): void {
    const { reply, data } = message, head = headOf(data);
    if (reply === undefined || head?.kind !== CALL) return;
    if (this.#calls.size >= this.#window * (1 + WAITING)) {
      const text = `Cannot call: ${this.#calls.size} calls are under way or wait at the machine that was chosen`;
      this.#refuse(reply, { code: "System", message: text, delivered: false });
      return;
    }
    const id = this.#next++;
    this.#calls.set(id, { reply, begun: false, frames: [withId(data, head, id)] });
    const answer = headers();
    answer.set("Isthmus-Control", `${this.#control}.${id}`);
    this.#connection.nats.publish(reply, undefined, { headers: answer });
    this.#waiting.push(id);
    this.#begin();
  }

  /** Gives the program as many calls as it takes. */
  #begin(): void {
    while (this.#begun < this.#window && this.#waiting.length > 0) {
      const call = this.#calls.get(this.#waiting.shift()!);
      if (call === undefined) continue;
      call.begun = true;
      this.#begun++;
      for (const frame of call.frames.splice(0)) this.#post(frame);
    }
  }

  /** What a caller's bridge says: about one call, or whether there are some. */
  #told(message: Msg): void {
    const what = message.subject.slice(this.#control.length + 1);
    if (what === "alive") {
      const asked = message.json<string[]>();
      message.respond(JSON.stringify(asked.filter((id) => !this.#calls.has(Number(id)))));
      return;
    }
    const id = Number(what), call = this.#calls.get(id), head = headOf(message.data);
    if (call === undefined || head === undefined || (head.kind !== MORE && head.kind !== STOP)) return;
    if (call.begun) this.#post(withId(message.data, head, id));
    else if (head.kind === STOP) {
      this.#fail(id, { code: "Disconnected", message: "The call was given up", delivered: false });
    } else if (call.frames.length < MOST_FRAMES) call.frames.push(withId(message.data, head, id));
  }

  // --- From the program ----------------------------------------------------------------------------------------------

  #frame(message: EncodedMessage, signal: AbortSignal): void {
    const { bytes } = message, head = headOf(bytes);
    if (head === undefined) {
      if (bytes[1] === SKIPPED) this.#post(this.#codec.encode([SYNC, ++this.#syncs])); // which of the calls was it?
      return;
    }
    const { kind, id } = head;
    if (kind === HELLO) this.#hello(bytes, signal);
    else if (kind === SYNCED) this.#synced(bytes);
    else if (kind === CALL) this.#post(this.#codec.encode([THROW, id, failureOf(NO_METHODS)]));
    else this.#answer(message, kind, id);
  }

  #hello(bytes: Uint8Array, signal: AbortSignal): void {
    const [, version, window] = this.#codec.decode(bytes) as number[];
    if (version !== VERSION) {
      throw new BridgeError(`The program at "${this.#path}" speaks version ${version} of calls, not ${VERSION}`);
    }
    this.#window = Math.max(1, Math.min(Number(window) || 1, 65_536));
    if (this.#taking !== undefined || signal.aborted) return;
    this.#trouble.worked();
    this.#taking = this.#connection.nats.subscribe(this.#subject, {
      queue: GROUP,
      callback: (error, call) => error === null ? this.#take(call) : say(`NATS sends no calls: ${textOf(error)}`),
    });
    say(`calls of "${this.#subject}" go to "${this.#path}"`);
  }

  #answer(message: EncodedMessage, kind: number, id: number): void {
    const call = this.#calls.get(id), { bytes } = message, { nats, maxPayload } = this.#connection;
    if (call === undefined) return;
    const tooLarge = bytes.length > maxPayload;
    if (tooLarge || message.descriptors > 0) {
      if (!isLast(kind)) {
        this.#post(this.#codec.encode([STOP, id, { class: "Error", message: "An item cannot be sent" }]));
      }
      const why = tooLarge
        ? `it has ${bytes.length} bytes, and NATS takes ${maxPayload} here`
        : "endpoints, memory and files cannot leave a machine";
      const code = tooLarge ? "TooLarge" : "Serialization";
      this.#fail(id, { code, message: `Cannot send the answer of a call: ${why}`, delivered: true });
      return;
    }
    nats.publish(call.reply, bytes);
    if (isLast(kind)) this.#ended(id);
  }

  /** The program could not receive something: calls that it does not have have failed. */
  #synced(bytes: Uint8Array): void {
    const [, number, underWay] = this.#codec.decode(bytes) as [number, number, number[]];
    if (number !== this.#syncs || !Array.isArray(underWay)) return;
    const known = new Set(underWay.filter((_, i) => i % 2 === 0));
    for (const [id, { begun }] of [...this.#calls]) {
      if (!begun || known.has(id)) continue;
      const message = "The program that answers this call could not receive it";
      this.#fail(id, { code: "TooLarge", message, delivered: false });
    }
  }

  // --- Ends ----------------------------------------------------------------------------------------------------------

  #fail(id: number, refusal: Refusal): void {
    this.#refuse(this.#calls.get(id)!.reply, refusal);
    this.#ended(id);
  }

  #refuse(reply: string, refusal: Refusal): void {
    const answer = headers();
    answer.set("Isthmus-Failure", JSON.stringify(refusal));
    if (!this.#connection.nats.isClosed()) this.#connection.nats.publish(reply, undefined, { headers: answer });
  }

  #ended(id: number): void {
    if (this.#calls.get(id)?.begun) this.#begun--;
    this.#calls.delete(id);
    this.#begin();
  }

  /** The program takes no more than it has said, so no more than that ever waits. */
  #post(frame: Uint8Array<ArrayBuffer>): void {
    this.#end?.sendEncoded(new EncodedMessage(frame, [])).catch(() => {}); // it is gone: see #serve()
  }

  /** Ends it. */
  [Symbol.dispose](): void {
    this.#end?.close();
    this.#codec[Symbol.dispose]();
  }
}

const NO_METHODS: Refusal = { code: "NotFound", message: "A bridge has no methods", delivered: false };
