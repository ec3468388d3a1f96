// A queue into a named channel. A message is acknowledged when it is in the ring, so a bridge that is killed gets again what it
// had not acknowledged, and knows by its positions what of that was sent already.
import type { ConsumerMessages, JsMsg } from "@nats-io/jetstream";
import type { Connection } from "../connection.ts";
import { BridgeError, say, textOf, Trouble } from "../log.ts";
import { type Delivery, FarChannel } from "./far_channel.ts";
import { type Frame, readFrame } from "./frame.ts";
import { type ChannelOptions, resting } from "./outbox.ts";
import { fetchPieces, removePieces } from "./pieces.ts";
import { type Claim, OWN, type Queue, type QueueOptions, SHARED } from "./stream.ts";

/** How a queue is received from. */
export interface InboxOptions extends QueueOptions, ChannelOptions {
  /** Whether other bridges receive from it as well. */
  readonly shared: boolean;
  /** Of a shared queue: seconds after which what a bridge has not acknowledged is given to another. */
  readonly ackWait: number;
  /** Whether another bridge that receives from it is to stop. */
  readonly takeOver: boolean;
  /** Whether to go on without messages that are missing in between. */
  readonly skipMissing: boolean;
}

/**
 * Messages that NATS sends ahead: frames of 64 KiB, as a rule. Not counted in bytes: where a message does not fit into what is
 * left of a request, the client waits for two heartbeats.
 */
const AHEAD = 32;
/** Frames that are kept until the one before them comes: as many as a sender has under way, several times. */
const MOST_EARLY = 256;
/** Milliseconds between two complaints about a missing message. */
const COMPLAIN = 60_000;
/** Milliseconds between attempts, doubling. */
const FIRST_PAUSE = 100, LAST_PAUSE = 3000;

interface Early {
  readonly frame: Frame;
  readonly message: JsMsg;
}

/** Puts what comes through a queue into a channel. */
export class Inbox implements Disposable {
  readonly #connection: Connection;
  readonly #queue: Queue;
  readonly #options: InboxOptions;
  readonly #channel: FarChannel;
  readonly #trouble = new Trouble("receiving from the queue");
  /** Frames that came before their predecessors, by source and first position. */
  readonly #early = new Map<string, Map<number, Early>>();
  #complained = 0;

  constructor(connection: Connection, queue: Queue, path: string, options: InboxOptions) {
    this.#connection = connection;
    this.#queue = queue;
    this.#options = options;
    this.#channel = new FarChannel(path, queue.name, options);
  }

  /** Delivers until the signal. */
  async run(signal: AbortSignal): Promise<void> {
    const { manager } = this.#connection;
    let claim: Claim = this.#options.takeOver ? "take over" : "if free";
    for (let pause = FIRST_PAUSE; !signal.aborted; pause = Math.min(pause * 2, LAST_PAUSE)) {
      try {
        await this.#queue.ensure(manager, this.#options);
        if (this.#options.shared) {
          await this.#queue.ensureShared(manager, this.#options.ackWait);
          await this.#finishFrames(signal);
        }
        if (!this.#options.shared) await this.#queue.makeOwn(manager, this.#name, claim);
        claim = "keep";
        this.#trouble.worked();
        await this.#deliver(signal);
        pause = FIRST_PAUSE;
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof BridgeError) throw error;
        this.#trouble.failed(error);
        await this.#checkOwner();
        await resting(pause, signal);
      }
    }
  }

  /**
   * Of a shared queue: acknowledges what an earlier process has delivered, and delivers the rest of a frame that it has
   * begun, before NATS gives it to another bridge.
   */
  async #finishFrames(signal: AbortSignal): Promise<void> {
    const { nats, manager } = this.#connection;
    for (const { source, first, last, reply, position } of this.#channel.begun) {
      // The reply's subject: $JS.ACK, perhaps a domain and an account, stream, consumer, deliveries, number in the stream, …
      const words = reply.split("."), seq = Number(words[words.length > 9 ? 7 : 5]);
      if (position < last) {
        const stored = await manager.streams.getMessage(this.#queue.stream, { seq });
        if (stored === null) continue; // another has it
        const { items } = readFrame(stored.header, stored.data);
        const frame = { first, last, reply };
        const rest = items.filter((item) => item.position > position);
        await this.#channel.send(rest.map((item) => ({ ...item, source, frame })), signal);
      }
      await removePieces(manager, this.#queue, source, first);
      nats.publish(reply, "+ACK");
    }
    await nats.flush();
  }

  get #name(): string {
    return `isthmus bridge ${this.#channel.owner} on ${Deno.hostname()}`;
  }

