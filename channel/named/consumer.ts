// Receiving from a ring that has a name.
import { asFound, optionsOf } from "../../base/arguments.ts";
import { RingConsumer } from "../ring/consumer.ts";
import { type NamedChannelOptions, openRingFile } from "./file.ts";

/**
 * How a named channel is received from.
 *
 * @example A receiver that loses nothing when it is killed
 * ```ts
 * import { IpcReceiver, IpcSender, type NamedReceiverOptions } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const options: NamedReceiverOptions = { redeliver: true };
 * const path = `/dev/shm/jobs-${crypto.randomUUID()}`;
 * const receiver = IpcReceiver.create<string>(path, options);
 * using sender = IpcSender.open<string>(path);
 * sender.sendSync("a job");
 * assertEquals(receiver.borrowSync().value, "a job"); // and it is not released
 * receiver.close(); // or its process is killed
 *
 * using next = IpcReceiver.create<string>(path, options);
 * {
 *   using job = next.borrowSync();
 *   assertEquals(job.value, "a job"); // the same again
 * } // released: done with
 * sender.close();
 * ```
 */
export interface NamedReceiverOptions extends NamedChannelOptions {
  /**
   * Whether a message that is borrowed is received only when it is released: the next receiver gets again what this one
   * has not released when it is closed or killed, and all that it received behind that. What is received otherwise than by
   * `borrow` is received at once, if nothing is borrowed. By default what is borrowed is received.
   *
   * @default false
   */
  redeliver?: boolean;
}

/** Attaches to the ring at a path, to receive from it: see {@linkcode openRingFile}. */
export function openNamedConsumer(path: string, options: NamedReceiverOptions): RingConsumer {
  const what = `Cannot receive from the channel ${asFound(path)}`; // not checked yet
  const redeliver = optionsOf(options, what).redeliver ?? false;
  if (typeof redeliver !== "boolean") {
    throw new TypeError(`${what}: "redeliver" is true or false, not ${asFound(redeliver)}`);
  }
  return RingConsumer.open(openRingFile(path, options), redeliver);
}
