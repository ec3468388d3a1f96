import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  channel,
  IpcBytesPublisher,
  IpcBytesSubscriber,
  type IpcError,
  IpcPublisher,
  IpcSubscriber,
  type PublisherOptions,
  type SubscriberOptions,
} from "../../../mod.ts";
import { assertIpcError, assertIpcErrorSync, soon } from "../../support/assert_ipc.ts";
import { folderTest } from "../../support/folder.ts";
import { lookingTest, test } from "../../support/test.ts";

function topic(): string {
  return `test-${crypto.randomUUID()}`;
}

/** What a subscriber finds now. */
function all<T>(subscriber: IpcSubscriber<T>): T[] {
  const found: T[] = [];
  for (let next = subscriber.tryRecv(); next.state === "message"; next = subscriber.tryRecv()) found.push(next.value);
  return found;
}

test("Each subscriber sees every message from its start on, in order, from all publishers", () => {
  const name = topic();
  using first = IpcPublisher.open<string>(name);
  using early = IpcSubscriber.open<string>(name);
  first.publish("a");
  using second = IpcPublisher.open<string>(name);
  using late = IpcSubscriber.open<string>(name);
  using latest = IpcSubscriber.open<string>(name, { from: "oldest" });
  second.publish("b");
  first.publish("c");
  assertEquals(all(early), ["a", "b", "c"]);
  assertEquals(all(late), ["b", "c"]);
  assertEquals(all(latest), ["a", "b", "c"]);
  assertEquals([early.missed, late.missed, latest.missed], [0, 0, 0]);
  assertEquals(early.tryRecv(), { state: "empty" });
});

test("Values arrive as structuredClone makes them, bytes as they are", async () => {
  const name = topic();
  using publisher = IpcPublisher.open<unknown>(name);
  using subscriber = IpcSubscriber.open<unknown>(name);
  const cyclic: Record<string, unknown> = { at: new Date(5), set: new Set([1n, "x"]), bytes: new Float32Array([1.5]) };
  cyclic["self"] = cyclic;
  publisher.publish(cyclic);
  const received = await subscriber.recv() as typeof cyclic;
  assertEquals(received["at"], new Date(5));
  assertEquals(received["set"], new Set([1n, "x"]));
  assertEquals(received["bytes"], new Float32Array([1.5]));
  assert(received["self"] === received);

  const bytesName = topic();
  using bytesPublisher = IpcBytesPublisher.open(bytesName);
  using bytesSubscriber = IpcBytesSubscriber.open(bytesName);
  for (const length of [0, 1, 47, 48, 49, 64, 1000, 40_000, 300_000]) {
    const bytes = Uint8Array.from({ length }, (_, i) => i * 7 + length);
    bytesPublisher.publish(bytes);
    assertEquals(bytesSubscriber.recvSync(), bytes);
    bytesPublisher.publish(bytes);
    using borrowed = bytesSubscriber.borrowSync();
    assertEquals(borrowed.value, bytes);
    assert(borrowed.isIntact());
  }
});

test("A subscriber that is too slow is told how many it has missed, and goes on with the oldest that is there", async () => {
  const name = topic();
  using publisher = IpcPublisher.open<number>(name, { capacity: 65_536 });
  using subscriber = IpcSubscriber.open<number>(name);
  let published = 0, received = 0;
  for (const burst of [10, 5000, 0, 1, 100_000, 2047, 2048, 2049, 4096]) {
    for (let i = 0; i < burst; i++) publisher.publish(published++);
    const found = all(subscriber);
    received += found.length;
    assertEquals(received + subscriber.missed, published);
    found.forEach((value, i) => assertEquals(value, published - found.length + i)); // contiguous, up to the newest
    assert(found.length >= Math.min(burst, 65_536 / 64), `${found.length} of ${burst}`);
  }
  assert(subscriber.missed > 100_000);
  // A message that is as large as what is kept.
  const bytesName = topic();
  using bytesPublisher = IpcBytesPublisher.open(bytesName, { capacity: 65_536 });
  using bytesSubscriber = IpcBytesSubscriber.open(bytesName);
  for (let i = 0; i < 5; i++) bytesPublisher.publish(new Uint8Array(65_536).fill(i));
  assertEquals((await bytesSubscriber.recv())[65_535], 4);
  assertEquals(bytesSubscriber.missed, 4);
});

