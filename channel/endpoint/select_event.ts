// What a receiver set reports.
import type { IpcError } from "../../base/error.ts";

/**
 * What {@linkcode IpcReceiverSet} reports: a message of a member, what is wrong with one, or that a member's senders are
 * all gone.
 *
 * An `error` concerns its member alone. After one with code `Serialization` or `TooLarge` (the message is skipped) or
 * `System` (it is tried again) the member goes on; one with code `Corrupt` is the last event of a member, which is closed:
 * a peer has damaged the channel, or sent thousands of messages that cannot be decoded.
 *
 * @example A message, and the end of a member
 * ```ts
 * import { channel, IpcReceiverSet, type SelectEvent } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * function text(event: SelectEvent): string {
 *   if (event.type === "message") return `message ${event.value}`;
 *   return event.type === "error" ? event.error.message : "closed";
 * }
 *
 * using set = new IpcReceiverSet();
 * const [sender, receiver] = channel<number>();
 * const id = set.add(receiver);
 * sender.sendSync(7);
 * const [message] = await set.select();
 * assertEquals([message!.id, text(message!)], [id, "message 7"]);
 * sender.close();
 * assertEquals((await set.select()).map(text), ["closed"]);
 * ```
 */
export type SelectEvent =
  | { id: number; type: "message"; value: unknown }
  | { id: number; type: "error"; error: IpcError }
  | { id: number; type: "closed" };
