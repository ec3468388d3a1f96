// A channel with its memory laid open, as a hostile peer has it: every sender's process can write all of it.
import { createChannel } from "../../channel/ring/handle.ts";
import { type IpcReceiver, receiverFrom } from "../../channel/endpoint/receiver.ts";
import type { RingMemory } from "../../channel/ring/memory.ts";
import { RingConsumer } from "../../channel/ring/consumer.ts";
import { RingProducer } from "../../channel/ring/producer.ts";
import { type IpcSender, senderFrom } from "../../channel/endpoint/sender.ts";
import { SenderPort } from "../../channel/endpoint/sender_port.ts";
import type { IpcFd } from "../../ffi/file/fd.ts";

/** Both ends, and what lies between them. */
export interface OpenChannel<T> {
  readonly sender: IpcSender<T>;
  readonly receiver: IpcReceiver<T>;
  readonly ring: RingProducer;
  /** What the sender sends by; `retain()` it for another. */
  readonly port: SenderPort;
  readonly memory: RingMemory;
  /** What senders ring: the write end of a pipe; and its read end, which the maker of the channel may have kept. */
  readonly bell: IpcFd;
  readonly listen: IpcFd;
  /** What senders write packets of descriptors to. */
  readonly socket: IpcFd;
  /** Closes everything. */
  close(): void;
}

/** A channel whose memory and descriptors the test can damage. */
export function openChannel<T>(capacity = 65_536): OpenChannel<T> {
  const parts = createChannel(capacity);
  const bell = parts.senderBell.clone(), listen = parts.receiverBell.clone(), socket = parts.senderSocket.clone();
  const memory = parts.memory.retain();
  const ring = RingProducer.create(parts.memory, parts.senderBell, parts.senderSocket);
  const port = SenderPort.of(ring);
  const sender = senderFrom<T>(port);
  const receiver = receiverFrom<T>(RingConsumer.create(parts.memory, parts.receiverBell, parts.receiverSocket));
  return {
    sender,
    receiver,
    ring,
    port,
    memory,
    bell,
    listen,
    socket,
    close() {
      sender.close(), receiver.close(), bell.close(), listen.close(), socket.close(), memory.release();
    },
  };
}

/** Numbers that look random and are the same for the same seed. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0 || 1;
  }

  /** An integer from 0 up to, not including, `limit`. */
  below(limit: number): number {
    // xorshift32
    let x = this.#state;
    x ^= x << 13, x ^= x >>> 17, x ^= x << 5;
    this.#state = x >>> 0;
    return this.#state % limit;
  }

  /** One of several. */
  of<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
}