test("Every length of message comes round the end of the memory whole", () => {
  const name = topic();
  using publisher = IpcBytesPublisher.open(name, { capacity: 65_536 });
  using subscriber = IpcBytesSubscriber.open(name);
  let seed = 1;
  for (let i = 0; i < 3000; i++) {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    const bytes = new Uint8Array(seed % (i % 50 === 0 ? 65_536 : 3000)).fill(i);
    publisher.publish(bytes);
    const got = i % 2 === 0 ? subscriber.recvSync() : undefined;
    if (got !== undefined) {
      assertEquals(got, bytes);
      continue;
    }
    using borrowed = subscriber.borrowSync();
    assertEquals(borrowed.value.length, bytes.length);
    assert(borrowed.value.every((byte) => byte === i % 256));
  }
  assertEquals(subscriber.missed, 0);
});

test("A message that is larger than what is kept is refused, and says so", () => {
  const name = topic();
  using publisher = IpcBytesPublisher.open(name, { capacity: 65_536 });
  assertEquals(publisher.capacity, 65_536);
  publisher.publish(new Uint8Array(65_536));
  const error = assertIpcErrorSync("TooLarge", () => publisher.publish(new Uint8Array(65_537)));
  assert(/65537 bytes.*keeps 65536 bytes/.test(error.message), error.message);
  using values = IpcPublisher.open<string>(name);
  assertIpcErrorSync("TooLarge", () => values.publish("x".repeat(70_000)));
});

test("Waits end by a message, by their time, by a signal and by close()", async () => {
  const name = topic();
  using publisher = IpcPublisher.open<number>(name);
  using subscriber = IpcSubscriber.open<number>(name);
  const waits = [subscriber.recv(), subscriber.recv()];
  setTimeout(() => publisher.publish(1), 5);
  setTimeout(() => publisher.publish(2), 10);
  assertEquals(await soon(Promise.all(waits)), [1, 2]);
  await assertIpcError("Timeout", () => subscriber.recv({ timeout: 5 }));
  await assertIpcError("Timeout", () => subscriber.recv({ timeout: 0 }));
  assertIpcErrorSync("Timeout", () => subscriber.recvSync({ timeout: 5 }));
  assertIpcErrorSync("Timeout", () => subscriber.recvSync({ timeout: 0 }));
  assertEquals(subscriber.tryBorrow(), undefined);
  const abort = new AbortController();
  const aborted = subscriber.recv({ signal: abort.signal });
  abort.abort(new Error("enough"));
  assertEquals(await aborted.catch((error) => error.message), "enough");
  await assertRejectsWith("enough", subscriber.recv({ signal: abort.signal }));
  const closed = subscriber.borrow();
  subscriber.close();
  await assertIpcError("Closed", () => closed);
  await assertIpcError("Closed", () => subscriber.recv());
  assertIpcErrorSync("Closed", () => subscriber.tryRecv());
  publisher.close();
  publisher.close();
  assertIpcErrorSync("Closed", () => publisher.publish(1));
});

async function assertRejectsWith(message: string, promise: Promise<unknown>): Promise<void> {
  assertEquals(await promise.then(() => "", (error) => error.message), message);
}

test("A loop ends by its signal and by close(), and takes no message with it", async () => {
  const name = topic();
  using publisher = IpcPublisher.open<number>(name);
  using subscriber = IpcSubscriber.open<number>(name);
  for (const n of [1, 2, 3]) publisher.publish(n);
  for await (const n of subscriber) if (n === 1) break;
  const stop = new AbortController();
  const seen: number[] = [];
  for await (const n of subscriber.values({ signal: stop.signal })) {
    seen.push(n);
    if (n === 3) setTimeout(() => stop.abort(), 5);
  }
  assertEquals(seen, [2, 3]);
  publisher.publish(4);
  for await (const n of subscriber) {
    assertEquals(n, 4);
    setTimeout(() => subscriber.close(), 5);
  }
});

test("A program that receives without a pause leaves timers and input their turns", async () => {
  const name = topic();
  using publisher = IpcPublisher.open<number>(name);
  using subscriber = IpcSubscriber.open<number>(name);
  let fired = false;
  setTimeout(() => fired = true, 1);
  let rounds = 0;
  for (; !fired && rounds < 1e7; rounds++) {
    publisher.publish(rounds);
    await subscriber.recv();
  }
  assert(fired, `no turn in ${rounds} rounds`);
});

