// Messages written and read in place: reserve() and borrow().
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  bytesChannel,
  channel,
  type IpcBytesReceiver,
  type IpcBytesSender,
  type IpcReceiver,
  type IpcSender,
} from "../../mod.ts";
import type { Self } from "../support/actor.ts";
import { assertIpcError, assertIpcErrorSync, soon } from "../support/assert_ipc.ts";
import { processTest, test } from "../support/test.ts";

const SIZE = 65_536;

test("A loan is written in place and sent by commit(), by every way of reserving", async () => {
  const [sender, receiver] = bytesChannel({ capacity: SIZE });
  const reserve = [
    (n: number) => sender.reserve(n),
    (n: number) => Promise.resolve(sender.reserveSync(n)),
    (n: number) => Promise.resolve(sender.tryReserve(n)!),
  ];
  for (const length of [0, 1, 63, 64, 65, 10_000, SIZE]) {
    for (const way of reserve) {
      const loan = await way(length);
      assertEquals(loan.bytes.length, length);
      loan.bytes.fill(length);
      assertEquals(receiver.tryRecv(), { state: "empty" });
      loan.commit();
      assertEquals(loan.bytes.length, 0, "the bytes are the receiver's now");
      const message = receiver.recvSync({ timeout: 0 });
      assert(message.length === length && message.every((byte) => byte === length % 256));
    }
  }
  sender.close(), receiver.close();
});

test("commit() with a length sends only so much, and what was not used is free again", () => {
  const [sender, receiver] = bytesChannel({ capacity: SIZE });
  for (let n = 0; n < 100; n++) {
    const loan = sender.reserveSync(SIZE, { timeout: 0 });
    loan.bytes[n] = 1;
    loan.commit(n);
    assertEquals(receiver.recvSync({ timeout: 0 }).length, n);
  }
  sender.close(), receiver.close();
});

test("Leaving the scope without a commit sends nothing, and the room is free again", () => {
  const [sender, receiver] = bytesChannel({ capacity: SIZE });
  let stale: Uint8Array | undefined;
  for (let n = 0; n < 10; n++) {
    using loan = sender.reserveSync(SIZE, { timeout: 0 });
    stale = loan.bytes;
    loan[Symbol.dispose]();
    assertEquals(receiver.tryRecv(), { state: "empty" });
  }
  assertEquals(stale!.length, 0);
  assertEquals(receiver.tryRecv(), { state: "empty" });
  sender.sendSync(new Uint8Array([1]));
  assertEquals(receiver.recvSync({ timeout: 0 }), new Uint8Array([1]));
  sender.close(), receiver.close();
});

test("A loan ends once: commit() after it is Closed, too long a commit is a RangeError that keeps the loan", () => {
  const [sender, receiver] = bytesChannel({ capacity: SIZE });
  const loan = sender.reserveSync(10);
  for (const length of [-1, 11, 1.5]) assertThrows(() => loan.commit(length), RangeError);
  loan.bytes[9] = 9;
  loan.commit();
  assertIpcErrorSync("Closed", () => loan.commit());
  loan[Symbol.dispose]();
  const given = sender.reserveSync(10);
  given[Symbol.dispose]();
  given[Symbol.dispose]();
  assertIpcErrorSync("Closed", () => given.commit());
  assertEquals(receiver.recvMany(), [new Uint8Array([0, 0, 0, 0, 0, 0, 0, 0, 0, 9])]);
  sender.close(), receiver.close();
});

test("Several loans are committed in any order and arrive in the order of their reservation", () => {
  const [sender, receiver] = bytesChannel({ capacity: SIZE });
  const loans = [1, 2, 3, 4].map((n) => {
    const loan = sender.reserveSync(100 * n);
    loan.bytes.fill(n);
    return loan;
  });
  sender.sendSync(new Uint8Array([5]));
  loans[3]!.commit();
  loans[1]!.commit();
  assertEquals(receiver.recvMany().length, 0, "the first is still out");
  loans[0]!.commit();
  assertEquals(receiver.recvMany().map((bytes) => bytes[0]), [1, 2]);
  loans[2]![Symbol.dispose]();
  assertEquals(receiver.recvMany().map((bytes) => [bytes[0], bytes.length]), [[4, 400], [5, 1]]);
  sender.close(), receiver.close();
});

test("reserve() on a full ring waits, obeys timeout and signal, and goes on when there is room", async () => {
  const [sender, receiver] = bytesChannel({ capacity: SIZE });
  sender.sendSync(new Uint8Array(SIZE));
  assertEquals(sender.tryReserve(1), undefined);
  assertIpcErrorSync("Timeout", () => sender.reserveSync(1, { timeout: 5 }));
  await assertIpcError("Timeout", () => sender.reserve(1, { timeout: 5 }));
  const reason = new Error("enough");
  const abort = new AbortController();
  const aborted = sender.reserve(1, { signal: abort.signal }).catch((error) => error);
  abort.abort(reason);
  assert(await soon(aborted) === reason);
  const waiting = sender.reserve(2);
  const behind = sender.send(new Uint8Array([3]));
  receiver.recvSync({ timeout: 0 });
  using loan = await soon(waiting);
  await soon(behind);
  loan.bytes.fill(2);
  loan.commit();
  assertEquals(receiver.recvMany(), [new Uint8Array([2, 2]), new Uint8Array([3])]);
  sender.close(), receiver.close();
});

