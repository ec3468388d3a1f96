import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { channel, duplex, IpcDuplex } from "../../mod.ts";
import type { Self } from "../support/actor.ts";
import { assertIpcError, assertIpcErrorSync, soon } from "../support/assert_ipc.ts";
import { processTest, test } from "../support/test.ts";

test("What one end sends is what the other receives, both ways, by every way of sending and receiving", async () => {
  const [left, right] = duplex<string, number>();
  await left.send("a");
  left.sendSync("b");
  assertEquals(left.trySend("c"), true);
  assertEquals(await right.recv(), "a");
  assertEquals(right.recvSync(), "b");
  assertEquals(right.tryRecv(), { state: "message", value: "c" });
  assertEquals(right.tryRecv(), { state: "empty" });
  await right.sendWhenEmpty(1);
  right.sendSync(2), right.sendSync(3);
  assertEquals(left.recvMany(2), [1, 2]);
  assertEquals(await left.recv(), 3);
  assertIpcErrorSync("Timeout", () => left.recvSync({ timeout: 1 }));
  left.close(), left.close(), right.close();
});

test("borrow() reads a message of the other end in place", async () => {
  const [left, right] = duplex<Uint8Array, Uint8Array>();
  left.sendSync(new Uint8Array(100_000).fill(7));
  {
    using borrowed = await right.borrow();
    assertEquals(borrowed.value[99_999], 7);
  }
  left.close(), right.close();
});

test("When one end closes the other gets what was sent, then Disconnected, and cannot send", async () => {
  const [left, right] = duplex<number, number>();
  left.sendSync(1);
  left.close();
  assertIpcErrorSync("Disconnected", () => right.sendSync(2));
  assertEquals(right.recvSync(), 1);
  await assertIpcError("Disconnected", () => right.recv());
  assertEquals(right.tryRecv(), { state: "disconnected" });
  right.close();
  assert(left.closed && right.closed);
  assertIpcErrorSync("Closed", () => left.sendSync(1));
  assertIpcErrorSync("Closed", () => left.recvSync());
});

test("Iteration ends when the other end closes", async () => {
  const [left, right] = duplex<number, number>();
  for (const n of [1, 2, 3]) left.sendSync(n);
  left.close();
  const seen: number[] = [];
  for await (const n of right) seen.push(n);
  assertEquals(seen, [1, 2, 3]);
  right.close();
});

test("run() answers one message after another, in order, and ends when the other end closes", async () => {
  const [client, served] = duplex<number, string>();
  let running = 0, most = 0;
  const run = served.run(async (n) => {
    most = Math.max(most, ++running);
    await Promise.resolve();
    running--;
    return n % 2 === 0 ? `even ${n}` : undefined; // no answer
  });
  for (let n = 0; n < 6; n++) client.sendSync(n);
  for (const n of [0, 2, 4]) assertEquals(await soon(client.recv()), `even ${n}`);
  client.close();
  await soon(run);
  assertEquals(most, 1);
  served.close();
});

test("run() ends by its signal, before and during the wait, and the next message is not lost", async () => {
  const [client, served] = duplex<number, number>();
  await soon(served.run((n) => n, { signal: AbortSignal.abort() }));
  const abort = new AbortController();
  const run = served.run((n) => n, { signal: abort.signal });
  client.sendSync(1);
  assertEquals(await soon(client.recv()), 1);
  abort.abort();
  await soon(run);
  client.sendSync(2);
  assertEquals(await soon(served.recv()), 2);
  client.close(), served.close();
});

test("run() rejects with what the handler throws; the duplex can be used on", async () => {
  const [client, served] = duplex<number, number>();
  client.sendSync(1), client.sendSync(2);
  await assertRejects(
    () =>
      served.run(() => {
        throw new Error("no");
      }),
    Error,
    "no",
  );
  assertEquals(served.recvSync({ timeout: 0 }), 2);
  client.close(), served.close();
});

test("run() ends when the other end is gone before its answer", async () => {
  const [client, served] = duplex<number, number>();
  client.sendSync(1);
  client.close();
  await soon(served.run((n) => n));
  served.close();
});

