// Who has the receiving end of a channel's socket as well can have a call that copies (MSG_PEEK) begin further on: a
// packet that was not looked at is not dropped by that, as closing what comes with it may take as long as a peer likes.
import { assertEquals } from "@std/assert";
import { RingConsumer } from "../../channel/ring/consumer.ts";
import { NewRing } from "../../channel/ring/new_ring.ts";
import { type Handle, handleFds } from "../../channel/ring/handle.ts";
import { Message } from "../../channel/message/outgoing.ts";
import { createDoorbell } from "../../ffi/event/doorbell.ts";
import type { IpcFd } from "../../ffi/file/fd.ts";
import { SOL_SOCKET } from "../../ffi/libc/platform.ts";
import { sameFileKey } from "../../ffi/memory/storage.ts";
import { test } from "../support/test.ts";

const SO_PEEK_OFF = 42, PACKET = 16;

/** Makes those who copy from a socket begin behind its first packet. */
function skipOnePacket(socket: IpcFd): void {
  const libc = Deno.dlopen("libc.so.6", {
    setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  });
  assertEquals(libc.symbols.setsockopt(socket.fd, SOL_SOCKET, SO_PEEK_OFF, new Int32Array([PACKET]), 4), 0);
  libc.close();
}

function clones({ memory, bell, descriptors }: Handle): Handle {
  return { memory: memory.clone(), bell: bell.clone(), descriptors: descriptors.clone() };
}

const WAYS: Record<string, (ring: NewRing) => RingConsumer> = {
  "that came from a peer"(ring) {
    const consumer = RingConsumer.attach(clones(ring.receiverHandle));
    ring.leaveReceiver();
    return consumer;
  },
  "that peers have got, and that is here as well"(ring) {
    for (const fd of handleFds(clones(ring.receiverHandle))) fd.close();
    return ring.openConsumer();
  },
  "that was on its way, and stayed"(ring) {
    const consumer = ring.openConsumer();
    consumer.detach();
    consumer.undoDetach();
    return consumer;
  },
};

for (const [which, open] of Object.entries(WAYS)) {
  test(`A receiver ${which} drops no packet unseen, wherever copying begins`, () => {
    const ring = NewRing.create(65_536), producer = ring.openProducer();
    const consumer = open(ring);
    const bells = [createDoorbell(), createDoorbell()];
    for (const [listen] of bells) producer.trySend(Message.of(new Uint8Array(8)), [listen.fd]);
    skipOnePacket(consumer.descriptors.socket);
    consumer.descriptors.readAll();
    const arrived = consumer.descriptors.surrender();
    assertEquals(arrived.map(({ counter }) => counter), [0]);
    assertEquals(arrived[0]!.fds.map(({ fd }) => sameFileKey(fd)), [sameFileKey(bells[0]![0].fd)]);
    for (const fd of arrived[0]!.fds) fd.close();
    producer.close(), consumer.close();
    for (const fd of bells.flat()) fd.close();
  });
}
