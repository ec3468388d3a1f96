// Several messages at a time, read and written in place: borrowMany() and reserveMany().
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  type BorrowedBatch,
  bytesChannel,
  bytesDuplex,
  channel,
  IpcBytesReceiver,
  IpcBytesSender,
  type LoanBatch,
} from "../../mod.ts";
import type { Self } from "../support/actor.ts";
import { assertIpcError, assertIpcErrorSync, soon } from "../support/assert_ipc.ts";
import { type Folder, folderTest } from "../support/folder.ts";
import { patience } from "../support/patience.ts";
import { processTest, test } from "../support/test.ts";

const CAPACITY = 65_536;

/** The `n`th message of a test. */
const numbered = (n: number, length: number) => new Uint8Array(length).fill(n);

const WAYS: Record<string, (receiver: IpcBytesReceiver, max?: number) => Promise<BorrowedBatch>> = {
  borrowMany: (receiver, max) => receiver.borrowMany(max),
  borrowManySync: (receiver, max) => Promise.resolve(receiver.borrowManySync(max, { timeout: 0 })),
  tryBorrowMany: (receiver, max) => Promise.resolve(receiver.tryBorrowMany(max)!),
};

for (const [way, borrow] of Object.entries(WAYS)) {
  for (const length of [0, 1, 63, 64, 65, 300, 1024, 1025, 5000]) {
    test(`${way}() hands out messages of ${length} bytes in order, and empties all of them at the release`, async () => {
      const [sender, receiver] = bytesChannel({ capacity: CAPACITY });
      for (const count of [1, 2, 6]) {
        for (let n = 0; n < count; n++) sender.sendSync(numbered(n, length));
        const batch = await borrow(receiver);
        const messages = [...batch];
        assertEquals(messages, Array.from({ length: count }, (_, n) => numbered(n, length)));
        assertEquals([...batch], [], "each is handed out once");
        assertEquals(receiver.tryRecv(), { state: "empty" });
        batch.release(), batch.release();
        assert(messages.every((bytes) => bytes.length === 0));
        assertEquals([...batch], []);
      }
      assert(sender.trySend(new Uint8Array(CAPACITY)), "all the room is there again");
      sender.close(), receiver.close();
    });
  }

  test(`${way}() hands out no more than was asked for; the others stay in the channel`, async () => {
    const [sender, receiver] = bytesChannel({ capacity: CAPACITY });
    for (let n = 0; n < 40; n++) sender.sendSync(numbered(n, 64));
    {
      using batch = await borrow(receiver, 3);
      assertEquals([...batch].map(([n]) => n), [0, 1, 2]);
      assertEquals([...batch], []);
    }
    {
      using batch = await borrow(receiver, 30);
      for (const [n] of batch) if (n === 5) break;
    }
    { // nothing was taken out of it
      using _batch = await borrow(receiver);
    }
    assertEquals(receiver.recvMany().map(([n]) => n), Array.from({ length: 34 }, (_, i) => i + 6));
    for (const max of [0, -1, 1.5, NaN]) await assertRejects(async () => void await borrow(receiver, max), RangeError);
    await assertRejects(async () => void await borrow(receiver, "1" as unknown as number), TypeError);
    sender.close(), receiver.close();
  });
}

test("What a program does while a batch is out takes the next messages, each once", () => {
  const [sender, receiver] = bytesChannel({ capacity: CAPACITY });
  for (let n = 0; n < 60; n++) sender.sendSync(numbered(n, 100));
  const batch = receiver.borrowManySync();
  const seen: number[] = [], views: Uint8Array[] = [];
  for (const bytes of batch) {
    seen.push(bytes[0]!), views.push(bytes);
    if (bytes[0] === 10) seen.push(receiver.recvSync({ timeout: 0 })[0]!);
    if (bytes[0] === 20) {
      const single = receiver.tryBorrow()!, other = receiver.borrowManySync(2);
      seen.push(single.value[0]!, ...[...other].map(([n]) => n!));
      other.release(), single.release();
    }
    if (bytes[0] === 30) sender.sendSync(numbered(60, 100)); // comes later than the batch was made
  }
  assertEquals(seen, Array.from({ length: 60 }, (_, n) => n));
  assert(views.every((bytes, i) => bytes.length === 100 && bytes[0] === bytes[99] && (i === 0 || bytes[0]! > 0)));
  batch.release();
  assertEquals(receiver.recvMany(), [numbered(60, 100)]);
  assert(sender.trySend(new Uint8Array(CAPACITY)));
  sender.close(), receiver.close();
});

