// The stream of a queue: made if there is none, and looked at.
import { AckPolicy, DeliverPolicy, JetStreamApiError, RetentionPolicy, StorageType } from "@nats-io/jetstream";
import type { JetStreamManager } from "@nats-io/jetstream";
import { nanos } from "@nats-io/nats-core";
import { BridgeError, textOf } from "../log.ts";

/** How the stream of a queue is made. */
export interface QueueOptions {
  /** Servers that keep a copy each. */
  readonly replicas: number;
  /** Bytes that may wait in the queue; -1 for no limit. When they do, senders wait. */
  readonly maxBytes: number;
  /** Seconds for which NATS knows a message again. */
  readonly window: number;
}

/** How a bridge gets a queue: if no other is at work, in any case, or if none has taken it since it was this bridge's. */
export type Claim = "if free" | "take over" | "keep";

/** The names of a queue within NATS. */
export class Queue {
  /** Its name. */
  readonly name: string;
  /** Its stream. */
  readonly stream: string;
  /** The subject of messages. */
  readonly messages: string;
  readonly #root: string;

  /** @throws {BridgeError} If the name cannot be used. */
  constructor(name: string) {
    if (!/^[A-Za-z0-9_-]{1,64}$/.test(name)) {
      throw new BridgeError(`Cannot use "${name}" as the name of a queue: letters, digits, "-" and "_" only, up to 64`);
    }
    this.name = name;
    this.stream = `ISTHMUS_${name}`;
    this.#root = `isthmus.queue.${name}`;
    this.messages = `${this.#root}.m`;
  }

  /** The subjects of its stream. */
  get subjects(): string[] {
    return [this.messages, `${this.#root}.p.>`];
  }

  /** The subject of a piece of a large message; without a number of all of them. */
  piece(source: string, position: number, number?: number): string {
    return `${this.#root}.p.${source}.${position}.${number ?? "*"}`;
  }

  /**
   * Makes the stream if there is none. One that exists is left as it is.
   *
   * @throws {BridgeError} If it is another kind of stream.
   */
  async ensure(manager: JetStreamManager, options: QueueOptions): Promise<void> {
    const found = await this.#find(manager);
    if (found === undefined) {
      try {
        await manager.streams.add({
          name: this.stream,
          subjects: this.subjects,
          retention: RetentionPolicy.Workqueue,
          storage: StorageType.File,
          num_replicas: options.replicas,
          max_bytes: options.maxBytes,
          discard: "new",
          duplicate_window: nanos(options.window * 1000),
          allow_direct: true,
        });
        return;
      } catch (error) {
        if (await this.#find(manager) === undefined) throw error; // else another bridge has just made it
      }
    }
    const config = await this.#find(manager);
    const subjects = new Set(config?.subjects);
    if (config?.retention !== RetentionPolicy.Workqueue || !this.subjects.every((subject) => subjects.has(subject))) {
      throw new BridgeError(
        `Cannot use the stream "${this.stream}": it is no work queue of the subjects ${this.subjects.join(" and ")}; ` +
          "remove it, or give the queue another name",
      );
    }
  }

  async #find(manager: JetStreamManager) {
    try {
      return (await manager.streams.info(this.stream)).config;
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /**
   * Makes the consumer that all bridges of a shared queue have in common, or leaves it as it is.
   *
   * @param ackWait Seconds after which a message that was not acknowledged is given to another one.
   */
  async ensureShared(manager: JetStreamManager, ackWait: number): Promise<void> {
    await manager.consumers.add(this.stream, {
      durable_name: SHARED,
      ack_policy: AckPolicy.Explicit,
      deliver_policy: DeliverPolicy.All,
      filter_subject: this.messages,
      ack_wait: nanos(ackWait * 1000),
      max_ack_pending: MOST_PENDING,
    }).catch((error) => {
      throw new BridgeError(
        `Cannot share the queue "${this.name}": ${
          textOf(error)
        }; if one bridge without --shared receives from it, stop that`,
      );
    });
  }

  /**
   * Makes the consumer of the only bridge that receives, anew: so everything that was not acknowledged comes again at once,
   * in its order.
   *
   * @param owner The bridge, by a name that it keeps when it is started again.
   * @param claim What is done about another bridge.
   */
  async makeOwn(manager: JetStreamManager, owner: string, claim: Claim): Promise<void> {
    try {
      const { config, num_waiting: waiting } = await manager.consumers.info(this.stream, OWN);
      if (config.description !== owner && claim === "keep") {
        throw new BridgeError(`Another bridge receives from the queue "${this.name}" now: ${config.description}`);
      }
      if (config.description !== owner && waiting > 0 && claim === "if free") {
        throw new BridgeError(
          `Cannot receive from the queue "${this.name}": ${config.description} receives from it; stop that, give --take-over, ` +
            "or give --shared to both",
        );
      }
      await manager.consumers.delete(this.stream, OWN);
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
    await manager.consumers.add(this.stream, {
      durable_name: OWN,
      description: owner,
      ack_policy: AckPolicy.Explicit,
      deliver_policy: DeliverPolicy.All,
      filter_subject: this.messages,
      ack_wait: nanos(60_000),
      max_ack_pending: MOST_PENDING,
    }).catch((error) => {
      throw new BridgeError(
        `Cannot receive from the queue "${this.name}": ${
          textOf(error)
        }; if bridges with --shared receive from it, stop them, ` +
          `and remove the consumer "${SHARED}" of the stream "${this.stream}"`,
      );
    });
  }

  /** Who receives alone; `undefined` if nobody does. */
  async owner(manager: JetStreamManager): Promise<string | undefined> {
    try {
      return (await manager.consumers.info(this.stream, OWN)).config.description;
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }
}

/** Names of consumers: of one bridge alone, and of several. */
export const OWN = "isthmus", SHARED = "isthmus-shared";

/** Messages that may be on their way to bridges. */
const MOST_PENDING = 4096;

/** Whether a stream, consumer or message does not exist. */
export function isNotFound(error: unknown): boolean {
  return error instanceof JetStreamApiError && (error.code === 10059 || error.code === 10014 || error.code === 10037);
}
