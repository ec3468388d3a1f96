// A named channel into a queue. What is borrowed from the ring is released when NATS has it, so a bridge that is killed at any
// moment finds it in the ring again; and what it has sent before has the same name again, by which NATS, and the bridge at the
// other end, know it.
import { type Borrowed, IpcBytesReceiver, IpcError } from "../../../mod.ts";
import type { Connection } from "../connection.ts";
import { BridgeError, say, Trouble } from "../log.ts";
import { ringIdentity, StateFile } from "../state_file.ts";
import { Flight } from "./flight.ts";
import { type Item, sizeOf } from "./frame.ts";
import type { Queue, QueueOptions } from "./stream.ts";

/** What is kept beside the ring. */
interface Kept {
  /** Which ring. */
  ring: string;
  /** What its messages are called by. */
  source: string;
  /** Frames that were sent, or are about to be: the position before, the first, the last, and the number of messages. */
  flights: [previous: number | null, first: number, last: number, count: number][];
}

/** Frames under way at a time: more, of small ones, make better use of the network; fewer repeat less after a kill. */
const MOST_FLIGHTS = 32;
/** Bytes under way at a time. */
const MOST_BYTES = 8 << 20;
/** Bytes and messages of a frame. */
const FRAME_BYTES = 64 << 10, FRAME_ITEMS = 256;
/** With so many frames under way, one that is not full waits for more messages. */
const FLIGHTS_BEFORE_WAITING = 4;
/** Milliseconds between attempts, doubling. */
const FIRST_PAUSE = 100, LAST_PAUSE = 3000;

type Message = Borrowed<Uint8Array<ArrayBuffer>>;

/** How a channel is opened. */
export interface ChannelOptions {
  /** Bytes of a new channel. */
  readonly capacity: number | undefined;
}

/** Sends what comes through a channel. */
export class Outbox implements Disposable {
  readonly #connection: Connection;
  readonly #queue: Queue;
  readonly #options: QueueOptions;
  readonly #receiver: IpcBytesReceiver;
  readonly #state: StateFile<Kept>;
  readonly #kept: Kept;
  readonly #trouble = new Trouble("sending to the queue");
  readonly #flights: Flight[] = [];
  #bytes = 0;
  /** The position of the last message that was put into a frame, counted without end. */
  #last: number | undefined;
  #failed: unknown;
  #changed = Promise.withResolvers<void>();

