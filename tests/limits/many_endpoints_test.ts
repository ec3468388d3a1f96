// Endpoints inside messages: many of them, of dead channels, nested, and unclaimed.
import { assert, assertEquals } from "@std/assert";
import {
  bytesChannel,
  channel,
  type IpcBytesReceiver,
  type IpcBytesSender,
  type IpcReceiver,
  type IpcSender,
  type OpaqueIpcReceiver,
  type OpaqueIpcSender,
} from "../../mod.ts";
import type { Self } from "../support/actor.ts";
import { assertIpcError, assertIpcErrorSync, soon } from "../support/assert_ipc.ts";
import { descriptorsOf } from "../support/leftovers.ts";
import { processTest, test } from "../support/test.ts";

interface Line<T> {
  readonly from: IpcReceiver<T>;
}

/** Sends its index through each sender that it gets. */
export async function number({ from }: Line<IpcSender<number>[]>): Promise<void> {
  for await (const senders of from) {
    senders.forEach((sender, at) => sender.sendSync(at));
    for (const sender of senders) sender.close();
  }
}

processTest("0, 1, 8, 64, 300 and 1000 senders in one message all work in another process", async ({ start }) => {
  const [carrier, arrivals] = channel<IpcSender<number>[]>();
  const child = await start(import.meta.url, number, { from: arrivals });
  for (const count of [0, 1, 8, 64, 300, 1000]) {
    const [sender, receiver] = channel<number>();
    const clones = Array.from({ length: count }, () => sender.clone());
    await carrier.send(clones);
    for (const end of [sender, ...clones]) end.close();
    const got: number[] = [];
    for await (const n of receiver) got.push(n);
    assertEquals(got, clones.map((_, at) => at));
    receiver.close();
  }
  carrier.close();
  assertEquals((await child.status).code, 0);
});

/** Receives one message from each receiver that it gets, and adds them up. */
export async function sum({ from, to }: Line<IpcReceiver<number>[]> & { to: IpcSender<number> }): Promise<void> {
  for await (const receivers of from) {
    let total = 0;
    for (const receiver of receivers) total += await receiver.recv(), receiver.close();
    await to.send(total);
  }
}

processTest(
  "0, 1, 8, 64 and 300 receivers in one message move to another process with what is queued",
  async ({ start }) => {
    const [carrier, arrivals] = channel<IpcReceiver<number>[]>();
    const [results, totals] = channel<number>();
    await start(import.meta.url, sum, { from: arrivals, to: results });
    results.close();
    for (const count of [0, 1, 8, 64, 300]) {
      const channels = Array.from({ length: count }, () => channel<number>({ capacity: 65_536 }));
      channels.forEach(([sender], at) => sender.sendSync(at));
      await carrier.send(channels.map(([, receiver]) => receiver));
      assert(channels.every(([, receiver]) => receiver.closed));
      assertEquals(await soon(totals.recv()), count * (count - 1) / 2);
      for (const [sender] of channels) sender.close();
    }
    carrier.close(), totals.close();
  },
);

test("1000 receivers in one message work as well", () => {
  const [carrier, arrivals] = channel<IpcReceiver<number>[]>();
  const channels = Array.from({ length: 1000 }, () => channel<number>({ capacity: 65_536 }));
  channels.forEach(([sender], at) => sender.sendSync(at));
  carrier.sendSync(channels.map(([, receiver]) => receiver));
  const received = arrivals.recvSync({ timeout: 0 });
  received.forEach((receiver, at) => assertEquals(receiver.recvSync({ timeout: 0 }), at));
  for (const end of [carrier, arrivals, ...received, ...channels.map(([sender]) => sender)]) end.close();
});

interface Mixed {
  readonly bytes: IpcBytesSender;
  readonly byteStrings: IpcBytesReceiver;
  readonly opaque: OpaqueIpcSender;
  readonly opaques: OpaqueIpcReceiver;
}

/** Uses every endpoint of the message once. */
export async function useAll({ from }: Line<Mixed>): Promise<void> {
  const { bytes, byteStrings, opaque, opaques } = await from.recv();
  const doubled = (await byteStrings.recv()).map((byte) => 2 * byte);
  await bytes.send(doubled);
  const numbers = opaques.to<number>();
  const sender = opaque.to<string>();
  await sender.send(`got ${await numbers.recv()}`);
  for (const end of [bytes, byteStrings, numbers, sender]) end.close();
}

processTest("Byte endpoints and opaque endpoints work in another process", async ({ start }) => {
  const [carrier, arrivals] = channel<Mixed>();
  await start(import.meta.url, useAll, { from: arrivals });
  const [bytesThere, byteStrings] = bytesChannel();
  const [bytes, byteStringsHere] = bytesChannel();
  const [numbers, numberReceiver] = channel<number>();
  const [texts, textReceiver] = channel<string>();
  bytesThere.sendSync(new Uint8Array([1, 2, 3]));
  const opaque = texts.toOpaque();
  await carrier.send({ bytes, byteStrings, opaque, opaques: numberReceiver.toOpaque() });
  bytes.close(), opaque.close();
  assertEquals(await soon(byteStringsHere.recv()), new Uint8Array([2, 4, 6]));
  numbers.sendSync(7);
  assertEquals(await soon(textReceiver.recv()), "got 7");
  await assertIpcError("Disconnected", () => textReceiver.recv());
  for (const end of [carrier, bytesThere, byteStringsHere, numbers, textReceiver]) end.close();
});

