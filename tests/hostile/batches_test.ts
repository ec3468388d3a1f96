// A peer damages a ring of which several messages are borrowed at a time.
import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { IpcError } from "../../mod.ts";
import { bytesReceiverFrom, type IpcBytesReceiver } from "../../channel/endpoint/bytes_receiver.ts";
import { createChannel } from "../../channel/ring/handle.ts";
import { RingConsumer } from "../../channel/ring/consumer.ts";
import { W_TAIL } from "../../channel/ring/layout.ts";
import { assertIpcErrorSync } from "../support/assert_ipc.ts";
import { test } from "../support/test.ts";
import { HostilePeer } from "./forge.ts";

const CAPACITY = 65_536;

function attacked(): { peer: HostilePeer; receiver: IpcBytesReceiver; close(): void } {
  const parts = createChannel(CAPACITY);
  const peer = new HostilePeer({
    ring: parts.memory.fd.clone(),
    bell: parts.senderBell,
    listen: parts.receiverBell.clone(),
    socket: parts.senderSocket,
  });
  const receiver = bytesReceiverFrom(RingConsumer.create(parts.memory, parts.receiverBell, parts.receiverSocket));
  return { peer, receiver, close: () => (receiver.close(), peer.close(), parts.memory.release()) };
}

for (const [what, many] of [["few", 3], ["many", 40]] as const) {
  test(`A length beyond what was claimed, behind ${what} messages of a batch, is an error of the loop alone`, () => {
    const { peer, receiver, close } = attacked();
    for (let n = 0; n < many; n++) peer.record(new Uint8Array(64).fill(n));
    peer.record(new Uint8Array(64), 5000);
    const batch = receiver.tryBorrowMany()!;
    const seen: number[] = [];
    assertIpcErrorSync("Corrupt", () => {
      for (const [n] of batch) seen.push(n!);
      for (const [n] of receiver.tryBorrowMany()!) seen.push(n!); // a copy of few messages ends before it
    });
    assertEquals(seen, Array.from({ length: many }, (_, n) => n));
    peer.record(new Uint8Array([7]));
    batch.release();
    assertEquals(receiver.recvSync({ timeout: 0 }), new Uint8Array([7]));
    close();
  });
}

test("A batch of a ring whose tail makes no sense, or that says it is full, has what is committed", () => {
  for (const shift of [1 << 20, -(1 << 20), 1 << 9]) {
    const { peer, receiver, close } = attacked();
    for (let n = 0; n < 3; n++) peer.record(new Uint8Array(64).fill(n));
    assertEquals(receiver.recvSync({ timeout: 0 })[0], 0);
    Atomics.add(peer.words, W_TAIL, shift);
    let seen = 0;
    try {
      using batch = receiver.tryBorrowMany()!;
      for (const bytes of batch) assertEquals([bytes.length, bytes[0]], [64, ++seen]);
    } catch (error) {
      assertInstanceOf(error, IpcError);
    }
    close();
  }
});

test("Whatever a peer writes into the ring while a batch is out, the loop ends, by an IpcError at worst", () => {
  const { peer, receiver, close } = attacked();
  let seed = 1;
  const random = (below: number) => (seed = (seed * 48_271) % 0x7fff_ffff) % below;
  let messages = 0, errors = 0;
  for (let round = 0; round < 3000; round++) {
    for (let n = random(6); n >= 0; n--) peer.record(new Uint8Array(random(300)));
    if (random(8) === 0) peer.commit(random(1024), random(2) === 0 ? random(70_000) : -random(70_000));
    if (random(50) === 0) Atomics.add(peer.words, W_TAIL, random(2000) - 1000);
    try {
      using batch = receiver.tryBorrowMany(1 + random(10));
      for (const bytes of batch ?? []) {
        messages++;
        assert(bytes.length <= CAPACITY);
        if (random(20) === 0) peer.commit(random(1024), random(4000) - 2000);
      }
    } catch (error) {
      assertInstanceOf(error, IpcError);
      if (error.code === "Closed") break;
      errors++;
    }
  }
  assert(messages > 100 && errors > 0, `${messages} messages, ${errors} errors`);
  close();
});