  /** @throws {IpcError} If the channel cannot be received from. */
  constructor(connection: Connection, queue: Queue, options: QueueOptions, path: string, channel: ChannelOptions) {
    this.#connection = connection;
    this.#queue = queue;
    this.#options = options;
    const { capacity } = channel;
    this.#receiver = IpcBytesReceiver.create(path, {
      redeliver: true,
      ...(capacity === undefined ? {} : { capacity }),
    });
    try {
      this.#state = new StateFile<Kept>(`${path}.out-${queue.name}`);
    } catch (error) {
      this.#receiver.close();
      throw error;
    }
    const ring = ringIdentity(path);
    const { found } = this.#state;
    this.#kept = found?.ring === ring ? found : { ring, source: crypto.randomUUID(), flights: [] };
    this.#last = this.#kept.flights.at(-1)?.[2];
  }

  /** Sends until the signal; then waits for what is under way, for some seconds. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#untilItWorks(() => this.#queue.ensure(this.#connection.manager, this.#options), signal);
    const stop = () => this.#wake();
    signal.addEventListener("abort", stop);
    try {
      let next = await this.#sendAgain(signal);
      while (!signal.aborted) {
        if (this.#failed !== undefined) {
          await this.#sendFailed(signal);
        } else if (this.#flights.length >= MOST_FLIGHTS || this.#bytes >= MOST_BYTES) {
          await this.#changed.promise;
        } else {
          next = await this.#sendNext(next, signal);
        }
      }
      next?.release(); // not sent: the receiver is closed with it
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      signal.removeEventListener("abort", stop);
    }
    const until = AbortSignal.timeout(5000);
    until.addEventListener("abort", stop);
    while (this.#flights.length > 0 && this.#failed === undefined && !until.aborted) await this.#changed.promise;
  }

  // --- Frames --------------------------------------------------------------------------------------------------------

  /**
   * Makes a frame of what is there, and sends it.
   *
   * @param next The first message, if it was borrowed already.
   * @returns A message that was borrowed and did not fit.
   */
  async #sendNext(next: Message | undefined, signal: AbortSignal): Promise<Message | undefined> {
    next ??= await this.#borrow(signal);
    if (next === undefined) return undefined;
    const messages = [next];
    let bytes = sizeOf(next.value.length), left: Message | undefined;
    while (messages.length < FRAME_ITEMS && bytes < FRAME_BYTES) {
      const more = this.#receiver.tryBorrow();
      if (more === undefined) {
        if (this.#flights.length < FLIGHTS_BEFORE_WAITING || this.#failed !== undefined || signal.aborted) break;
        await this.#changed.promise; // a frame has arrived: by then there may be more
        continue;
      }
      bytes += sizeOf(more.value.length);
      if (bytes > FRAME_BYTES) {
        left = more;
        break;
      }
      messages.push(more);
    }
    const isFirst = this.#last === undefined;
    this.#launch(messages, false);
    // The first frame ever, alone: the other end begins to count with it.
    while (isFirst && this.#flights.length > 0 && this.#failed === undefined && !signal.aborted) {
      await this.#changed.promise;
    }
    return left;
  }

  /** The next message; `undefined` if a frame arrived or failed meanwhile, or it is time to stop. */
  async #borrow(signal: AbortSignal): Promise<Message | undefined> {
    const now = this.#receiver.tryBorrow();
    if (now !== undefined || this.#failed !== undefined) return now;
    const changed = new AbortController(), either = AbortSignal.any([signal, changed.signal]);
    void this.#changed.promise.then(() => changed.abort());
    try {
      return await this.#receiver.borrow({ signal: either });
    } catch (error) {
      if (either.aborted) return undefined;
      if (error instanceof IpcError && (error.code === "TooLarge" || error.code === "Serialization")) {
        say(`a message is left out, as it cannot be received: ${error.message}`);
        return undefined;
      }
      throw error;
    }
  }

  #launch(messages: readonly Message[], isKept: boolean): void {
    const items: Item[] = messages.map(({ value, position }) => ({ position: this.#count(position!), bytes: value }));
    const { source, flights } = this.#kept;
    const flight = new Flight(this.#connection, this.#queue, source, this.#last, items, messages);
    this.#last = flight.last;
    this.#flights.push(flight);
    this.#bytes += flight.size;
    // Before it is sent: sent again by another process, it must be the same frame. The last one stays, for its position.
    if (!isKept) {
      flights.splice(0, flights.findIndex(([, , last]) => last >= (this.#flights[0]!.previous ?? 0)));
      flights.push([flight.previous ?? null, flight.first, flight.last, messages.length]);
      this.#state.save(this.#kept);
    }
    void this.#send(flight);
  }

  /** Positions begin again at 2^32; these do not. */
  #count(position: number): number {
    return this.#last === undefined ? position : this.#last + ((position - this.#last) | 0);
  }

  async #send(flight: Flight): Promise<void> {
    try {
      await flight.send();
      this.#trouble.worked();
    } catch (error) {
      this.#trouble.failed(error);
      this.#failed ??= error;
    }
    while (this.#flights[0]?.arrived) {
      const first = this.#flights.shift()!;
      this.#bytes -= first.size;
      first.release();
    }
    this.#wake();
  }

  // --- Once more -----------------------------------------------------------------------------------------------------

  /**
   * Makes the same frames of what an earlier process has borrowed and not released, and sends them again.
   *
   * @returns A message that was in none of them.
   */
  async #sendAgain(signal: AbortSignal): Promise<Message | undefined> {
    const { flights } = this.#kept;
    if (flights.length === 0) return undefined;
    let next = this.#receiver.tryBorrow();
    for (const [previous, first, last, count] of flights.slice()) {
      this.#last = last; // near enough to count by
      if (next === undefined || this.#count(next.position!) > last) continue; // it had arrived, and was released
      if (this.#count(next.position!) > first) {
        for (; next !== undefined && this.#count(next.position!) <= last; next = this.#receiver.tryBorrow()) {
          next.release();
        }
        continue;
      }
      const messages: Message[] = [];
      for (; next !== undefined && messages.length < count; next = this.#receiver.tryBorrow()) messages.push(next);
      this.#last = previous ?? undefined;
      this.#launch(messages, true);
      if (this.#failed !== undefined) await this.#sendFailed(signal);
    }
    return next;
  }

  /** Sends what did not arrive once more, in order, when nothing is under way. */
  async #sendFailed(signal: AbortSignal): Promise<void> {
    for (let pause = FIRST_PAUSE; !signal.aborted; pause = Math.min(pause * 2, LAST_PAUSE)) {
      while (this.#flights.some(({ sending }) => sending)) await this.#changed.promise;
      if (this.#failed === undefined && this.#flights.every(({ arrived }) => arrived)) return;
      await resting(pause, signal);
      if (signal.aborted) return;
      try {
        await this.#queue.ensure(this.#connection.manager, this.#options);
      } catch (error) {
        if (error instanceof BridgeError) throw error;
        this.#trouble.failed(error);
        continue;
      }
      this.#failed = undefined;
      for (const flight of this.#flights.filter(({ arrived }) => !arrived)) void this.#send(flight);
    }
  }

  async #untilItWorks(work: () => Promise<void>, signal: AbortSignal): Promise<void> {
    for (let pause = FIRST_PAUSE; !signal.aborted; pause = Math.min(pause * 2, LAST_PAUSE)) {
      try {
        await work();
        this.#trouble.worked();
        return;
      } catch (error) {
        if (error instanceof BridgeError) throw error;
        this.#trouble.failed(error);
        await resting(pause, signal);
      }
    }
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  /** Closes the channel: what did not arrive stays in it. */
  [Symbol.dispose](): void {
    this.#receiver.close();
    this.#state[Symbol.dispose]();
  }
}

/** Waits, until the signal at the most. */
export function resting(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => (clearTimeout(timer), signal.removeEventListener("abort", done), resolve());
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
    if (signal.aborted) done();
  });
}
