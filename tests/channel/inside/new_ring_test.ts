// The descriptors of a new channel, one end of which was given away before either was used here.
import { assert, assertEquals } from "@std/assert";
import { IpcError } from "../../../mod.ts";
import { isShared } from "../../../ffi/event/doorbell.ts";
import type { Handle } from "../../../channel/ring/handle.ts";
import { BELL_CLOSED, W_BELL, W_TAIL } from "../../../channel/ring/layout.ts";
import { RingConsumer } from "../../../channel/ring/consumer.ts";
import { RingMemory } from "../../../channel/ring/memory.ts";
import { NewRing } from "../../../channel/ring/new_ring.ts";
import { Message } from "../../../channel/message/outgoing.ts";
import { SenderPort } from "../../../channel/endpoint/sender_port.ts";
import { Choices } from "../../support/choices.ts";
import { descriptorsOf } from "../../support/leftovers.ts";
import { processTest } from "../../support/test.ts";

const CAPACITY = 65_536;
const message = Message.of(new Uint8Array([1, 2, 3]));
const open = () => descriptorsOf("self").length;

/** What a peer gets of the sender's end. */
function given(ring: NewRing): Handle {
  return duplicates(ring.senderHandle as Handle);
}

function duplicates({ memory, bell, descriptors }: Handle): Handle {
  return { memory: memory.clone(), bell: bell.clone(), descriptors: descriptors.clone() };
}

function closeAll({ memory, bell, descriptors }: Handle): void {
  for (const fd of [memory, bell, descriptors]) fd.close();
}

processTest("A receiver's end that is closed unused is closed for all who have a sender's end by then", () => {
  const before = open();
  for (const mapped of [false, true]) {
    const ring = NewRing.create(CAPACITY), handle = given(ring);
    const producer = mapped ? ring.openProducer() : undefined;
    ring.closeReceiver();
    const memory = RingMemory.attach(handle.memory);
    assertEquals(memory.words[W_BELL], BELL_CLOSED);
    producer === undefined ? ring.closeSender() : producer.close();
    memory.release();
    closeAll(handle);
  }
  assertEquals(open(), before);
});

processTest("Ends can be opened, given away and closed in every order, and nothing is left", () => {
  const before = open();
  const acts: Record<string, (ring: NewRing) => (() => void) | void> = {
    "open the sender": (ring) => {
      const producer = ring.openProducer();
      return () => producer.close();
    },
    "close the sender": (ring) => ring.closeSender(),
    "open the receiver": (ring) => {
      const consumer = ring.openConsumer();
      return () => consumer.close();
    },
    "close the receiver": (ring) => ring.closeReceiver(),
    "give the receiver away": (ring) => {
      const consumer = RingConsumer.attach(duplicates(ring.receiverHandle));
      ring.leaveReceiver();
      return () => consumer.close();
    },
  };
  for (const gives of [false, true]) {
    for (const first of Object.keys(acts)) {
      for (const second of Object.keys(acts)) {
        if (first.endsWith("sender") === second.endsWith("sender")) continue; // the same end
        const ring = NewRing.create(CAPACITY), handle = gives ? given(ring) : undefined;
        const ends = [acts[first]!(ring), acts[second]!(ring)];
        for (const end of ends) end?.();
        if (handle !== undefined) closeAll(handle);
        assertEquals(open(), before, `${first}, then ${second}`);
      }
    }
  }
});

processTest("The sender's end that is opened here later is not the one that others have", () => {
  const ring = NewRing.create(CAPACITY), handle = given(ring);
  const before = open();
  const producer = ring.openProducer();
  assertEquals(open(), before + 1, "the doorbell, opened anew");
  assert(!isShared((ring.senderHandle as Handle).bell), "what is given away further is what others have");
  const consumer = ring.openConsumer();
  assert(producer.trySend(message));
  assert(consumer.next());
  producer.close(), consumer.close(), closeAll(handle);
});

processTest("A sender that came back is the one that is used here", () => {
  const ring = NewRing.create(CAPACITY);
  const arrived = SenderPort.attach(given(ring));
  const own = SenderPort.ofNew(ring);
  assert(own === arrived, "one for each ring, so that what waits keeps its order");
  const consumer = ring.openConsumer();
  assert(own.ring.trySend(message));
  assert(consumer.next());
  own.release(own), arrived.release(arrived), consumer.close();
});

processTest("Whatever a peer has made of the memory, opening an end is an error at worst", () => {
  const before = open();
  const choices = Choices.of(11), random = (limit: number) => choices.below(limit);
  for (let round = 0; round < 16; round++) {
    const ring = NewRing.create(CAPACITY), handle = given(ring);
    const memory = RingMemory.map(handle.memory, CAPACITY);
    for (let word = 0; word < 4096 / 4 + 16 * 64; word++) if (random(2) > 0) memory.words[word] = random(2 ** 32) | 0;
    if (round % 3 === 0) memory.words[W_TAIL] = 0; // often nothing would be looked at
    const attempts = [() => {
      const consumer = ring.openConsumer();
      try {
        for (let looks = 0; looks < 5 && consumer.wait.poll() === "message"; looks++) consumer.release();
      } finally {
        consumer.close();
      }
    }, () => {
      const port = SenderPort.ofNew(ring);
      try {
        port.ring.trySend(message);
      } finally {
        port.release(port);
      }
    }];
    if (round % 2 > 0) attempts.reverse();
    for (const attempt of attempts) {
      try {
        attempt();
      } catch (error) {
        assert(error instanceof IpcError, String(error));
      }
    }
    memory.release(), closeAll(handle);
    assertEquals(open(), before);
  }
});
