// Where callers are: a server whose clients call methods that run on whichever machine takes the call from a subject.
//
// ```text
// SUBJECT     a frame that calls, for one bridge of the queue group; the reply goes to this bridge's inbox
// inbox.N     frames for call N of this bridge; the first has the header Isthmus-Control: a subject, where frames of the
//             caller go from then on; or the header Isthmus-Failure
// BACK.alive  which of these calls are not under way (any more)?
// ```
import { createInbox, type Msg } from "@nats-io/nats-core";
import { type IpcDuplex, IpcServer } from "../../../mod.ts";
import { Codec } from "../codec.ts";
import type { Connection } from "../connection.ts";
import { say, textOf } from "../log.ts";
import { FrontClient, type FrontRoute, type Routed } from "./front_client.ts";

/** Milliseconds between two looks whether calls are still under way. */
const LOOK = 2000;
/** Milliseconds after which a call that no machine has acknowledged counts as lost. */
const UNACKNOWLEDGED = 5000;
/** Looks without an answer after which a machine counts as gone. */
const LOOKS = 2;

/** Passes calls on to the machines that take them. */
export class CallFront implements Disposable, FrontRoute {
  readonly #connection: Connection;
  readonly #server: IpcServer<unknown, unknown>;
  readonly #inbox = createInbox();
  readonly #codec = new Codec();
  readonly #calls = new Map<string, Routed>();
  readonly #silent = new Map<string, number>();
  readonly #clients = new Set<IpcDuplex<unknown, unknown>>();
  #next = 1;
  /** Where calls go. */
  readonly subject: string;

  /** @param path Of the server that callers connect to. */
  constructor(connection: Connection, subject: string, path: string) {
    this.#connection = connection;
    this.subject = subject;
    this.#server = new IpcServer<unknown, unknown>({ path });
  }

  get maxPayload(): number {
    return this.#connection.maxPayload;
  }

  /** Passes calls on until the signal. */
  async run(signal: AbortSignal): Promise<void> {
    const { nats } = this.#connection;
    const subscription = nats.subscribe(`${this.#inbox}.*`, {
      callback: (error, message) => {
        if (error !== null) say(`NATS ends the subscription for answers: ${textOf(error)}`);
        else this.#answer(message);
      },
    });
    const timer = setInterval(() => void this.#look(), LOOK);
    const clients: Promise<void>[] = [];
    try {
      for (;;) {
        const end = await this.#server.accept({ signal });
        this.#clients.add(end);
        clients.push(new FrontClient(end, this, this.#codec).run().finally(() => this.#clients.delete(end)));
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      clearInterval(timer);
      for (const end of this.#clients) end.close();
      await Promise.allSettled(clients);
      subscription.unsubscribe();
    }
  }

  send(frame: Uint8Array, call: Routed): string {
    const key = `${this.#next++}`;
    this.#calls.set(key, call);
    this.#connection.nats.publish(this.subject, frame, { reply: `${this.#inbox}.${key}` });
    return key;
  }

  control(subject: string, frame: Uint8Array): void {
    this.#connection.nats.publish(subject, frame);
  }

  done(key: string): void {
    this.#calls.delete(key);
  }

  #answer(message: Msg): void {
    const key = message.subject.slice(this.#inbox.length + 1);
    const call = this.#calls.get(key);
    if (call === undefined) return; // it has ended
    if (message.headers?.code === 503) {
      const text = `Cannot call: no machine takes calls of "${this.subject}" now`;
      call.fail({ code: "Disconnected", message: text, delivered: false });
      return;
    }
    const control = message.headers?.get("Isthmus-Control"), failure = message.headers?.get("Isthmus-Failure");
    if (control) call.accepted(control);
    else if (failure) call.fail(JSON.parse(failure));
    else call.answer(message.data);
  }

  /** Whether what takes the calls lives, and still has them: an answer is lost where a connection was. */
  async #look(): Promise<void> {
    const now = performance.now(), backs = new Map<string, [key: string, number: string][]>();
    for (const [key, call] of this.#calls) {
      if (call.control !== undefined) {
        const dot = call.control.lastIndexOf(".");
        const back = call.control.slice(0, dot), calls = backs.get(back) ?? [];
        backs.set(back, calls);
        calls.push([key, call.control.slice(dot + 1)]);
      } else if (now - call.since > UNACKNOWLEDGED) {
        const message = `Cannot call: no machine that takes calls of "${this.subject}" has said within ` +
          `${UNACKNOWLEDGED / 1000} s that it has this one`;
        call.fail({ code: "Disconnected", message, delivered: true });
      }
    }
    for (const back of this.#silent.keys()) if (!backs.has(back)) this.#silent.delete(back);
    await Promise.all([...backs].map(async ([back, calls]) => {
      let ended: string[] = [];
      try {
        const numbers = JSON.stringify(calls.map(([, number]) => number));
        const answer = await this.#connection.nats.request(`${back}.alive`, numbers, { timeout: LOOK });
        this.#silent.delete(back);
        ended = answer.json<string[]>();
      } catch (error) {
        const looks = (this.#silent.get(back) ?? 0) + 1;
        this.#silent.set(back, looks);
        // Without a subscription it is certainly gone: that is said at once.
        if (looks < LOOKS && !/no responders/i.test(textOf(error))) return;
        ended = calls.map(([, number]) => number);
      }
      for (const [key, number] of calls) {
        if (!ended.includes(number)) continue;
        const message = "The machine that answers this call is gone, or its answer was lost with a connection";
        this.#calls.get(key)?.fail({ code: "Disconnected", message, delivered: true });
      }
    }));
  }

  /** Ends the server. */
  [Symbol.dispose](): void {
    this.#server.close();
    this.#codec[Symbol.dispose]();
  }
}