test("More than the ring holds is TooLarge, what is no length a RangeError", async () => {
  const [sender, receiver] = bytesChannel({ capacity: SIZE });
  assertIpcErrorSync("TooLarge", () => sender.reserveSync(SIZE + 1));
  await assertIpcError("TooLarge", () => sender.reserve(SIZE + 1));
  for (const length of [-1, 0.5, NaN]) assertThrows(() => sender.tryReserve(length), RangeError);
  sender.close(), receiver.close();
});

test("A loan outlives its sender: it can be committed after the close, and is sent", async () => {
  const [sender, receiver] = bytesChannel();
  const loan = sender.reserveSync(3);
  sender.close();
  assertEquals(receiver.tryRecv(), { state: "empty" }, "a message may still come");
  loan.bytes.fill(4);
  loan.commit();
  assertEquals(receiver.recvSync({ timeout: 0 }), new Uint8Array([4, 4, 4]));
  await assertIpcError("Disconnected", () => receiver.recv());
  receiver.close();
});

test("Reserving when the receiver is gone is Disconnected, and a loan that is out ends without harm", () => {
  const [sender, receiver] = bytesChannel();
  const loan = sender.reserveSync(3);
  receiver.close();
  loan.commit();
  assertIpcErrorSync("Disconnected", () => sender.reserveSync(1));
  sender.close();
});

// --- Borrowing -------------------------------------------------------------------------------------------------------

test("A borrowed value's byte strings are views on the ring, by every way of borrowing", async () => {
  const [sender, receiver] = channel<{ name: string; pixels: Uint8Array }>({ capacity: SIZE });
  const ways = [
    () => receiver.borrow(),
    () => Promise.resolve(receiver.borrowSync()),
    () => Promise.resolve(receiver.tryBorrow()!),
  ];
  for (const [n, way] of ways.entries()) {
    sender.sendSync({ name: `frame ${n}`, pixels: new Uint8Array(10_000).fill(n) });
    const borrowed = await way();
    assertEquals(borrowed.value.name, `frame ${n}`);
    const { pixels } = borrowed.value;
    assert(pixels.length === 10_000 && pixels.every((byte) => byte === n));
    borrowed.release();
    borrowed.release();
    assertEquals(pixels.length, 0, "the view is empty after the release");
    assertEquals(borrowed.value.name, `frame ${n}`);
  }
  assertEquals(receiver.tryBorrow(), undefined);
  assertIpcErrorSync("Timeout", () => receiver.borrowSync({ timeout: 1 }));
  await assertIpcError("Timeout", () => receiver.borrow({ timeout: 1 }));
  sender.close();
  assertIpcErrorSync("Disconnected", () => receiver.tryBorrow());
  await assertIpcError("Disconnected", () => receiver.borrow());
  receiver.close();
});

test("The blocks of a borrowed message are not the sender's until it is released, and released in any order", async () => {
  const [sender, receiver] = bytesChannel({ capacity: SIZE });
  for (const n of [1, 2, 3, 4]) sender.sendSync(new Uint8Array(SIZE / 4).fill(n));
  const borrowed = [1, 2, 3, 4].map(() => receiver.borrowSync());
  assertEquals(sender.trySend(new Uint8Array(1)), false);
  const waiting = sender.send(new Uint8Array(SIZE / 4).fill(5));
  borrowed[1]!.release();
  borrowed[2]!.release();
  assertEquals(sender.trySend(new Uint8Array(1)), false, "those behind the first wait for it");
  assert([0, 3].every((at) => borrowed[at]!.value.every((byte) => byte === at + 1)));
  borrowed[0]!.release();
  await soon(waiting);
  assert(borrowed[3]!.value.every((byte) => byte === 4), "what is borrowed is not overwritten");
  borrowed[3]!.release();
  assertEquals((await soon(receiver.recv()))[0], 5);
  sender.close(), receiver.close();
});

test("Messages behind a borrowed one can be received, and are not sent twice", () => {
  const [sender, receiver] = channel<Uint8Array | number>({ capacity: SIZE });
  sender.sendSync(new Uint8Array(2000).fill(1));
  sender.sendSync(2), sender.sendSync(3);
  using borrowed = receiver.borrowSync();
  assertEquals(receiver.recvMany(), [2, 3]);
  assertEquals(borrowed.value, new Uint8Array(2000).fill(1));
  sender.close(), receiver.close();
  assertEquals((borrowed.value as Uint8Array).length, 0, "closing the receiver takes it back");
});