test("Batches end in any order, and their room comes back in order", () => {
  const [sender, receiver] = bytesChannel({ capacity: CAPACITY });
  for (let n = 0; n < 32; n++) sender.sendSync(numbered(n, 2000));
  const batches: BorrowedBatch[] = [], views: Uint8Array[][] = [];
  for (let n = 0; n < 4; n++) {
    const batch = receiver.borrowManySync(8);
    batches.push(batch), views.push([...batch]);
  }
  for (const at of [2, 0, 3, 1]) {
    assertEquals(views[at]!.map(([n]) => n), Array.from({ length: 8 }, (_, i) => at * 8 + i));
    batches[at]!.release();
    assert(views[at]!.every((bytes) => bytes.length === 0));
  }
  assert(sender.trySend(new Uint8Array(CAPACITY)));
  sender.close(), receiver.close();
});

test("A batch takes half of the ring at most, and goes over its end", () => {
  const [sender, receiver] = bytesChannel({ capacity: CAPACITY });
  for (let round = 0; round < 20; round++) {
    for (let n = 0; n < 15; n++) assert(sender.trySend(numbered(round + n, 4000)));
    const seen: number[] = [];
    while (seen.length < 15) {
      const batch = receiver.tryBorrowMany()!;
      const messages = [...batch];
      assert(messages.length > 0 && messages.length <= 8);
      for (const bytes of messages) {
        assert(bytes.length === 4000 && bytes.every((byte) => byte === bytes[0]));
        seen.push(bytes[0]!);
      }
      batch.release();
    }
    assertEquals(seen, Array.from({ length: 15 }, (_, n) => round + n));
  }
  assert(sender.trySend(new Uint8Array(CAPACITY)));
  const batch = receiver.tryBorrowMany()!;
  assertEquals([...batch].map(({ length }) => length), [CAPACITY], "one that is larger than that");
  assert(!sender.trySend(new Uint8Array(1)));
  batch.release();
  sender.close(), receiver.close();
});

test("A message that has no room in the ring ends a batch, and is one by itself", () => {
  const [sender, receiver] = bytesChannel({ capacity: CAPACITY });
  sender.sendSync(numbered(1, 10)), sender.sendSync(numbered(2, 10));
  sender.sendSync(numbered(3, 2 * CAPACITY));
  sender.sendSync(numbered(4, 10));
  const seen: [number, number][] = [], views: Uint8Array[] = [];
  for (let batches = 0; batches < 3; batches++) {
    using batch = receiver.borrowManySync(Infinity, { timeout: 0 });
    const messages = [...batch];
    views.push(...messages);
    seen.push([messages.length, messages[0]!.length]);
  }
  assertEquals(seen, [[2, 10], [1, 2 * CAPACITY], [1, 10]]);
  assert(views.every(({ length }) => length === 0));
  sender.close(), receiver.close();
});

test("Waits for a batch obey their time-out, signal and close(), and end with the senders", async () => {
  const [sender, receiver] = bytesChannel({ capacity: CAPACITY });
  assertEquals(receiver.tryBorrowMany(), undefined);
  assertIpcErrorSync("Timeout", () => receiver.borrowManySync(5, { timeout: 5 }));
  await assertIpcError("Timeout", () => receiver.borrowMany(5, { timeout: 5 }));
  const abort = new AbortController(), reason = new Error("enough");
  const aborted = receiver.borrowMany(5, { signal: abort.signal }).catch((error) => error);
  abort.abort(reason);
  assert(await soon(aborted) === reason);
  const waiting = receiver.borrowMany();
  sender.sendSync(numbered(1, 10)), sender.sendSync(numbered(2, 10));
  {
    using batch = await soon(waiting);
    assertEquals([...batch].map(([n]) => n), [1, 2]);
    const [values, inbox] = channel<unknown>();
    assertIpcErrorSync("Serialization", () => values.sendSync(batch));
    values.close(), inbox.close();
  }
  sender.sendSync(numbered(3, 10));
  sender.close();
  const batch = receiver.borrowManySync(9, { timeout: patience(10_000) });
  const [last] = batch;
  assertEquals(last, numbered(3, 10));
  batch.release();
  assertIpcErrorSync("Disconnected", () => receiver.borrowManySync());
  assertIpcErrorSync("Disconnected", () => receiver.tryBorrowMany());
  await assertIpcError("Disconnected", () => receiver.borrowMany());
  receiver.close();
  await assertIpcError("Closed", () => receiver.borrowMany());
  assertIpcErrorSync("Closed", () => receiver.tryBorrowMany());
});

