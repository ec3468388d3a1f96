// A new channel has neither descriptors nor memory until one of its ends is used.
import { assert, assertEquals, assertThrows } from "@std/assert";
import { bytesChannel, channel, duplex, IpcError, type IpcReceiver, type IpcSender } from "../../mod.ts";
import type { Self } from "../support/actor.ts";
import { assertIpcError, assertIpcErrorSync, soon } from "../support/assert_ipc.ts";
import { descriptorsOf } from "../support/leftovers.ts";
import { processTest, test } from "../support/test.ts";

processTest("A channel that is made and closed opens no descriptor, whatever its kind", () => {
  const before = descriptorsOf("self");
  const ends = [channel(), bytesChannel(), duplex(), channel({ capacity: 1 << 30 })].flat();
  assertEquals(descriptorsOf("self"), before);
  for (const end of ends) end.close();
  assertEquals(descriptorsOf("self"), before);
});

test("A capacity that is none is refused when the channel is made, not when it is used", () => {
  for (const capacity of [0, -1, 1.5, 2 ** 30 + 1, NaN]) {
    assertThrows(() => channel({ capacity }), RangeError, "capacity");
    assertThrows(() => bytesChannel({ capacity }), RangeError, "capacity");
    assertThrows(() => duplex({ capacity }), RangeError, "capacity");
  }
});

test("What is sent first waits for a receiver that was not used yet", async () => {
  const [sender, receiver] = channel<number>();
  sender.sendSync(1);
  await sender.send(2);
  sender.close();
  assertEquals(receiver.recvSync(), 1);
  assertEquals(await receiver.recv(), 2);
  await assertIpcError("Disconnected", () => receiver.recv());
  receiver.close();
});

processTest("A channel that carries a few small messages within this program opens no descriptor", async () => {
  const before = descriptorsOf("self");
  const [sender, receiver] = channel<unknown>(), [bytes, received] = bytesChannel();
  sender.sendSync({ n: 1, tags: new Set(["a"]) });
  await sender.send("two");
  assert(sender.trySend(3n));
  bytes.sendSync(new Uint8Array([1, 2]));
  bytes.sendSync(new Uint8Array(0));
  assertEquals(receiver.recvSync(), { n: 1, tags: new Set(["a"]) });
  assertEquals(receiver.recvSync(), "two");
  assertEquals(receiver.tryRecv(), { state: "message", value: 3n });
  assertEquals(received.recvSync(), new Uint8Array([1, 2]));
  assertEquals(received.recvSync(), new Uint8Array(0));
  assertEquals(descriptorsOf("self"), before);
  for (const end of [sender, receiver, bytes, received]) end.close();
  assertEquals(descriptorsOf("self"), before);
});

/** Ways to begin to use a channel in earnest, with what they receive of it. */
const IN_EARNEST: Record<string, (receiver: IpcReceiver<number>, sender: IpcSender<number>) => number[]> = {
  "asking for the capacity": (receiver) => (receiver.capacity, []),
  "receiving many": (receiver) => receiver.recvMany(),
  "borrowing": (receiver) => {
    using borrowed = receiver.borrowSync();
    return [borrowed.value];
  },
  "a limit": (receiver) => (receiver.limitMessages(10_000), [receiver.recvSync()]),
  "giving it another type": (receiver) => {
    using other = receiver.toOpaque().to<number>();
    return other.recvMany();
  },
  "a clone": (_, sender) => {
    using clone = sender.clone();
    clone.sendSync(99);
    return [];
  },
};

for (const [what, use] of Object.entries(IN_EARNEST)) {
  test(`What was sent before a channel is used in earnest stays first, in order: ${what}`, () => {
    for (const kept of [1, 3, 16, 40]) {
      const [sender, receiver] = channel<number>({ capacity: 1 });
      for (let n = 0; n < kept; n++) sender.sendSync(n);
      const got = use(receiver, sender);
      if (!receiver.closed) {
        sender.sendSync(kept);
        sender.close();
        for (let next = receiver.tryRecv(); next.state === "message"; next = receiver.tryRecv()) got.push(next.value);
        assertEquals(got.filter((n) => n !== 99), Array.from({ length: kept + 1 }, (_, n) => n));
        assertIpcErrorSync("Disconnected", () => receiver.recvSync());
      } else {
        assertEquals(got, Array.from({ length: kept }, (_, n) => n));
      }
      sender.close(), receiver.close();
    }
  });
}

test("Large messages and small ones keep their order before and after the channel is made", () => {
  for (const large of [0, 1, 5, 15, 16, 20]) {
    const [sender, receiver] = channel<Uint8Array>();
    for (let n = 0; n < 30; n++) sender.sendSync(new Uint8Array(n === large ? 100_000 : 10).fill(n));
    for (let n = 0; n < 30; n++) assertEquals(receiver.recvSync()[9], n);
    sender.close(), receiver.close();
  }
});

