// What a look for a message finds.

/**
 * What {@linkcode IpcReceiver.tryRecv} found: a message, nothing yet, or nothing ever again as every sender is gone.
 *
 * @typeParam T The type of the messages.
 *
 * @example Telling nothing yet from nothing ever again
 * ```ts
 * import { channel, type TryRecvResult } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const [sender, receiver] = channel<number>();
 * const text = (result: TryRecvResult<number>) => result.state === "message" ? `got ${result.value}` : result.state;
 *
 * const seen = [text(receiver.tryRecv())];
 * sender.sendSync(7);
 * seen.push(text(receiver.tryRecv()));
 * sender.close();
 * seen.push(text(receiver.tryRecv()));
 * assertEquals(seen, ["empty", "got 7", "disconnected"]);
 * receiver.close();
 * ```
 */
export type TryRecvResult<T> =
  | { state: "message"; value: T }
  | { state: "empty" }
  | { state: "disconnected" };