test("Closing the receiver ends its batches, and what they have handed out", () => {
  const [sender, receiver] = bytesChannel({ capacity: CAPACITY });
  for (const length of [10, 5000]) for (let n = 0; n < 4; n++) sender.sendSync(numbered(n, length));
  const batch = receiver.borrowManySync();
  const seen: Uint8Array[] = [];
  for (const bytes of batch) {
    seen.push(bytes);
    if (seen.length === 6) receiver.close();
  }
  assertEquals(seen.map(({ length }) => length), [0, 0, 0, 0, 0, 0]);
  batch.release();
  sender.close();
});

test("A message that is too large is skipped by the loop that meets it; the next loop goes on", () => {
  const [sender, receiver] = bytesChannel({ capacity: CAPACITY });
  receiver.limitMessages(100);
  for (const length of [10, 20, 101, 30]) sender.sendSync(numbered(length, length));
  using batch = receiver.borrowManySync();
  const seen: number[] = [];
  assertIpcErrorSync("TooLarge", () => {
    for (const { length } of batch) seen.push(length);
  });
  for (const { length } of batch) seen.push(length);
  assertEquals(seen, [10, 20, 30]);
  sender.close(), receiver.close();
});

for (const length of [20, 1000]) {
  test(`A batch whose buffer was transferred ends: messages of ${length} bytes stay in the channel`, () => {
    const [sender, receiver] = bytesChannel({ capacity: CAPACITY });
    for (let n = 0; n < 10; n++) sender.sendSync(numbered(n, length));
    const batch = receiver.borrowManySync();
    const seen: number[] = [];
    for (const bytes of batch) {
      seen.push(bytes[0]!);
      if (seen.length === 4) structuredClone(bytes, { transfer: [bytes.buffer] });
    }
    batch.release();
    assertEquals(seen, [0, 1, 2, 3]);
    assertEquals(receiver.recvMany().map(([n]) => n), [4, 5, 6, 7, 8, 9]);
    assert(sender.trySend(new Uint8Array(CAPACITY)));
    sender.close(), receiver.close();
  });
}

const RESERVE: Record<string, (sender: IpcBytesSender, count: number, length: number) => Promise<LoanBatch>> = {
  reserveMany: (sender, count, length) => sender.reserveMany(count, length),
  reserveManySync: (sender, count, length) => Promise.resolve(sender.reserveManySync(count, length, { timeout: 0 })),
  tryReserveMany: (sender, count, length) => Promise.resolve(sender.tryReserveMany(count, length)!),
};

for (const [way, reserve] of Object.entries(RESERVE)) {
  test(`${way}() gives room for messages that are sent together, and in order`, async () => {
    const [sender, receiver] = bytesChannel({ capacity: CAPACITY });
    for (
      const [count, length] of [[1, 0], [3, 0], [1, 64], [16, 64], [17, 64], [5, 65], [4, 256], [60, 1000]] as const
    ) {
      const batch = await reserve(sender, count, length);
      assertEquals(batch.messages.map((bytes) => bytes.length), Array(count).fill(length));
      for (const [n, bytes] of batch.messages.entries()) bytes.fill(n);
      assertEquals(receiver.tryRecv(), { state: "empty" });
      batch.commit();
      assert(batch.messages.every((bytes) => bytes.length === 0), "they are the receiver's now");
      assertEquals(receiver.recvMany(), Array.from({ length: count }, (_, n) => numbered(n, length)));
      assertIpcErrorSync("Closed", () => batch.commit());
      batch[Symbol.dispose]();
    }
    assert(sender.trySend(new Uint8Array(CAPACITY)), "all the room is there again");
    sender.close(), receiver.close();
  });
}