test("What is borrowed says whether it was overwritten, once, and is empty after the release", async () => {
  const name = topic();
  using publisher = IpcBytesPublisher.open(name, { capacity: 65_536 });
  using subscriber = IpcBytesSubscriber.open(name);
  const fill = () => {
    for (let i = 0; i < 4; i++) publisher.publish(new Uint8Array(60_000));
  };
  publisher.publish(new Uint8Array(10_000).fill(1));
  const kept = await subscriber.borrow();
  assertEquals([kept.value.length, kept.isIntact()], [10_000, true]);
  kept.release();
  kept.release();
  fill();
  assertEquals([kept.value.length, kept.isIntact()], [0, true]); // it was, until it was released

  publisher.publish(new Uint8Array(10_000).fill(1));
  for (let next = subscriber.tryBorrow(); next !== undefined; next = subscriber.tryBorrow()) next.release();
  publisher.publish(new Uint8Array(10_000).fill(2));
  const asked = subscriber.tryBorrow()!;
  assertEquals(asked.isIntact(), true); // so what was read until now is good, whatever comes
  fill();
  assertEquals(asked.isIntact(), false);
  asked.release();
  assertEquals(asked.isIntact(), false);

  for (let next = subscriber.tryBorrow(); next !== undefined; next = subscriber.tryBorrow()) next.release();
  publisher.publish(new Uint8Array(10_000).fill(3));
  const unaware = subscriber.tryBorrow()!;
  fill();
  const error = assertIpcErrorSync("Corrupt", () => unaware.release());
  assert(error.message.includes("overwritten"));
  unaware.release();
  assertEquals(unaware.value.length, 0);
});

test("What a program writes into what it has borrowed is seen by nobody, and not by itself later", () => {
  const name = topic();
  using publisher = IpcBytesPublisher.open(name, { capacity: 65_536 });
  using subscriber = IpcBytesSubscriber.open(name);
  using other = IpcBytesSubscriber.open(name);
  // Several times round, with neighbours on the same pages borrowed at a time.
  for (let round = 0; round < 100; round++) {
    publisher.publish(new Uint8Array(1500).fill(round));
    publisher.publish(new Uint8Array(1500).fill(round + 1));
    {
      using first = subscriber.borrowSync();
      first.value.fill(99);
      publisher.publish(new Uint8Array(1500).fill(round + 2));
      using second = subscriber.borrowSync();
      using third = subscriber.borrowSync();
      assertEquals([...new Set(second.value)], [(round + 1) % 256]);
      assertEquals([...new Set(third.value)], [(round + 2) % 256]);
      assert(first.isIntact());
    }
    for (let n = 0; n < 3; n++) assertEquals([...new Set(other.recvSync())], [(round + n) % 256]);
  }
});

test("A borrowed message whose buffer was transferred, and one that outlives its subscriber, do no harm", () => {
  const name = topic();
  using publisher = IpcBytesPublisher.open(name);
  const subscriber = IpcBytesSubscriber.open(name);
  publisher.publish(new Uint8Array(5000).fill(1));
  publisher.publish(new Uint8Array(5000).fill(2));
  publisher.publish(new Uint8Array(5000).fill(3));
  const taken = subscriber.borrowSync();
  const stolen = new Uint8Array(taken.value.buffer.transfer());
  stolen.fill(9);
  taken.release();
  stolen.fill(9);
  using next = subscriber.borrowSync();
  assertEquals([...new Set(next.value)], [2]);
  const last = subscriber.borrowSync();
  assertEquals([...new Set(last.value)], [3]);
  subscriber.close();
  assertEquals([last.value.length, last.isIntact()], [0, true]);
  last.release();
});

test("Values are borrowed in place if they are large", async () => {
  const name = topic();
  using publisher = IpcPublisher.open<{ id: number; bytes: Uint8Array }>(name, { capacity: 65_536 });
  using subscriber = IpcSubscriber.open<{ id: number; bytes: Uint8Array }>(name);
  for (const length of [10, 20_000]) {
    publisher.publish({ id: length, bytes: new Uint8Array(length).fill(5) });
    const borrowed = await subscriber.borrow();
    assertEquals([borrowed.value.id, borrowed.value.bytes.length, borrowed.value.bytes[9]], [length, length, 5]);
    assert(borrowed.isIntact());
    borrowed.release();
    assertEquals(borrowed.value.bytes.length, length < 1024 ? length : 0);
  }
});

