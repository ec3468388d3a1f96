// A subject to a topic of this machine.
import { IpcBytesPublisher, IpcError } from "../../../mod.ts";
import type { Connection } from "../connection.ts";
import { say, textOf } from "../log.ts";

/** Publishes in a topic what comes on a subject. */
export class TopicSubscriber implements Disposable {
  readonly #connection: Connection;
  readonly #subject: string;
  readonly #publisher: IpcBytesPublisher;

  /** @param capacity Bytes that the topic keeps, if it does not exist yet. */
  constructor(connection: Connection, subject: string, topic: string, capacity: number | undefined) {
    this.#connection = connection;
    this.#subject = subject;
    this.#publisher = IpcBytesPublisher.open(topic, capacity === undefined ? {} : { capacity });
  }

  /** Publishes until the signal. The topic never makes it wait. */
  async run(signal: AbortSignal): Promise<void> {
    const subscription = this.#connection.nats.subscribe(this.#subject, {
      callback: (error, message) => {
        if (error !== null) {
          say(`NATS ends the subscription to "${this.#subject}": ${textOf(error)}`);
          return;
        }
        try {
          this.#publisher.publish(message.data);
        } catch (error) {
          if (!(error instanceof IpcError) || error.code !== "TooLarge") throw error;
          say(`a message of ${message.data.length} bytes is dropped: ${error.message}`);
        }
      },
    });
    const stop = () => subscription.unsubscribe();
    signal.addEventListener("abort", stop);
    if (signal.aborted) stop();
    const failed = await subscription.closed;
    signal.removeEventListener("abort", stop);
    if (failed instanceof Error && !signal.aborted) throw failed;
  }

  /** Leaves the topic. */
  [Symbol.dispose](): void {
    this.#publisher.close();
  }
}
