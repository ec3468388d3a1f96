// A topic of this machine to a subject: each message at most once, as topics and subjects are. A subject keeps nothing, and a
// bridge that cannot send drops what it has, and says how much.
import { IpcBytesSubscriber } from "../../../mod.ts";
import type { Connection } from "../connection.ts";
import { say, textOf } from "../log.ts";

/** Messages after which the server is asked whether it has them: so many are in this process's memory at most. */
const BETWEEN_FLUSHES = 512;
/** Bytes after which it is asked. */
const BYTES_BETWEEN_FLUSHES = 4 << 20;

/** Publishes what a topic's publishers do. */
export class TopicPublisher implements Disposable {
  readonly #connection: Connection;
  readonly #subject: string;
  readonly #subscriber: IpcBytesSubscriber;
  #dropped = 0;
  #missed = 0;

  constructor(connection: Connection, topic: string, subject: string) {
    this.#connection = connection;
    this.#subject = subject;
    this.#subscriber = IpcBytesSubscriber.open(topic);
  }

  /** Publishes until the signal. */
  async run(signal: AbortSignal): Promise<void> {
    const { nats, maxPayload } = this.#connection;
    let messages = 0, bytes = 0;
    for await (const message of this.#subscriber.values({ signal })) {
      if (message.length > maxPayload) {
        say(`a message of ${message.length} bytes is dropped: NATS takes ${maxPayload} here`);
        continue;
      }
      try {
        nats.publish(this.#subject, message);
        bytes += message.length;
        if (++messages < BETWEEN_FLUSHES && bytes < BYTES_BETWEEN_FLUSHES) continue;
        messages = bytes = 0;
        await nats.flush();
        this.#report();
      } catch (error) {
        if (nats.isClosed()) return;
        if (this.#dropped++ === 0) say(`messages for "${this.#subject}" are dropped: ${textOf(error)}`);
      }
    }
    await nats.flush().catch(() => {});
    this.#report();
  }

  #report(): void {
    const missed = this.#subscriber.missed;
    if (missed > this.#missed) say(`${missed - this.#missed} messages were missed: NATS is slower than the publishers`);
    this.#missed = missed;
    if (this.#dropped > 0) say(`messages are published to "${this.#subject}" again`);
    this.#dropped = 0;
  }

  /** Leaves the topic. */
  [Symbol.dispose](): void {
    this.#subscriber.close();
  }
}