test("Endpoints cannot be published, and nothing of a value that cannot be encoded is", () => {
  const name = topic();
  using publisher = IpcPublisher.open<unknown>(name);
  using subscriber = IpcSubscriber.open<unknown>(name);
  const [sender, receiver] = channel<number>();
  assertIpcErrorSync("Serialization", () => publisher.publish({ reply: sender }));
  assertIpcErrorSync("Serialization", () => publisher.publish({ f: () => {} }));
  assertIpcErrorSync("Serialization", () => sender.sendSync(publisher as unknown as number));
  assertIpcErrorSync("Serialization", () => sender.sendSync(subscriber as unknown as number));
  assertThrows(() =>
    publisher.publish({
      get boom() {
        throw new Error("boom");
      },
    })
  );
  sender.sendSync(1); // still the caller's
  assertEquals(subscriber.tryRecv(), { state: "empty" });
  const closing = {
    get field() {
      return publisher.close(), 1;
    },
  };
  assertIpcErrorSync("Closed", () => publisher.publish(closing));
  sender.close(), receiver.close();
});

test("Bytes that are no value are told of, once each, and the next message arrives", () => {
  const name = topic();
  using bytes = IpcBytesPublisher.open(name);
  using values = IpcPublisher.open<string>(name);
  using subscriber = IpcSubscriber.open<string>(name);
  bytes.publish(new Uint8Array([0xff, 0xff]));
  values.publish("next");
  assertIpcErrorSync("Serialization", () => subscriber.recvSync());
  assertEquals(subscriber.recvSync(), "next");
  assertEquals(subscriber.missed, 0);
});

test("Arguments that are none are told of where they are given", () => {
  const name = topic();
  for (
    const bad of [
      "",
      "a\0b",
      "@name",
      "x".repeat(201),
      "\ud800",
      5 as unknown as string,
      "/tmp/",
      "a.seats",
      "/tmp/a.bell.3",
    ]
  ) {
    assertThrows(() => IpcPublisher.open(bad), TypeError, "topic");
    assertThrows(() => IpcSubscriber.open(bad), TypeError, "topic");
  }
  const options = (value: unknown) => value as PublisherOptions & SubscriberOptions;
  for (const capacity of [0, 1.5, 2 ** 29 + 1, -1]) {
    assertThrows(() => IpcPublisher.open(name, { capacity }), RangeError, "capacity");
  }
  assertThrows(() => IpcPublisher.open(name, options({ capacity: "1" })), TypeError, "capacity");
  assertThrows(() => IpcPublisher.open(name, { mode: 0o400 }), RangeError, "mode");
  assertThrows(() => IpcPublisher.open(name, options({ trust: "all" })), TypeError, "trust");
  assertThrows(() => IpcPublisher.open(name, options("x")), TypeError, "options");
  assertThrows(() => IpcSubscriber.open(name, options({ from: "old" })), TypeError, "from");
  using publisher = IpcBytesPublisher.open(name);
  assertThrows(() => publisher.publish("x" as unknown as Uint8Array), TypeError, "Uint8Array");
  const gone = new Uint8Array(5);
  gone.buffer.transfer();
  assertThrows(() => publisher.publish(gone), TypeError, "detached");
  assertThrows(() => Reflect.construct(IpcPublisher, []), TypeError);
  assertThrows(() => Reflect.construct(IpcSubscriber, []), TypeError);
});