  /** Whether another bridge has taken the queue over. */
  async #checkOwner(): Promise<void> {
    if (this.#options.shared) return;
    const owner = await this.#queue.owner(this.#connection.manager).catch(() => undefined);
    if (owner === undefined || owner === this.#name) return;
    throw new BridgeError(`Another bridge receives from the queue "${this.#queue.name}" now: ${owner}`);
  }

  /** Until the signal, or until the connection was lost and is there again: then what was on its way is asked for anew. */
  async #deliver(signal: AbortSignal): Promise<void> {
    const { jetstream, nats } = this.#connection;
    this.#early.clear();
    const consumer = await jetstream.consumers.get(this.#queue.stream, this.#options.shared ? SHARED : OWN);
    const messages = await consumer.consume({
      max_messages: AHEAD,
      expires: 30_000,
      idle_heartbeat: 5_000,
      abort_on_missing_resource: true,
    });
    const stop = () => messages.stop();
    signal.addEventListener("abort", stop);
    const statuses = nats.status();
    void (async () => {
      for await (const { type } of statuses) if (type === "reconnect") messages.stop();
    })();
    try {
      await this.#take(messages, signal);
    } finally {
      signal.removeEventListener("abort", stop);
      (statuses as unknown as { stop(): void }).stop();
      messages.stop();
    }
  }

  async #take(messages: ConsumerMessages, signal: AbortSignal): Promise<void> {
    for await (const message of messages) {
      if (signal.aborted) return;
      let frame: Frame;
      try {
        frame = readFrame(message.headers, message.data);
      } catch (error) {
        say(`message ${message.seq} of the queue "${this.#queue.name}" is dropped: ${textOf(error)}`);
        message.term(textOf(error));
        continue;
      }
      for (let next: Early | undefined = { frame, message }; next !== undefined; next = this.#follower(next.frame)) {
        await this.#one(next, signal);
      }
    }
  }

  /** The frame that was waiting for this one. */
  #follower({ source, last }: Frame): Early | undefined {
    if (source === undefined || this.#early.size === 0) return undefined;
    const early = this.#early.get(source);
    const found = early?.get(last);
    if (found === undefined || this.#channel.lastOf(source) !== last) return undefined;
    early!.delete(last);
    if (early!.size === 0) this.#early.delete(source);
    return found;
  }

  async #one({ frame, message }: Early, signal: AbortSignal): Promise<void> {
    const { source, previous } = frame, { shared } = this.#options;
    const last = source === undefined || shared ? undefined : this.#channel.lastOf(source);
    if (last !== undefined && frame.last <= last) { // it was delivered before
      await this.#finish(frame, message);
      return;
    }
    const sent = shared && source !== undefined ? this.#channel.sentOf(source, frame.first) : last;
    if (last !== undefined && previous !== undefined && previous > last && !this.#mayskip(frame, message, last)) return;
    let { items } = frame;
    if (sent !== undefined) items = items.filter(({ position }) => position > sent);
    if (frame.elsewhere !== undefined && items.length > 0) {
      const bytes = new Uint8Array(frame.elsewhere.length);
      const { manager } = this.#connection, { pieces } = frame.elsewhere;
      if (!await fetchPieces(manager, this.#queue, source!, frame.first, pieces, bytes)) {
        if (!shared) {
          throw new BridgeError(`Pieces of message ${message.seq} of the queue "${this.#queue.name}" were removed`);
        }
        message.ack(); // another bridge has delivered it, and was killed before it said so
        return;
      }
      items = [{ position: frame.first, bytes }];
    }
    const key = { first: frame.first, last: frame.last, reply: (message as unknown as { reply: string }).reply };
    const deliveries: Delivery[] = items.map(({ position, bytes }) => ({ source, position, bytes, frame: key }));
    await this.#channel.send(deliveries, signal);
    await this.#finish(frame, message);
  }

  /** What is in the ring is acknowledged; its pieces go before that. */
  async #finish(frame: Frame, message: JsMsg): Promise<void> {
    if (frame.elsewhere !== undefined) {
      await removePieces(this.#connection.manager, this.#queue, frame.source!, frame.first);
    }
    message.ack();
  }

  /** A message before this one is missing: it is on its way. Whether to go on without it. */
  #mayskip(frame: Frame, message: JsMsg, last: number): boolean {
    const { source, first, previous } = frame;
    const what = `the queue "${this.#queue.name}" lacks messages of ${source} between ${last} and ${first}`;
    if (this.#options.skipMissing) {
      say(`${what}: going on without them`);
      return true;
    }
    const early = this.#early.get(source!) ?? new Map<number, Early>();
    this.#early.set(source!, early);
    if (early.size < MOST_EARLY) early.set(previous!, { frame, message });
    else message.nak(1000);
    if (performance.now() - this.#complained > COMPLAIN && early.size > 1) {
      this.#complained = performance.now();
      say(`${what}: waiting for them; if they were removed, start this bridge with --skip-missing`);
    }
    return false;
  }

  /** Leaves the channel. */
  [Symbol.dispose](): void {
    this.#channel[Symbol.dispose]();
  }
}