test("commit() with lengths sends so many messages, and so much of each", () => {
  const [sender, receiver] = bytesChannel({ capacity: CAPACITY });
  for (let round = 0; round < 100; round++) {
    const batch = sender.reserveManySync(10, 200, { timeout: 0 });
    for (const [n, bytes] of batch.messages.entries()) bytes.fill(n);
    const lengths = Array.from({ length: round % 11 }, (_, n) => (n * 37 + round) % 201);
    for (const wrong of [[201], [1, -1], [0.5], Array(11).fill(1)]) assertThrows(() => batch.commit(wrong), RangeError);
    assertThrows(() => batch.commit(["1"] as unknown as number[]), TypeError);
    assertThrows(() => batch.commit(3 as unknown as number[]), TypeError);
    batch.commit(lengths);
    assertEquals(receiver.recvMany(), lengths.map((length, n) => numbered(n, length)));
  }
  assert(sender.trySend(new Uint8Array(CAPACITY)));
  sender.close(), receiver.close();
});

test("A batch of loans that is given up sends nothing, and its room is free again", () => {
  const [sender, receiver] = bytesChannel({ capacity: CAPACITY });
  let stale: readonly Uint8Array[] = [];
  for (let n = 0; n < 10; n++) {
    using batch = sender.reserveManySync(32, 2000, { timeout: 0 });
    stale = batch.messages;
    batch[Symbol.dispose]();
    assertEquals(receiver.tryRecv(), { state: "empty" });
    assertIpcErrorSync("Closed", () => batch.commit());
  }
  assert(stale.every(({ length }) => length === 0));
  assertEquals(receiver.tryRecv(), { state: "empty" });
  assertIpcErrorSync("TooLarge", () => sender.reserveManySync(33, 2000));
  assertIpcErrorSync("TooLarge", () => sender.tryReserveMany(1, CAPACITY + 1));
  assertIpcErrorSync("TooLarge", () => sender.tryReserveMany(Number.MAX_SAFE_INTEGER, 2 ** 40));
  for (const [count, length] of [[0, 1], [1, -1], [1.5, 1], [1, NaN]] as const) {
    assertThrows(() => sender.reserveManySync(count, length), RangeError);
  }
  sender.close(), receiver.close();
});

test("reserveMany() on a full ring waits for room for all, and obeys time-out and signal", async () => {
  const [sender, receiver] = bytesChannel({ capacity: CAPACITY });
  for (let n = 0; n < 2; n++) sender.sendSync(numbered(n, CAPACITY / 2));
  assertEquals(sender.tryReserveMany(2, 64), undefined);
  assertIpcErrorSync("Timeout", () => sender.reserveManySync(2, 64, { timeout: 5 }));
  await assertIpcError("Timeout", () => sender.reserveMany(2, 64, { timeout: 5 }));
  await assertRejects(() => sender.reserveMany(2, 64, { signal: AbortSignal.abort(new Error("enough")) }), "enough");
  const waiting = sender.reserveMany(4, CAPACITY / 8);
  receiver.recvSync({ timeout: 0 });
  {
    using batch = await soon(waiting);
    for (const [n, bytes] of batch.messages.entries()) bytes.fill(n + 2);
    batch.commit();
  }
  assertEquals(receiver.recvMany().map(([n]) => n), [1, 2, 3, 4, 5]);
  receiver.close();
  assertIpcErrorSync("Disconnected", () => sender.reserveManySync(2, 64));
  sender.close();
  assertIpcErrorSync("Closed", () => sender.reserveManySync(2, 64));
  await assertIpcError("Closed", () => sender.reserveMany(2, 64));
});

interface Job {
  readonly to: IpcBytesSender;
  readonly count: number;
}

/** Sends numbered messages in batches of all sizes. */
export function lendMany({ to, count }: Job): void {
  for (let n = 0; n < count;) {
    const size = Math.min(count - n, 1 + n % 13);
    using batch = to.reserveManySync(size, 4 + n % 300, { timeout: patience(20_000) });
    for (const bytes of batch.messages) new DataView(bytes.buffer, bytes.byteOffset).setUint32(0, n++);
    batch.commit();
  }
}

processTest("Batches of two processes arrive whole and in order, through a ring that is full most of the time", async (
  { start },
) => {
  const COUNT = 20_000;
  const [to, receiver] = bytesChannel({ capacity: CAPACITY });
  const children = [
    await start(import.meta.url, lendMany, { to, count: COUNT }),
    await start(import.meta.url, lendMany, { to, count: COUNT }),
  ];
  to.close();
  let received = 0, sum = 0;
  while (received < 2 * COUNT) {
    using batch = received % 2 === 0
      ? receiver.borrowManySync(1 + received % 50, { timeout: patience(20_000) })
      : await soon(receiver.borrowMany());
    for (const bytes of batch) sum += new DataView(bytes.buffer, bytes.byteOffset).getUint32(0), received++;
  }
  assertEquals(sum, COUNT * (COUNT - 1));
  assertIpcErrorSync("Disconnected", () => receiver.borrowManySync(1, { timeout: patience(20_000) }));
  for (const child of children) assertEquals((await child.status).code, 0);
  receiver.close();
});

