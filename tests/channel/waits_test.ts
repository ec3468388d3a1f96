import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { bytesChannel, channel, type IpcBytesSender } from "../../mod.ts";
import { assertIpcError, assertIpcErrorSync, soon } from "../support/assert_ipc.ts";
import { patience } from "../support/patience.ts";
import { test } from "../support/test.ts";

const CAPACITY = 65_536;

/** Fills a ring; returns how many messages it took. */
function fill(sender: IpcBytesSender, message = new Uint8Array(1000)): number {
  let sent = 0;
  while (sender.trySend(message)) sent++;
  return sent;
}

// --- Receiving -------------------------------------------------------------------------------------------------------

test("recv() rejects with Timeout, and the message that comes later is not lost", async () => {
  const [sender, receiver] = channel<string>();
  await assertIpcError("Timeout", () => receiver.recv({ timeout: 20 }));
  await assertIpcError("Timeout", () => receiver.recv({ timeout: 0 }));
  assertIpcErrorSync("Timeout", () => receiver.recvSync({ timeout: 20 }));
  assertIpcErrorSync("Timeout", () => receiver.recvSync({ timeout: 0 }));
  sender.sendSync("late");
  assertEquals(await receiver.recv({ timeout: 0 }), "late");
  sender.close(), receiver.close();
});

test("recv() rejects with the signal's reason, before and during the wait, and no message is lost", async () => {
  const [sender, receiver] = channel<string>();
  const reason = new Error("enough");
  assertEquals(await assertRejects(() => receiver.recv({ signal: AbortSignal.abort(reason) })), reason);
  const abort = new AbortController();
  const [first, second] = [receiver.recv({ signal: abort.signal }), receiver.recv()];
  abort.abort(reason);
  assertEquals(await assertRejects(() => first), reason);
  sender.sendSync("for the second");
  assertEquals(await soon(second), "for the second");
  sender.close(), receiver.close();
});

test("An aborted signal does not take a message that is there", async () => {
  const [sender, receiver] = channel<string>();
  sender.sendSync("kept");
  await assertRejects(() => receiver.recv({ signal: AbortSignal.abort() }));
  assertEquals(receiver.recvSync({ timeout: 0 }), "kept");
  sender.close(), receiver.close();
});

test("Timeouts that are no number of milliseconds are a TypeError everywhere", async () => {
  const [sender, receiver] = channel<string>();
  for (const timeout of [-1, NaN, "1" as unknown as number]) {
    await assertRejects(() => receiver.recv({ timeout }), TypeError);
    await assertRejects(() => sender.send("x", { timeout }), TypeError);
    assertThrows(() => receiver.recvSync({ timeout }), TypeError);
  }
  sender.close(), receiver.close();
});

