// Both ends of a new ring, in this isolate.
import { createChannel } from "../ring/handle.ts";
import { RingConsumer } from "../ring/consumer.ts";
import { RingProducer } from "../ring/producer.ts";
import { SenderPort } from "./sender_port.ts";

/** What a channel with a ring consists of where it is made. */
export interface ChannelEnds {
  readonly port: SenderPort;
  readonly ring: RingConsumer;
}

/**
 * Makes both ends, or nothing.
 *
 * @throws {IpcError} `System` without memory or descriptors.
 */
export function createEnds(capacity: number): ChannelEnds {
  const parts = createChannel(capacity);
  let producer: RingProducer;
  try {
    producer = RingProducer.create(parts.memory, parts.senderBell, parts.senderSocket, parts.receiverSocket);
  } catch (error) {
    parts.memory.release();
    parts.receiverBell.close();
    parts.receiverSocket.close();
    throw error;
  }
  return {
    port: SenderPort.of(producer),
    ring: RingConsumer.create(parts.memory, parts.receiverBell, parts.receiverSocket),
  };
}
