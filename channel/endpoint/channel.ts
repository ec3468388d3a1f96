// Makes channels.
import { optionsOf } from "../../base/arguments.ts";
import { IpcBytesDuplex } from "./bytes_duplex.ts";
import { bytesReceiverFrom, type IpcBytesReceiver } from "./bytes_receiver.ts";
import { bytesSenderFrom, type IpcBytesSender } from "./bytes_sender.ts";
import { IpcDuplex } from "./duplex.ts";
import { type IpcReceiver, receiverFrom } from "./receiver.ts";
import { type IpcSender, senderFrom } from "./sender.ts";
import { LazyChannel } from "./lazy_channel.ts";

/**
 * Options of a new channel.
 *
 * @example A small channel is full soon
 * ```ts
 * import { channel, type ChannelOptions } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const options: ChannelOptions = { capacity: 64 * 1024 };
 * const [sender, receiver] = channel<string>(options);
 * let sent = 0;
 * while (sender.trySend("x".repeat(1000))) sent++;
 * assertEquals(sent < 70, true);
 * assertEquals(receiver.recvMany().length, sent);
 * sender.close(), receiver.close();
 * ```
 */
export interface ChannelOptions {
  /**
   * Bytes that can wait in the channel, from 1 to 2^30; rounded up to a power of two, 64 KiB or more.
   * It is virtual memory: only what is used takes space. A message larger than this travels beside the ring.
   * Under sustained load usable capacity can halve until the receiver advances; size bursts at twice as much.
   *
   * @default 4 MiB
   */
  capacity?: number;
  /**
   * Bytes that a message may have to be received, as by {@linkcode IpcReceiver.limitMessages}. A larger one is skipped with
   * `TooLarge`. The receiver takes the limit along in this process only.
   *
   * @default Half of the memory that the machine has free when the message is received.
   */
  maxMessageBytes?: number;
}

const MAKE = "Cannot make a channel";

/**
 * Makes a channel for values. Both ends are here; put one into a message, or use a server, to bring it to another
 * process. The channel has no name and no file: when the last end is closed or killed, nothing of it remains.
 *
 * It takes its five descriptors and its memory when it is used in earnest: when an end waits, or after the first small
 * messages. If the sender is sent away before anything else, each side has a socket and no memory, until more than one
 * small message is sent, or something else is asked of an end. If there are none left, that use throws `System`;
 * nothing is lost then, and it may be tried again.
 *
 * @typeParam T What is sent.
 * @param options The capacity.
 * @returns The sender and the receiver.
 * @throws {IpcError} `Permission` without `--allow-ffi`, `Unsupported` on another platform.
 * @throws {TypeError} If the options are no object, or the capacity is no number.
 * @throws {RangeError} If the capacity is not such a number.
 *
 * @example
 * ```ts
 * import { channel } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const [sender, receiver] = channel<{ id: number; tags: Set<string> }>();
 * await sender.send({ id: 1, tags: new Set(["a", "b"]) });
 * assertEquals((await receiver.recv()).tags.has("b"), true);
 * sender.close(), receiver.close();
 * ```
 */
export function channel<T>(options?: ChannelOptions): [IpcSender<T>, IpcReceiver<T>] {
  return makeChannel<T>(options, false);
}

/** @param needsRing As of `LazyChannel`. */
function makeChannel<T>(options: ChannelOptions | undefined, needsRing: boolean): [IpcSender<T>, IpcReceiver<T>] {
  const { capacity, maxMessageBytes } = optionsOf(options, MAKE);
  const lazy = new LazyChannel(capacity, needsRing), receiver = receiverFrom<T>(lazy);
  if (maxMessageBytes !== undefined) receiver.limitMessages(maxMessageBytes);
  return [senderFrom<T>(lazy), receiver];
}

/**
 * Makes a channel for byte strings, which go through as they are.
 *
 * @param options The capacity.
 * @returns The sender and the receiver.
 * @throws {IpcError} As {@linkcode channel}.
 *
 * @example
 * ```ts
 * import { bytesChannel } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const [sender, receiver] = bytesChannel({ capacity: 1 << 20 });
 * sender.sendSync(new TextEncoder().encode("hello"));
 * assertEquals(new TextDecoder().decode(receiver.recvSync()), "hello");
 * sender.close(), receiver.close();
 * ```
 */
export function bytesChannel(options?: ChannelOptions): [IpcBytesSender, IpcBytesReceiver] {
  return makeBytesChannel(options, false);
}

function makeBytesChannel(options: ChannelOptions | undefined, needsRing: boolean): [IpcBytesSender, IpcBytesReceiver] {
  const { capacity, maxMessageBytes } = optionsOf(options, MAKE);
  const lazy = new LazyChannel(capacity, needsRing), receiver = bytesReceiverFrom(lazy);
  if (maxMessageBytes !== undefined) receiver.limitMessages(maxMessageBytes);
  return [bytesSenderFrom(lazy), receiver];
}

/**
 * Makes a pair of connected ends. Send one to another process inside a message.
 *
 * @typeParam Out What the first end sends, and the second receives.
 * @typeParam In What the first end receives, and the second sends.
 * @param options The capacity of each direction.
 * @returns Both ends.
 * @throws {IpcError} As {@linkcode channel}.
 *
 * @example
 * ```ts
 * import { duplex } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const [left, right] = duplex<string, number>();
 * left.sendSync("three");
 * right.sendSync(right.recvSync().length);
 * assertEquals(left.recvSync(), 5);
 * left.close(), right.close();
 * ```
 */
export function duplex<Out, In>(options?: ChannelOptions): [IpcDuplex<Out, In>, IpcDuplex<In, Out>] {
  const [there, fromHere] = makeChannel<Out>(options, true);
  try {
    const [back, fromThere] = makeChannel<In>(options, true);
    return [new IpcDuplex(there, fromThere), new IpcDuplex(back, fromHere)];
  } catch (error) {
    there.close();
    fromHere.close();
    throw error;
  }
}

/**
 * Makes a pair of connected ends for byte strings. Send one to another process inside a message.
 *
 * @param options The capacity of each direction.
 * @returns Both ends.
 * @throws {IpcError} As {@linkcode channel}.
 *
 * @example
 * ```ts
 * import { bytesDuplex } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const [left, right] = bytesDuplex();
 * left.sendSync(new TextEncoder().encode("hello"));
 * right.sendSync(right.recvSync().subarray(0, 2));
 * assertEquals(new TextDecoder().decode(left.recvSync()), "he");
 * left.close(), right.close();
 * ```
 */
export function bytesDuplex(options?: ChannelOptions): [IpcBytesDuplex, IpcBytesDuplex] {
  const [there, fromHere] = makeBytesChannel(options, true);
  try {
    const [back, fromThere] = makeBytesChannel(options, true);
    return [new IpcBytesDuplex(there, fromThere), new IpcBytesDuplex(back, fromHere)];
  } catch (error) {
    there.close();
    fromHere.close();
    throw error;
  }
}
