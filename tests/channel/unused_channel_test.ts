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
