// What endpoints of values and of bytes have in common, for programs that take either kind.
import type { IpcBytesReceiver } from "./bytes_receiver.ts";
import type { IpcBytesSender } from "./bytes_sender.ts";
import type { IpcReceiver } from "./receiver.ts";
import type { IpcSender } from "./sender.ts";

/**
 * What {@linkcode IpcReceiver} and {@linkcode IpcBytesReceiver} have in common.
 *
 * @typeParam T What is received.
 *
 * @example Either kind of receiver
 * ```ts
 * import { bytesChannel, channel, type ReceiverBase } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const takeAll = <T>(receiver: ReceiverBase<T>): T[] => receiver.recvMany();
 * const [words, wordReceiver] = channel<string>();
 * const [packets, packetReceiver] = bytesChannel();
 * words.sendSync("a");
 * words.sendSync("b");
 * packets.sendSync(new Uint8Array(2));
 * assertEquals(takeAll(wordReceiver).join(), "a,b");
 * assertEquals(takeAll(packetReceiver)[0]?.length, 2);
 * for (const end of [words, wordReceiver, packets, packetReceiver]) end.close();
 * ```
 */
export type ReceiverBase<T> = Pick<IpcReceiver<T>, keyof IpcReceiver<T> & keyof IpcBytesReceiver>;

/**
 * What {@linkcode IpcSender} and {@linkcode IpcBytesSender} have in common, but `clone()`.
 *
 * @typeParam T What is sent.
 *
 * @example Either kind of sender
 * ```ts
 * import { bytesChannel, channel, type SenderBase } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const sendAll = <T>(sender: SenderBase<T>, values: T[]) => values.every((value) => sender.trySend(value));
 * const [words, receiver] = channel<string>();
 * const [packets, byteReceiver] = bytesChannel();
 * assertEquals([sendAll(words, ["a", "b"]), sendAll(packets, [new Uint8Array(2)])], [true, true]);
 * for (const end of [words, receiver, packets, byteReceiver]) end.close();
 * ```
 */
export type SenderBase<T> = Pick<IpcSender<T>, Exclude<keyof IpcSender<T> & keyof IpcBytesSender, "clone">>;
