// Makes channels.
import { IpcBytesReceiver } from "./bytes_receiver.ts";
import { IpcBytesSender } from "./bytes_sender.ts";
import { createChannel } from "./handle.ts";
import { IpcReceiver } from "./receiver.ts";
import { RingReceiver } from "./ring_receiver.ts";
import { RingSender } from "./ring_sender.ts";
import { IpcSender } from "./sender.ts";
import { SenderPort } from "./sender_port.ts";

/** Options of a new channel. */
export interface ChannelOptions {
  /**
   * Bytes that can wait in the channel, from 1 to 2^30; rounded up to a power of two, 64 KiB or more. 4 MiB unless told.
   * It is virtual memory: only what is used takes space. A message larger than this travels beside the ring.
   */
  capacity?: number;
}

/** Both ends of a new ring, in this isolate. */
export function createEnds(options: ChannelOptions | undefined): [SenderPort, RingReceiver] {
  const parts = createChannel(options?.capacity);
  let ring: RingSender;
  try {
    ring = RingSender.create(parts.memory, parts.ring, parts.sendDescriptors);
  } catch (error) {
    parts.memory.release();
    parts.listen.close();
    parts.receiveDescriptors.close();
    throw error;
  }
  return [SenderPort.of(ring), RingReceiver.create(parts.memory, parts.listen, parts.receiveDescriptors)];
}

/**
 * Makes a channel for values. Both ends are here; put one into a message, or use a server, to bring it to another
 * process. The channel has no name and no file: when the last end is closed or killed, nothing of it remains.
 *
 * @typeParam T What is sent.
 * @param options The capacity.
 * @returns The sender and the receiver.
 * @throws {IpcError} `System` if there are no descriptors or no memory for it, `Permission` without `--allow-ffi`.
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
  const [port, ring] = createEnds(options);
  return [new IpcSender<T>(port), new IpcReceiver<T>(ring)];
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
  const [port, ring] = createEnds(options);
  return [new IpcBytesSender(port), new IpcBytesReceiver(ring)];
}