test("A small message that is borrowed is a copy: its room is free again, and its bytes stay", () => {
  const [sender, receiver] = channel<Uint8Array>({ capacity: SIZE });
  const messages = SIZE / 128; // two blocks each
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < messages; i++) sender.sendSync(new Uint8Array(100).fill(i), { timeout: 0 });
    const borrowed = Array.from({ length: messages }, () => receiver.borrowSync());
    sender.sendSync(new Uint8Array(100), { timeout: 0 });
    receiver.recvSync();
    for (const [i, each] of borrowed.entries()) {
      each.release();
      assert(each.value.length === 100 && each.value.every((byte) => byte === (i & 255)));
    }
  }
  sender.close(), receiver.close();
});

test("A message with endpoints, and one larger than the ring, can be borrowed as well", () => {
  const [sender, receiver] = channel<{ bytes: Uint8Array; reply: IpcSender<number> }>({ capacity: SIZE });
  const [reply, replies] = channel<number>();
  for (const length of [1000, 10 * SIZE]) {
    sender.sendSync({ bytes: new Uint8Array(length).fill(6), reply });
    const borrowed = receiver.borrowSync({ timeout: 0 });
    const { bytes, reply: other } = borrowed.value;
    assert(bytes.length === length && bytes.every((byte) => byte === 6));
    borrowed.release();
    assertEquals(bytes.length, 0);
    other.sendSync(length); // endpoints stay
    other.close();
    assertEquals(replies.recvSync({ timeout: 0 }), length);
  }
  for (const end of [sender, receiver, reply, replies]) end.close();
});

test("A receiver with borrowed messages is not sent away: Serialization, and it stays", () => {
  const [carrier, arrivals] = channel<IpcReceiver<Uint8Array>>();
  const [sender, receiver] = channel<Uint8Array>();
  sender.sendSync(new Uint8Array(2000).fill(1));
  const borrowed = receiver.borrowSync();
  const error = assertIpcErrorSync("Serialization", () => carrier.sendSync(receiver));
  assert(error.message.includes("release"), error.message);
  assertEquals(borrowed.value[99], 1);
  borrowed.release();
  carrier.sendSync(receiver);
  for (const end of [carrier, arrivals, sender]) end.close();
});

// --- Between processes -----------------------------------------------------------------------------------------------

/** Writes 1000 messages in place, and gives up every third reservation. */
export async function writeInPlace({ sender }: { sender: IpcBytesSender }): Promise<void> {
  for (let n = 0; n < 1000; n++) {
    using loan = await sender.reserve(n * 13);
    loan.bytes.fill(n);
    if (n % 3 !== 0) loan.commit();
  }
  sender.close();
}

processTest("1000 messages written in place there are read in place here", async ({ start }) => {
  const [sender, receiver] = bytesChannel({ capacity: SIZE });
  await start(import.meta.url, writeInPlace, { sender });
  sender.close();
  for (let n = 0; n < 1000; n++) {
    if (n % 3 === 0) continue;
    using borrowed = await soon(receiver.borrow());
    assertEquals(borrowed.value.length, n * 13);
    assert(borrowed.value.every((byte) => byte === n % 256));
  }
  await assertIpcError("Disconnected", () => receiver.borrow());
  receiver.close();
});

/** Dies with a loan out. */
export function dieWithLoan({ sender }: { sender: IpcBytesSender }, self: Self): void {
  sender.sendSync(new Uint8Array([1]));
  const loan = sender.reserveSync(1000);
  loan.bytes.fill(2);
  self.say();
  self.hear();
}

processTest("A process that is killed with a loan out costs that message only", async ({ start }) => {
  const [sender, receiver] = bytesChannel({ capacity: SIZE });
  const child = await start(import.meta.url, dieWithLoan, { sender });
  await child.said();
  sender.sendSync(new Uint8Array([3]));
  assertEquals(await soon(receiver.recv()), new Uint8Array([1]));
  const pending = receiver.recv();
  await assertIpcError("Timeout", () => receiver.recv({ timeout: 50 }));
  await child.kill();
  assertEquals(await soon(pending), new Uint8Array([3]));
  sender.close(), receiver.close();
});

/** Dies with a message borrowed. */
export function dieWithBorrowed({ receiver }: { receiver: IpcBytesReceiver }, self: Self): void {
  receiver.borrowSync();
  self.say();
  self.hear();
}

processTest("A receiver that is killed with a message borrowed is Disconnected for its senders", async ({ start }) => {
  const [sender, receiver] = bytesChannel({ capacity: SIZE });
  const child = await start(import.meta.url, dieWithBorrowed, { receiver });
  sender.sendSync(new Uint8Array(SIZE));
  await child.said();
  const waiting = assertIpcError("Disconnected", () => sender.send(new Uint8Array(SIZE)));
  await child.kill();
  await soon(waiting);
  sender.close();
});