test("A sender whose receiver is gone can be cloned and sent; its new owner gets Disconnected", () => {
  const [carrier, arrivals] = channel<IpcSender<number>>();
  const [sender, receiver] = channel<number>();
  receiver.close();
  assertIpcErrorSync("Disconnected", () => sender.sendSync(1));
  const clone = sender.clone();
  carrier.sendSync(sender), carrier.sendSync(clone);
  for (const end of [arrivals.recvSync({ timeout: 0 }), arrivals.recvSync({ timeout: 0 }), clone]) {
    assertIpcErrorSync("Disconnected", () => end.sendSync(1));
    end.close();
  }
  for (const end of [carrier, arrivals, sender]) end.close();
});

/** Tries every sender that it gets, and says how that ends. */
export async function tryThem({ from }: Line<IpcSender<number>>, self: Self): Promise<void> {
  for await (const sender of from) {
    try {
      await sender.send(1);
      self.say("sent");
    } catch (error) {
      self.say((error as { code: string }).code);
    }
    sender.close();
  }
}

processTest(
  "A sender whose receiver is gone arrives in another process, and is Disconnected there",
  async ({ start }) => {
    const [carrier, arrivals] = channel<IpcSender<number>>();
    const child = await start(import.meta.url, tryThem, { from: arrivals });
    const [sender, receiver] = channel<number>();
    carrier.sendSync(sender);
    assertEquals(await child.said(), "sent");
    receiver.close();
    carrier.sendSync(sender);
    assertEquals(await child.said(), "Disconnected");
    carrier.close(), sender.close();
  },
);

type Nested = IpcReceiver<Nested> | number;

test("A receiver queued in a receiver that is itself queued keeps its messages, ten deep", () => {
  const [carrier, arrivals] = channel<Nested>();
  const senders: { close(): void }[] = [];
  let inner: Nested = 42;
  for (let depth = 0; depth < 10; depth++) {
    const [sender, receiver] = channel<Nested>({ capacity: 65_536 });
    sender.sendSync(inner);
    senders.push(sender);
    inner = receiver;
  }
  carrier.sendSync(inner);
  let receiver = arrivals.recvSync({ timeout: 0 });
  let depth = 0;
  while (typeof receiver !== "number") {
    const next: Nested = receiver.recvSync({ timeout: 0 });
    receiver.close();
    receiver = next;
    depth++;
  }
  assertEquals([receiver, depth], [42, 10]);
  for (const end of [carrier, arrivals, ...senders]) end.close();
});

// --- What nobody takes -----------------------------------------------------------------------------------------------

/** Receives messages with endpoints and drops them, then lets the garbage collector run, and counts descriptors. */
export async function dropThem({ from }: Line<unknown>, self: Self): Promise<void> {
  const count = () => descriptorsOf("self").length;
  await from.recv();
  const before = count();
  for (let n = 0; n < 200; n++) await from.recv(); // nobody looks at what came
  const held = count();
  const { gc } = globalThis as unknown as { gc(): void };
  for (let turn = 0; turn < 200 && count() > before; turn++) {
    gc();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  self.say({ before, held, after: count() });
}

processTest("Endpoints of received messages that nobody takes are closed", async ({ start }) => {
  const [carrier, arrivals] = channel<unknown>();
  const child = await start(import.meta.url, dropThem, { from: arrivals }, ["-A", "--v8-flags=--expose-gc"]);
  const [sender, receiver] = channel<number>();
  for (let n = 0; n <= 200; n++) {
    const [other, moved] = channel<number>({ capacity: 65_536 });
    await carrier.send({ sender, moved });
    other.close();
  }
  sender.close();
  const { before, held, after } = await child.said<{ before: number; held: number; after: number }>();
  assert(held > before, "some were held at first");
  assert(after <= before, `${after} descriptors are open, ${before} before`);
  await soon(assertIpcError("Disconnected", () => receiver.recv()));
  carrier.close(), receiver.close();
});

processTest("200 messages with endpoints that are never received close them with the channel", async () => {
  const before = descriptorsOf("self").length;
  const [carrier, arrivals] = channel<unknown>();
  const [sender, receiver] = channel<number>();
  for (let n = 0; n < 200; n++) {
    const [other, moved] = channel<number>({ capacity: 65_536 });
    carrier.sendSync([sender, moved, sender]);
    other.close();
  }
  sender.close();
  assertEquals(receiver.tryRecv(), { state: "empty" }, "those in the messages still count");
  carrier.close(), arrivals.close();
  await soon(assertIpcError("Disconnected", () => receiver.recv()));
  receiver.close();
  for (let turn = 0; turn < 100 && descriptorsOf("self").length > before; turn++) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assertEquals(descriptorsOf("self").length, before);
});

// --- Waits without threads -------------------------------------------------------------------------------------------

processTest("100 receivers that are awaited at once use no thread each, and delay no file elsewhere", async () => {
  const threads = () => [...Deno.readDirSync("/proc/self/task")].length;
  const path = Deno.makeTempFileSync();
  Deno.writeFileSync(path, new Uint8Array(20 << 20));
  await Deno.readFile(path); // starts the threads that files take
  const before = threads();
  const channels = Array.from({ length: 100 }, () => channel<number>({ capacity: 65_536 }));
  const pending = channels.map(([, receiver]) => receiver.recv());
  await new Promise((resolve) => setTimeout(resolve, 5));
  assert(threads() <= before + 4, `${threads()} threads, ${before} before`); // a few of Deno's own come and go
  // With a thread parked for each, the pool of 32 would have none left.
  const bytes = await soon(Deno.readFile(path), "A file read while 100 receivers wait");
  assertEquals(bytes.length, 20 << 20);
  channels.forEach(([sender], at) => sender.sendSync(at));
  assertEquals(await soon(Promise.all(pending)), channels.map((_, at) => at));
  for (const end of channels.flat()) end.close();
  Deno.removeSync(path);
});
