// A frame on its way from the ring to NATS.
import type { Borrowed } from "../../../mod.ts";
import type { Connection } from "../connection.ts";
import { headersOf, idOf, type Item, payloadOf } from "./frame.ts";
import { sendPieces } from "./pieces.ts";
import type { Queue } from "./stream.ts";

/** Bytes that headers take, at most. */
const HEADERS = 1024;
/** Milliseconds until an answer is not expected any more. */
const TIMEOUT = 5000;

/** Messages that are borrowed from the ring until NATS has them. */
export class Flight {
  /** The position of the message before. */
  readonly previous: number | undefined;
  readonly first: number;
  readonly last: number;
  /** Bytes of its messages. */
  readonly size: number;
  /** Whether NATS has it. */
  arrived = false;
  /** Whether an answer is awaited. */
  sending = false;
  readonly #connection: Connection;
  readonly #queue: Queue;
  readonly #source: string;
  readonly #items: readonly Item[];
  readonly #messages: readonly Borrowed<unknown>[];

  constructor(
    connection: Connection,
    queue: Queue,
    source: string,
    previous: number | undefined,
    items: readonly Item[],
    messages: readonly Borrowed<unknown>[],
  ) {
    this.#connection = connection;
    this.#queue = queue;
    this.#source = source;
    this.previous = previous;
    this.first = items[0]!.position;
    this.last = items.at(-1)!.position;
    this.size = items.reduce((sum, { bytes }) => sum + bytes.length, 0);
    this.#items = items;
    this.#messages = messages;
  }

  /** Sends it; resolves when NATS has it. The same frame has the same name, by which NATS drops it the second time. */
  async send(): Promise<void> {
    this.sending = true;
    try {
      const { jetstream, maxPayload } = this.#connection;
      const source = this.#source, { first, last, previous } = this, count = this.#items.length;
      const options = {
        msgID: idOf(source, first, last),
        expect: { streamName: this.#queue.stream },
        timeout: TIMEOUT,
      };
      if (this.size + HEADERS > maxPayload && count === 1) {
        const { bytes } = this.#items[0]!;
        // Half: they come back in base64.
        const pieces = await sendPieces(jetstream, this.#queue, source, first, bytes, (maxPayload >> 1) - HEADERS);
        const headers = headersOf(source, { first, last, previous, count }, { pieces, length: bytes.length });
        await jetstream.publish(this.#queue.messages, undefined, { ...options, headers });
      } else {
        const headers = headersOf(source, { first, last, previous, count });
        await jetstream.publish(this.#queue.messages, payloadOf(this.#items), { ...options, headers });
      }
      this.arrived = true;
    } finally {
      this.sending = false;
    }
  }

  /** Gives its messages back to the ring: they are received. */
  release(): void {
    for (const message of this.#messages) message.release();
  }
}