test("Pending recv() calls are served in their order", async () => {
  const [sender, receiver] = channel<number>();
  const pending = Array.from({ length: 10 }, () => receiver.recv());
  for (let n = 0; n < 10; n++) await sender.send(n);
  assertEquals(await soon(Promise.all(pending)), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  sender.close(), receiver.close();
});

test("close() rejects pending recv() calls with Closed, and is idempotent", async () => {
  const [sender, receiver] = channel<string>();
  const pending = [receiver.recv(), receiver.recv({ timeout: patience(60_000) })];
  const settled = Promise.all(pending.map((wait) => assertIpcError("Closed", () => wait)));
  receiver.close();
  receiver.close();
  await soon(settled);
  assert(receiver.closed);
  await assertIpcError("Closed", () => receiver.recv());
  assertIpcErrorSync("Closed", () => receiver.recvSync());
  assertIpcErrorSync("Closed", () => receiver.tryRecv());
  assertIpcErrorSync("Closed", () => receiver.recvMany());
  sender.close();
});

test("A recvSync() that times out does not take the bell from a pending recv()", async () => {
  const [sender, receiver] = channel<string>();
  const pending = receiver.recv();
  assertIpcErrorSync("Timeout", () => receiver.recvSync({ timeout: 10 }));
  sender.sendSync("for the pending one");
  assertEquals(await soon(pending), "for the pending one");
  sender.close(), receiver.close();
});

test("tryRecv() and recvMany() between do not take the bell from a pending recv()", async () => {
  const [sender, receiver] = channel<string>();
  const pending = receiver.recv();
  assertEquals(receiver.tryRecv(), { state: "empty" });
  assertEquals(receiver.recvMany(), []);
  sender.sendSync("one");
  assertEquals(receiver.tryRecv(), { state: "message", value: "one" });
  sender.sendSync("two");
  assertEquals(await soon(pending), "two");
  sender.close(), receiver.close();
});

test("A message received synchronously right after it rang leaves a pending recv() for the next", async () => {
  const [sender, receiver] = channel<number>();
  for (let n = 0; n < 200; n += 2) {
    const pending = receiver.recv();
    sender.sendSync(n);
    assertEquals(receiver.recvSync({ timeout: 0 }), n);
    if (n % 4 === 0) await new Promise((resolve) => setTimeout(resolve, 0));
    sender.sendSync(n + 1);
    assertEquals(await soon(pending), n + 1);
  }
  sender.close(), receiver.close();
});

test("An abort among several pending recv() calls leaves the others waiting", async () => {
  const [sender, receiver] = channel<number>();
  for (let round = 0; round < 50; round++) {
    const aborts = [0, 1, 2].map(() => new AbortController());
    const pending = aborts.map((abort) => receiver.recv({ signal: abort.signal }));
    const outcomes = Promise.allSettled(pending);
    aborts[round % 3]!.abort();
    sender.sendSync(1);
    if (round % 2 === 0) await new Promise((resolve) => setTimeout(resolve, 0));
    sender.sendSync(2);
    const values = (await soon(outcomes)).filter((o) => o.status === "fulfilled").map((o) => o.value);
    assertEquals(values, [1, 2]);
  }
  sender.close(), receiver.close();
});

test("recvMany() takes at most as many as it is told, and an error only after what came before it", () => {
  const [sender, receiver] = channel<number>();
  for (let n = 0; n < 5; n++) sender.sendSync(n);
  assertEquals(receiver.recvMany(2), [0, 1]);
  assertEquals(receiver.recvMany(0), []);
  assertEquals(receiver.recvMany(), [2, 3, 4]);
  assertEquals(receiver.recvMany(), []);
  sender.close(), receiver.close();
});

test("A program that always finds a message still gets to its timers", async () => {
  const [sender, receiver] = channel<number>();
  let fired = false;
  setTimeout(() => fired = true, 0);
  let received = 0;
  while (!fired && received < 1_000_000) {
    sender.sendSync(received++);
    await receiver.recv();
  }
  assert(fired);
  sender.close(), receiver.close();
});

// --- Sending into a full ring ----------------------------------------------------------------------------------------

test("On a full ring trySend() says false, send() and sendSync() wait until their time is out", async () => {
  const [sender, receiver] = bytesChannel({ capacity: CAPACITY });
  const message = new Uint8Array(1000);
  const sent = fill(sender, message);
  assert(sent > 0);
  assert(!sender.trySend(message));
  await assertIpcError("Timeout", () => sender.send(message, { timeout: 20 }));
  await assertIpcError("Timeout", () => sender.send(message, { timeout: 0 }));
  assertIpcErrorSync("Timeout", () => sender.sendSync(message, { timeout: 20 }));
  assertIpcErrorSync("Timeout", () => sender.sendSync(message, { timeout: 0 }));
  const reason = new Error("enough");
  const abort = new AbortController();
  const aborted = sender.send(message, { signal: abort.signal });
  abort.abort(reason);
  assertEquals(await assertRejects(() => aborted), reason);
  assertEquals(receiver.recvMany().length, sent, "what was given up was not sent");
  assertEquals(receiver.tryRecv(), { state: "empty" });
  sender.close(), receiver.close();
});

test("A send() that waits goes on as soon as one message was received", async () => {
  const [sender, receiver] = bytesChannel({ capacity: CAPACITY });
  const sent = fill(sender);
  const waiting = sender.send(new Uint8Array([42]));
  receiver.recvSync({ timeout: 0 });
  await soon(waiting, "The send that waits for room");
  assertEquals(receiver.recvMany().length, sent);
  sender.close(), receiver.close();
});

test("Order is kept between sends that wait and those that come later", async () => {
  const [sender, receiver] = bytesChannel({ capacity: CAPACITY });
  const clone = sender.clone();
  const sent = fill(sender, new Uint8Array([0]));
  const waiting = [sender.send(new Uint8Array([1])), clone.send(new Uint8Array([2]))];
  assert(!sender.trySend(new Uint8Array([9])), "it would overtake");
  receiver.recvMany(sent >> 1);
  // There is room now, but the waiting ones have not been told yet.
  assert(clone.trySend(new Uint8Array([3])));
  sender.sendSync(new Uint8Array([4]), { timeout: patience(10_000) });
  await soon(Promise.all(waiting));
  await sender.send(new Uint8Array([5]));
  const rest = receiver.recvMany().map((bytes) => bytes[0]).filter((byte) => byte !== 0);
  assertEquals(rest, [1, 2, 3, 4, 5]);
  sender.close(), clone.close(), receiver.close();
});

test("A send() that is given up lets those behind it go on", async () => {
  const [sender, receiver] = bytesChannel({ capacity: CAPACITY });
  fill(sender, new Uint8Array([0]));
  const abort = new AbortController();
  const big = sender.send(new Uint8Array(60_000), { signal: abort.signal });
  const small = sender.send(new Uint8Array([1]));
  receiver.recvMany(500);
  await new Promise((resolve) => setTimeout(resolve, 20));
  abort.abort();
  await assertRejects(() => big);
  await soon(small, "The send behind the one that was given up");
  assertEquals(receiver.recvMany().at(-1), new Uint8Array([1]));
  sender.close(), receiver.close();
});

test("close() of a sender rejects its waiting sends with Closed, those of its clones go on", async () => {
  const [sender, receiver] = bytesChannel({ capacity: CAPACITY });
  const clone = sender.clone();
  fill(sender);
  const lost = assertIpcError("Closed", () => sender.send(new Uint8Array([1])));
  const kept = clone.send(new Uint8Array([2]));
  sender.close();
  await soon(lost);
  receiver.recvMany();
  await soon(kept);
  assertEquals(receiver.recvSync({ timeout: 0 }), new Uint8Array([2]));
  clone.close(), receiver.close();
});

test("Use of a closed sender is Closed, whichever way of sending", async () => {
  const [sender, receiver] = channel<number>();
  const clone = sender.clone();
  sender.close();
  sender.close();
  assert(sender.closed && !clone.closed);
  await assertIpcError("Closed", () => sender.send(1));
  await assertIpcError("Closed", () => sender.sendWhenEmpty(1));
  assertIpcErrorSync("Closed", () => sender.sendSync(1));
  assertIpcErrorSync("Closed", () => sender.trySend(1));
  assertIpcErrorSync("Closed", () => sender.clone());
  clone.sendSync(2);
  assertEquals(receiver.recvSync({ timeout: 0 }), 2);
  clone.close(), receiver.close();
});

test("sendWhenEmpty() waits until all earlier messages were received, and keeps its place in the order", async () => {
  const [sender, receiver] = channel<number>();
  sender.sendSync(1);
  sender.sendSync(2);
  let done = false;
  const whenEmpty = sender.sendWhenEmpty(3).then(() => done = true);
  const after = sender.send(4);
  assertEquals(receiver.recvSync({ timeout: 0 }), 1);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert(!done);
  assertEquals(receiver.recvSync({ timeout: 0 }), 2);
  assertEquals(await soon(receiver.recv()), 3);
  assertEquals(await soon(receiver.recv()), 4);
  await soon(Promise.all([whenEmpty, after]));
  sender.close(), receiver.close();
});

test("sendWhenEmpty() and send() obey timeout and signal while they wait", async () => {
  const [sender, receiver] = channel<number>();
  sender.sendSync(1);
  await assertIpcError("Timeout", () => sender.sendWhenEmpty(2, { timeout: 20 }));
  await assertRejects(() => sender.sendWhenEmpty(3, { signal: AbortSignal.timeout(20) }), DOMException);
  assertEquals(receiver.recvMany(), [1]);
  sender.close(), receiver.close();
});

test("A value is encoded when it is sent, not when there is room for it", async () => {
  const [sender, receiver] = channel<{ n: number }>({ capacity: CAPACITY });
  while (sender.trySend({ n: 0 }));
  const value = { n: 1 };
  const waiting = sender.send(value);
  value.n = 2;
  receiver.recvMany();
  await soon(waiting);
  assertEquals(receiver.recvSync({ timeout: 0 }), { n: 1 });
  sender.close(), receiver.close();
});

// --- The end ---------------------------------------------------------------------------------------------------------

test("Closing the receiver is Disconnected for every way of sending, also for those that wait", async () => {
  const [sender, receiver] = bytesChannel({ capacity: CAPACITY });
  fill(sender);
  const waiting = assertIpcError("Disconnected", () => sender.send(new Uint8Array(1000)));
  receiver.close();
  await soon(waiting);
  assertIpcErrorSync("Disconnected", () => sender.trySend(new Uint8Array(1)));
  assertIpcErrorSync("Disconnected", () => sender.sendSync(new Uint8Array(1)));
  await assertIpcError("Disconnected", () => sender.send(new Uint8Array(1)));
  await assertIpcError("Disconnected", () => sender.sendWhenEmpty(new Uint8Array(1)));
  sender.close();
});

test("After the last sender is closed the queued messages still arrive, then Disconnected", async () => {
  const [sender, receiver] = channel<number>();
  const clone = sender.clone();
  sender.sendSync(1);
  clone.sendSync(2);
  sender.close(), clone.close();
  assertEquals(receiver.tryRecv(), { state: "message", value: 1 });
  assertEquals(await receiver.recv(), 2);
  assertEquals(receiver.tryRecv(), { state: "disconnected" });
  await assertIpcError("Disconnected", () => receiver.recv());
  await assertIpcError("Disconnected", () => receiver.recv({ timeout: 0 }));
  assertIpcErrorSync("Disconnected", () => receiver.recvSync());
  assertEquals(receiver.recvMany(), []);
  receiver.close();
});

test("Closing the last sender ends pending recv() calls and iterations", async () => {
  const [sender, receiver] = channel<number>();
  const received: number[] = [];
  const iteration = (async () => {
    for await (const n of receiver) received.push(n);
  })();
  const pending = assertIpcError("Disconnected", () => receiver.recv());
  await sender.send(1);
  sender.close();
  await soon(Promise.all([iteration, pending]));
  assertEquals(received, [1]);
  receiver.close();
});

test("Leaving an iteration leaves the receiver open", async () => {
  const [sender, receiver] = channel<number>();
  sender.sendSync(1);
  sender.sendSync(2);
  for await (const n of receiver) {
    assertEquals(n, 1);
    break;
  }
  assertEquals(await receiver.recv(), 2);
  sender.close(), receiver.close();
});

test("toReadableStream() ends with the senders, and cancelling it closes the receiver", async () => {
  const [sender, receiver] = channel<number>();
  sender.sendSync(1);
  sender.sendSync(2);
  sender.close();
  assertEquals(await soon(Array.fromAsync(receiver.toReadableStream())), [1, 2]);
  receiver.close();

  const [other, cancelled] = channel<number>();
  const reader = cancelled.toReadableStream().getReader();
  const read = reader.read();
  await reader.cancel();
  assertEquals((await soon(read)).done, true);
  assert(cancelled.closed);
  assertIpcErrorSync("Disconnected", () => other.sendSync(1));
  other.close();
});