test("What was sent is a copy, also before the channel is made, and a failed encoding sends nothing", () => {
  const [sender, receiver] = channel<unknown>(), [bytes, received] = bytesChannel();
  const sent = new Uint8Array([1]);
  sender.sendSync({ sent }), bytes.sendSync(sent);
  sent[0] = 2;
  assertThrows(() => sender.sendSync(() => {}), IpcError);
  assertEquals(receiver.recvSync(), { sent: new Uint8Array([1]) });
  assertEquals(received.recvSync(), new Uint8Array([1]));
  assertEquals(receiver.tryRecv(), { state: "empty" });
  for (const end of [sender, receiver, bytes, received]) end.close();
});

test("A getter that sends by the channel that the value goes through sends first", () => {
  const [sender, receiver] = channel<unknown>();
  sender.sendSync({
    get inner() {
      sender.sendSync("first");
      return 1;
    },
  });
  assertEquals(receiver.recvSync(), "first");
  assertEquals(receiver.recvSync(), { inner: 1 });
  sender.close(), receiver.close();
});

test("A receiver that waits first gets what a sender sends at its first use", async () => {
  const [sender, receiver] = channel<number>();
  const waiting = receiver.recv();
  sender.sendSync(1);
  assertEquals(await soon(waiting), 1);
  sender.close(), receiver.close();
});

test("A sender whose receiver was closed before any use is told so, and the other way round", async () => {
  const [sender, closed] = channel<number>();
  closed.close();
  assertIpcErrorSync("Disconnected", () => sender.sendSync(1));
  await assertIpcError("Disconnected", () => sender.send(1));
  const clone = sender.clone();
  assertIpcErrorSync("Disconnected", () => clone.sendSync(1));
  sender.close(), clone.close();

  const [gone, receiver] = channel<number>();
  gone.close();
  assertEquals(receiver.tryRecv(), { state: "disconnected" });
  assertIpcErrorSync("Disconnected", () => receiver.recvSync());
  receiver.close();
});

test("An end that is closed without any use is closed: it says so, and the other end may be closed before or after", () => {
  for (const order of [[0, 1], [1, 0]] as const) {
    const ends = channel<number>();
    for (const i of order) {
      ends[i].close();
      ends[i].close();
    }
    assert(ends[0].closed && ends[1].closed);
    assertIpcErrorSync("Closed", () => ends[0].sendSync(1));
    assertIpcErrorSync("Closed", () => ends[1].recvSync());
  }
});

test("An end that was not used is closed with its channel when the other was", () => {
  const [sender, unusedReceiver] = channel<number>();
  sender.sendSync(1);
  unusedReceiver.close();
  assertIpcErrorSync("Disconnected", () => {
    for (let n = 0; n < 1000; n++) sender.sendSync(n);
  });
  sender.close();

  const [unusedSender, receiver] = channel<number>();
  assertEquals(receiver.tryRecv(), { state: "empty" });
  unusedSender.close();
  assertEquals(receiver.tryRecv(), { state: "disconnected" });
  receiver.close();
});

/** Answers through a sender that came before it was ever used. */
export async function answer(
  { asks, answers }: { asks: IpcReceiver<number>; answers: IpcSender<number> },
  self: Self,
): Promise<void> {
  for await (const n of asks) await answers.send(-n);
  answers.close(), asks.close();
  self.say("done");
}

processTest("What was sent before an end goes to another process arrives there first", async ({ start }) => {
  const [ask, asks] = channel<number>();
  const [answers, answered] = channel<number>();
  for (let n = 1; n < 5; n++) ask.sendSync(n);
  const child = await start(import.meta.url, answer, { asks, answers });
  answers.close();
  for (let n = 5; n < 8; n++) ask.sendSync(n);
  ask.close();
  for (let n = 1; n < 8; n++) assertEquals(await soon(answered.recv()), -n);
  assertEquals(await soon(child.said()), "done");
  answered.close();
});

processTest("Ends can go to another process before they were ever used", async ({ start }) => {
  const [ask, asks] = channel<number>();
  const [answers, answered] = channel<number>();
  const child = await start(import.meta.url, answer, { asks, answers });
  answers.close();
  for (let n = 1; n < 10; n++) {
    ask.sendSync(n);
    assertEquals(await soon(answered.recv()), -n);
  }
  ask.close();
  assertEquals(await soon(child.said()), "done");
  await assertIpcError("Disconnected", () => soon(answered.recv()));
  answered.close();
});

test("What cannot be sent together with an unused end leaves both ends with their owner", () => {
  const [carrier, arrivals] = channel<unknown>();
  const [sender, receiver] = channel<number>();
  for (const end of [sender, receiver]) {
    const error = assertThrows(() => carrier.sendSync({ end, no: () => {} }), IpcError);
    assertEquals(error.code, "Serialization");
    assert(!end.closed);
  }
  sender.sendSync(1);
  assertEquals(receiver.recvSync(), 1);
  for (const end of [carrier, arrivals, sender, receiver]) end.close();
});