lookingTest("A subscriber may come before the first publisher, and sees all that it publishes", async () => {
  const name = topic();
  using subscriber = IpcSubscriber.open<number>(name);
  assertEquals(subscriber.tryRecv(), { state: "empty" });
  assertIpcErrorSync("Timeout", () => subscriber.recvSync({ timeout: 5 }));
  assertIpcErrorSync("NotFound", () => subscriber.capacity);
  assertEquals(subscriber.missed, 0);
  using idle = IpcSubscriber.open<number>(name);
  const waiting = subscriber.recv();
  const publisher = IpcPublisher.open<number>(name, { capacity: 65_536 });
  for (let n = 0; n < 3000; n++) publisher.publish(n);
  assertEquals(await soon(waiting), 3000 - 2048);
  assertEquals([subscriber.missed, subscriber.capacity], [3000 - 2048, 65_536]);
  publisher.publish(3000);
  // One that waits for nothing has found it by now, or soon; so it is not lost when the publisher goes.
  const { ino } = Deno.statSync(publisher.path);
  const attached = () =>
    Deno.readTextFileSync("/proc/locks").split("\n").filter((line) => line.includes(`:${ino} `)).length;
  while (attached() < 2) await new Promise((resolve) => setTimeout(resolve, 1));
  publisher.close();
  assertEquals(all(idle).at(-1), 3000);
});

folderTest("A topic at a path lies there, and the last one that closes removes it", (folder) => {
  const path = folder.channel;
  const publisher = IpcPublisher.open<number>(path, { capacity: 65_536, mode: 0o644 });
  assertEquals(folder.files(), ["channel", "channel.seats"]);
  assertEquals(Deno.statSync(path).mode! & 0o777, 0o644);
  assertEquals(Deno.statSync(`${path}.seats`).mode! & 0o777, 0o600);
  assertEquals([publisher.name, publisher.path, publisher.closed], [path, path, false]);
  const subscriber = IpcSubscriber.open<number>(path);
  assertIpcErrorSync("Timeout", () => subscriber.recvSync({ timeout: 1 }));
  assertEquals(folder.files(), ["channel", "channel.bell.0", "channel.seats"]);
  publisher.publish(1);
  publisher.close();
  assertEquals(subscriber.recvSync(), 1); // what was published stays as long as there is somebody to read it
  const again = IpcPublisher.open<number>(path);
  assertEquals(again.capacity, 65_536); // it is the same topic
  again.publish(2);
  again.close();
  assertEquals(subscriber.recvSync(), 2);
  subscriber.close();
  assertEquals(folder.files(), []);
});

folderTest("What is no topic is left alone", async (folder) => {
  const path = folder.channel;
  Deno.writeTextFileSync(path, "precious");
  for (const open of [IpcPublisher.open, IpcSubscriber.open]) {
    assertIpcErrorSync("Incompatible", () => open(path));
    await assertIpcError("Incompatible", () => open(folder.path));
    await assertIpcError("NotFound", () => open(`${folder.path}/none/topic`));
  }
  assertEquals(folder.files(), ["channel"]);
  assertEquals(Deno.readTextFileSync(path), "precious");
  // One that was cut short, or has another version or size than it says.
  Deno.removeSync(path);
  const publisher = IpcPublisher.open(path);
  const bytes = Deno.readFileSync(path);
  publisher.close();
  const damaged: [string, (bytes: Uint8Array) => Uint8Array][] = [
    ["cut short", (bytes) => bytes.slice(0, 200_000)],
    ["no data", (bytes) => bytes.slice(0, 131_072)],
    ["only a word", (bytes) => bytes.slice(0, 8)],
    ["blocks", (bytes) => (bytes[12] = 7, bytes)],
    ["version", (bytes) => (bytes[8] = 9, bytes)],
  ];
  for (const [what, damage] of damaged) {
    Deno.writeFileSync(path, damage(bytes.slice()), { mode: 0o600 });
    for (const open of [IpcPublisher.open, IpcSubscriber.open]) {
      const error = assertIpcErrorSync("Incompatible", () => open(path)) as IpcError;
      assert(error.message.includes(path), `${what}: ${error.message}`);
    }
  }
  assertEquals(folder.files(), ["channel"]);
});

folderTest("A subscriber maps the topic for reading alone", (folder) => {
  using publisher = IpcPublisher.open<number>(folder.channel);
  const mapped = () =>
    Deno.readTextFileSync("/proc/self/maps").split("\n").filter((line) => line.includes(folder.path))
      .map((line) => line.split(" ")[1]);
  const before = mapped().length;
  const subscriber = IpcSubscriber.open<number>(folder.channel);
  assertIpcErrorSync("Timeout", () => subscriber.recvSync({ timeout: 1 }));
  publisher.publish(1);
  assertEquals(subscriber.recvSync(), 1);
  assertEquals(mapped().filter((kind) => kind === "r--s").length, mapped().length - before);
  subscriber.close();
});
