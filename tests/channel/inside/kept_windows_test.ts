// Windows on the ring that are lent again at the same place.
import { assert, assertEquals } from "@std/assert";
import { bytesReceiverFrom } from "../../../channel/endpoint/bytes_receiver.ts";
import { bytesSenderFrom } from "../../../channel/endpoint/bytes_sender.ts";
import { createChannel } from "../../../channel/ring/handle.ts";
import { RingConsumer } from "../../../channel/ring/consumer.ts";
import { RingProducer } from "../../../channel/ring/producer.ts";
import { SenderPort } from "../../../channel/endpoint/sender_port.ts";
import { KeptWindows } from "../../../ffi/memory/kept_windows.ts";
import { runtime } from "../../../ffi/runtime/mod.ts";
import { test } from "../../support/test.ts";

const CAPACITY = 65_536;

/** A channel of bytes, and how often a buffer over shared memory is made while something is done. */
function open() {
  const parts = createChannel(CAPACITY);
  const sender = bytesSenderFrom(
    SenderPort.of(RingProducer.create(parts.memory, parts.senderBell, parts.senderSocket)),
  );
  const receiver = bytesReceiverFrom(
    RingConsumer.create(parts.memory, parts.receiverBell, parts.receiverSocket),
  );
  return { sender, receiver, [Symbol.dispose]: () => (sender.close(), receiver.close()) };
}

function buffersMade(act: () => void): number {
  const { memoryAt } = runtime;
  let count = 0;
  const counted = runtime as { memoryAt: typeof memoryAt };
  counted.memoryAt = (pointer, length) => {
    count++;
    return memoryAt(pointer, length);
  };
  try {
    act();
  } finally {
    counted.memoryAt = memoryAt;
  }
  return count;
}

test("Messages of one length make buffers in the first round of the ring alone, loaned and borrowed", () => {
  using ends = open();
  const { sender, receiver } = ends, length = CAPACITY / 4;
  const round = () => {
    for (let n = 0; n < 4; n++) {
      const loan = sender.reserveSync(length, { timeout: 0 });
      loan.bytes.fill(n + 1);
      loan.commit();
      using message = receiver.borrowSync({ timeout: 0 });
      assert(message.value.length === length && message.value.every((byte) => byte === n + 1));
    }
  };
  assert(buffersMade(round) >= 4);
  assertEquals(
    buffersMade(() => {
      for (let times = 0; times < 50; times++) round();
    }),
    0,
  );
});

test("A stale view is empty, also once its place in the ring is lent again", () => {
  using ends = open();
  const { sender, receiver } = ends;
  const stale: Uint8Array[] = [];
  for (let n = 0; n < 200; n++) {
    const loan = sender.reserveSync(CAPACITY / 2);
    loan.bytes.fill(n);
    stale.push(loan.bytes, loan.bytes.subarray(3));
    loan.commit();
    using message = receiver.borrowSync({ timeout: 0 });
    stale.push(message.value, new Uint8Array(message.value.buffer));
    const { value } = message;
    for (const view of stale.slice(0, -2)) {
      assertEquals(view.length, 0);
      view[0] = 99;
    }
    assert(value.every((byte) => byte === n % 256));
    if (stale.length > 40) stale.splice(0, 4);
  }
});

test("Messages of other lengths at the same places get windows of their own length", () => {
  using ends = open();
  const { sender, receiver } = ends;
  for (let n = 0; n < 500; n++) {
    const length = 2000 + n * 977 % 9000, whole = n % 2 === 0;
    const loan = sender.reserveSync(length, { timeout: 0 });
    assertEquals(loan.bytes.length, length);
    loan.bytes.fill(n);
    loan.commit(whole ? length : length - 500);
    using message = receiver.borrowSync({ timeout: 0 });
    assertEquals(message.value.length, whole ? length : length - 500);
    assertEquals(message.value.buffer.byteLength, message.value.length, "and nothing of other messages");
    assert(message.value.every((byte) => byte === n % 256));
  }
});

test("A window that the program has transferred is not lent again", () => {
  using ends = open();
  const { sender, receiver } = ends;
  const kept: Uint8Array[] = [];
  for (let n = 0; n < 20; n++) {
    const loan = sender.reserveSync(CAPACITY / 2);
    loan.bytes.fill(n);
    if (n % 3 === 0) kept.push(new Uint8Array(loan.bytes.buffer.transfer()));
    loan.commit();
    const message = receiver.borrowSync({ timeout: 0 });
    assert(message.value.every((byte) => byte === n));
    if (n % 3 === 1) kept.push(new Uint8Array(message.value.buffer.transfer()));
    message.release();
    assert(kept.every((bytes) => bytes.length === CAPACITY / 2), "nobody else ends it");
  }
});

test("Closing both ends with windows kept and lent empties all views", () => {
  const ends = open();
  for (let n = 0; n < 3; n++) ends.sender.sendSync(new Uint8Array(20_000));
  ends.receiver.borrowSync().release();
  const message = ends.receiver.borrowSync();
  ends[Symbol.dispose]();
  assertEquals(message.value.length, 0);
  message.release();
});

test("Kept windows are found by place and length, once each, and hold no more bytes than they may", () => {
  const windows = new KeptWindows(10_000);
  const first = new ArrayBuffer(6000), second = new ArrayBuffer(4000), third = new ArrayBuffer(64);
  windows.keep(0, first), windows.keep(64, second), windows.keep(128, third);
  assertEquals(windows.take(128, 64), undefined, "there was no room for it");
  assertEquals(windows.take(0, 5999), undefined);
  assert(windows.take(0, 6000) === first);
  assertEquals(windows.take(0, 6000), undefined);
  windows.keep(64 + 64 * 2039, third); // the place of the second
  assertEquals(windows.take(64, 4000), undefined);
  assert(windows.take(64 + 64 * 2039, 64) === third);
  windows.keep(0, new ArrayBuffer(10_000));
  assertEquals(windows.take(0, 10_000)?.byteLength, 10_000, "all bytes are free again");
});