test("split() takes the halves, which live on by themselves; the duplex counts as closed", async () => {
  const [left, right] = duplex<string, number>();
  right.sendSync(1);
  const [sender, receiver] = left.split();
  assert(left.closed);
  assertIpcErrorSync("Closed", () => left.sendSync("x"));
  assertIpcErrorSync("Closed", () => left.split());
  left.close();
  assertEquals(receiver.recvSync({ timeout: 0 }), 1);
  sender.sendSync("still there");
  assertEquals(right.recvSync({ timeout: 0 }), "still there");
  receiver.close();
  assertIpcErrorSync("Disconnected", () => right.sendSync(2));
  sender.close();
  await assertIpcError("Disconnected", () => right.recv());
  right.close();
});

test("split() of a duplex with one half closed takes nothing, and leaves nothing open", () => {
  const [there, sink] = channel<number>(), [source, from] = channel<number>();
  from.close();
  const half = new IpcDuplex(there, from);
  assertIpcErrorSync("Closed", () => half.split());
  half.sendSync(1);
  assertEquals(sink.recvSync({ timeout: 0 }), 1);
  half.close();
  assertEquals(sink.tryRecv(), { state: "disconnected" });
  sink.close(), source.close();
});

test("A duplex in a message moves with its backlog, also to the one that it came from", async () => {
  const [carrier, arrivals] = channel<IpcDuplex<number, number>>();
  const [left, right] = duplex<number, number>();
  left.sendSync(1), right.sendSync(-1);
  carrier.sendSync(right);
  assert(right.closed);
  const moved = arrivals.recvSync({ timeout: 0 });
  assertEquals(moved.recvSync({ timeout: 0 }), 1);
  moved.sendSync(-2);
  assertEquals(left.recvMany(), [-1, -2]);
  assertIpcErrorSync("Closed", () => carrier.sendSync(right));
  moved.close();
  await assertIpcError("Disconnected", () => left.recv());
  for (const end of [carrier, arrivals, left]) end.close();
});

test("A duplex whose message cannot be encoded stays where it is", () => {
  const [carrier, arrivals] = channel<unknown>();
  const [left, right] = duplex<number, number>();
  assertIpcErrorSync("Serialization", () => carrier.sendSync([right, () => {}]));
  assert(!right.closed);
  left.sendSync(1), right.sendSync(2);
  assertEquals([left.recvSync({ timeout: 0 }), right.recvSync({ timeout: 0 })], [2, 1]);
  for (const end of [carrier, arrivals, left, right]) end.close();
});

// --- Between processes -----------------------------------------------------------------------------------------------

/** Answers until the other end closes. */
export async function double({ line }: { line: IpcDuplex<number, number> }): Promise<void> {
  await line.run((n) => 2 * n);
  line.close();
}

processTest("run() in another process answers, and ends with it when the other end closes", async ({ start }) => {
  const [here, there] = duplex<number, number>();
  const child = await start(import.meta.url, double, { line: there });
  for (let n = 0; n < 500; n++) {
    await here.send(n);
    assertEquals(await soon(here.recv()), 2 * n);
  }
  here.close();
  assertEquals((await soon(child.status)).code, 0);
});

test("An end that may not spin receives all the same, and says what is no time", async () => {
  const [left, right] = duplex<number, number>();
  left.limitSpins(0);
  const pending = left.recv();
  right.sendSync(1);
  assertEquals(await soon(pending), 1);
  assertThrows(() => left.limitSpins(-1), RangeError, "from 0 to 10000");
  left.close(), right.close();
  assertIpcErrorSync("Closed", () => left.limitSpins(0));
});

/** Says that it is there and stays. */
export function stay(_job: { line: IpcDuplex<number, number> }, self: Self): void {
  self.say("here");
  self.hear();
}

processTest("The death of the process at the other end ends receiving and sending", async ({ start }) => {
  const [here, there] = duplex<number, number>();
  const child = await start(import.meta.url, stay, { line: there });
  await child.said();
  const pending = assertIpcError("Disconnected", () => here.recv());
  await child.kill();
  await soon(pending);
  assertIpcErrorSync("Disconnected", () => here.sendSync(1));
  here.close();
});