/** Takes some messages of a batch of a named channel, then dies with the batch out. */
export function takeAndDie({ path, take }: { path: string; take: number }, self: Self): void {
  const receiver = IpcBytesReceiver.create(path);
  const batch = receiver.borrowManySync();
  let taken = 0;
  for (const _ of batch) if (++taken === take) break;
  self.say(taken);
  Deno.kill(Deno.pid, "SIGKILL");
}

folderTest("A receiver that is killed with a batch out has received what it took out of it, and no more", async (
  { channel: path }: Folder,
  { start },
) => {
  const maker = IpcBytesReceiver.create(path, { capacity: CAPACITY });
  using sender = IpcBytesSender.open(path);
  maker.close();
  for (let n = 0; n < 30; n++) sender.sendSync(numbered(n, 100));
  const killed = await start(import.meta.url, takeAndDie, { path, take: 7 });
  assertEquals(await killed.said(), 7);
  assertEquals((await killed.status).signal, "SIGKILL");
  using receiver = IpcBytesReceiver.create(path);
  using batch = receiver.borrowManySync(Infinity, { timeout: patience(10_000) });
  assertEquals([...batch].map(([n]) => n), Array.from({ length: 23 }, (_, i) => i + 7));
});

folderTest("With redelivery, what was handed out of a batch is received again unless the batch was released", (
  { channel: path }: Folder,
) => {
  const options = { capacity: CAPACITY, redeliver: true };
  using sender = IpcBytesSender.open(path, options);
  for (let n = 0; n < 30; n++) sender.sendSync(numbered(n, 100));
  const taken = (receiver: IpcBytesReceiver, max: number) => [...receiver.borrowManySync(max)].map(([n]) => n);
  let receiver = IpcBytesReceiver.create(path, options);
  assertEquals([taken(receiver, 3), taken(receiver, 2)], [[0, 1, 2], [3, 4]]);
  receiver.close();
  receiver = IpcBytesReceiver.create(path, options);
  {
    using batch = receiver.borrowManySync();
    const seen: number[] = [];
    for (const [n] of batch) if (seen.push(n!) === 4) break;
    assertEquals(seen, [0, 1, 2, 3]);
  }
  assertEquals(taken(receiver, 2), [4, 5]);
  receiver.close();
  receiver = IpcBytesReceiver.create(path, options);
  receiver.borrowManySync().release(); // nothing was taken
  const rest = receiver.borrowManySync();
  assertEquals([...rest].map(([n]) => n), Array.from({ length: 26 }, (_, i) => i + 4));
  rest.release();
  receiver.close();
  receiver = IpcBytesReceiver.create(path, options);
  assertEquals(receiver.tryBorrowMany(), undefined);
  assert(sender.trySend(new Uint8Array(CAPACITY)), "all the room is there again");
  receiver.recvSync({ timeout: 0 });
  receiver.close();
});

test("Both ends of a duplex lend and borrow several messages at a time", async () => {
  const [asking, answering] = bytesDuplex({ capacity: CAPACITY });
  const reserve = [
    () => asking.reserveMany(3, 100),
    () => Promise.resolve(asking.reserveManySync(3, 100, { timeout: 0 })),
    () => Promise.resolve(asking.tryReserveMany(3, 100)!),
  ];
  const borrow = [
    () => answering.borrowMany(3),
    () => Promise.resolve(answering.borrowManySync(3, { timeout: 0 })),
    () => Promise.resolve(answering.tryBorrowMany(3)!),
  ];
  for (const [i, way] of reserve.entries()) {
    const loans = await way();
    for (const [n, bytes] of loans.messages.entries()) bytes.fill(n);
    loans.commit();
    using batch = await borrow[i]!();
    assertEquals([...batch], [numbered(0, 100), numbered(1, 100), numbered(2, 100)]);
  }
  assertEquals(answering.tryBorrowMany(), undefined);
  asking.close(), answering.close();
});
