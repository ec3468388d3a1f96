import { assert, assertEquals } from "@std/assert";
import { bytesChannel, channel, type IpcError, type IpcReceiver, type IpcSender } from "../../mod.ts";
import { assertIpcErrorSync, soon } from "../support/assert_ipc.ts";
import { processTest, test } from "../support/test.ts";

test("A WritableStream sends what is written, in order, and closes the sender with itself", async () => {
  const [sender, receiver] = channel<number>();
  const writer = sender.toWritableStream().getWriter();
  for (const n of [1, 2, 3]) await writer.write(n);
  assertEquals(receiver.recvMany(), [1, 2, 3]);
  await writer.close();
  assert(sender.closed);
  assertEquals(receiver.tryRecv(), { state: "disconnected" });
  receiver.close();
});

test("Back-pressure goes through both streams: a source is asked for no more than the channel holds", async () => {
  const [sender, receiver] = bytesChannel({ capacity: 65_536 });
  let made = 0;
  const source = new ReadableStream<Uint8Array>({
    pull(controller) {
      controller.enqueue(new Uint8Array(8192).fill(made++));
      if (made === 100) controller.close();
    },
  }, { highWaterMark: 0 });
  const piping = source.pipeTo(sender.toWritableStream());
  // As long as nothing is received it stops by itself.
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setTimeout(resolve, 1));
  assert(made >= 8 && made <= 12, `${made} messages were made, 8 fit`);
  let received = 0;
  for await (const bytes of receiver.toReadableStream()) {
    assertEquals(bytes[0], received++);
    assert(made - received <= 12, `${made} made, ${received} received`);
  }
  await soon(piping);
  assertEquals(received, 100);
  receiver.close();
});

test("Aborting the WritableStream ends a write that waits for room, and closes the sender", async () => {
  const [sender, receiver] = channel<number>({ capacity: 65_536 });
  while (sender.trySend(0));
  const stream = sender.toWritableStream();
  const writer = stream.getWriter();
  const write = writer.write(1).catch((error) => error.message);
  await new Promise((resolve) => setTimeout(resolve, 0));
  await soon(writer.abort(new Error("enough")));
  assertEquals(await soon(write), "enough");
  assert(sender.closed);
  receiver.recvMany();
  assertEquals(receiver.tryRecv(), { state: "disconnected" });
  receiver.close();
});

test("The WritableStream fails with Disconnected when the receiver is gone, and with Serialization", async () => {
  const [sender, receiver] = channel<unknown>();
  receiver.close();
  const code = (error: IpcError) => error.code;
  assertEquals(await sender.toWritableStream().getWriter().write(1).then(() => "sent", code), "Disconnected");
  sender.close();
  const [other, otherReceiver] = channel<unknown>();
  assertEquals(await other.toWritableStream().getWriter().write(() => {}).then(() => "sent", code), "Serialization");
  other.close(), otherReceiver.close();
});

test("Cancelling the ReadableStream is Disconnected for the sender", async () => {
  const [sender, receiver] = channel<number>();
  const reader = receiver.toReadableStream().getReader();
  sender.sendSync(1);
  assertEquals(await reader.read(), { done: false, value: 1 });
  await reader.cancel();
  assertIpcErrorSync("Disconnected", () => sender.sendSync(2));
  sender.close();
});

/** Doubles every number on its way from one channel to another, by streams alone. */
export async function doubler({ from, to }: { from: IpcReceiver<number>; to: IpcSender<number> }): Promise<void> {
  const doubling = new TransformStream<number, number>({
    transform: (n, controller) => controller.enqueue(2 * n),
  });
  await from.toReadableStream().pipeThrough(doubling).pipeTo(to.toWritableStream());
  from.close();
}

processTest("Streams in two processes make one pipeline, which ends by itself", async ({ start }) => {
  const [one, first] = channel<number>({ capacity: 65_536 });
  const [two, second] = channel<number>({ capacity: 65_536 });
  const child = await start(import.meta.url, doubler, { from: first, to: two });
  two.close();
  const count = 20_000;
  const numbers = ReadableStream.from((function* () {
    for (let n = 0; n < count; n++) yield n;
  })());
  const piping = numbers.pipeTo(one.toWritableStream());
  let next = 0;
  for await (const n of second.toReadableStream()) assertEquals(n, 2 * next++);
  await soon(piping);
  assertEquals(next, count);
  assertEquals((await soon(child.status)).code, 0);
  second.close();
});
