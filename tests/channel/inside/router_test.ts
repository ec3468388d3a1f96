import { assert, assertEquals, assertThrows } from "@std/assert";
import { bytesChannel, channel, type IpcError, type IpcReceiver, IpcRouter, type IpcSender } from "../../../mod.ts";
import type { Self } from "../../support/actor.ts";
import { assertIpcErrorSync, soon } from "../../support/assert_ipc.ts";
import { descriptorsOf } from "../../support/leftovers.ts";
import { openChannel } from "../../support/open_channel.ts";
import { processTest, test } from "../../support/test.ts";
import { Message } from "../../../channel/message/outgoing.ts";

/** Collects what comes, until as many have come as expected. */
class Collector<T> {
  readonly items: T[] = [];
  readonly done: Promise<T[]>;
  #resolve!: (items: T[]) => void;

  constructor(readonly expected: number) {
    this.done = new Promise((resolve) => this.#resolve = resolve);
  }

  readonly add = (item: T): void => {
    this.items.push(item);
    if (this.items.length === this.expected) this.#resolve(this.items);
  };
}

test("route() calls the handler for every message of the channel, in order, also for those sent before", async () => {
  const router = new IpcRouter();
  const [sender, receiver] = channel<number>();
  sender.sendSync(0), sender.sendSync(1);
  const got = new Collector<number>(4);
  router.route(receiver, got.add);
  assert(receiver.closed, "the receiver moved");
  assertEquals(router.size, 1);
  sender.sendSync(2);
  await Promise.resolve();
  sender.sendSync(3);
  assertEquals(await soon(got.done), [0, 1, 2, 3]);
  sender.close();
  await router.shutdown();
});

test("routeOnce() calls the handler once and closes the receiver for its senders", async () => {
  const router = new IpcRouter();
  const [sender, receiver] = channel<string>();
  sender.sendSync("first"), sender.sendSync("never handled");
  const got = new Collector<string>(1);
  router.routeOnce(receiver, got.add);
  assertEquals(await soon(got.done), ["first"]);
  assertEquals(router.size, 0);
  assertIpcErrorSync("Disconnected", () => sender.sendSync("third"));
  sender.close();
  await router.shutdown();
  assertEquals(got.items.length, 1);
});

test("A router serves many channels, values and bytes, each by its own handler", async () => {
  const router = new IpcRouter();
  const channels = Array.from({ length: 50 }, () => channel<number>());
  const got = new Collector<[number, number]>(500);
  channels.forEach(([, receiver], at) => router.route(receiver, (value) => got.add([at, value])));
  const [bytes, byteReceiver] = bytesChannel();
  const gotBytes = new Collector<Uint8Array>(1);
  router.route(byteReceiver, gotBytes.add);
  for (let n = 0; n < 10; n++) for (const [sender] of channels) sender.sendSync(n);
  bytes.sendSync(new Uint8Array([1, 2, 3]));
  await soon(got.done);
  for (let at = 0; at < 50; at++) {
    assertEquals(got.items.filter(([of]) => of === at).map(([, n]) => n), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  }
  assertEquals(await soon(gotBytes.done), [new Uint8Array([1, 2, 3])]);
  for (const sender of [bytes, ...channels.map(([sender]) => sender)]) sender.close();
  await router.shutdown();
});

test("A route is dropped, and its handler let go of, when the last sender is gone; the others go on", async () => {
  const router = new IpcRouter();
  const [ending, endingReceiver] = channel<number>();
  const [staying, stayingReceiver] = channel<number>();
  const got = new Collector<number>(2);
  router.route(endingReceiver, got.add);
  router.route(stayingReceiver, got.add);
  ending.sendSync(1);
  ending.close();
  while (router.size > 1) await new Promise((resolve) => setTimeout(resolve, 1));
  assertEquals(got.items, [1]);
  staying.sendSync(2);
  assertEquals(await soon(got.done), [1, 2]);
  staying.close();
  await router.shutdown();
});

test("A handler that throws or rejects is reported, and neither its own route nor the others stop", async () => {
  const reported = new Collector<unknown>(3);
  const router = new IpcRouter({ onError: reported.add });
  const [bad, badReceiver] = channel<number>();
  const [rejecting, rejectingReceiver] = channel<number>();
  const [good, goodReceiver] = channel<number>();
  const got = new Collector<number>(3);
  router.route(badReceiver, (n) => {
    if (n < 2) throw new Error(`thrown ${n}`);
    got.add(n);
  });
  router.route(rejectingReceiver, () => Promise.reject(new Error("rejected")));
  router.route(goodReceiver, got.add);
  bad.sendSync(0), rejecting.sendSync(0), good.sendSync(10), bad.sendSync(1), good.sendSync(11), bad.sendSync(2);
  assertEquals((await soon(got.done)).sort((a, b) => a - b), [2, 10, 11]);
  const messages = (await soon(reported.done)).map((error) => (error as Error).message).sort();
  assertEquals(messages, ["rejected", "thrown 0", "thrown 1"]);
  for (const sender of [bad, rejecting, good]) sender.close();
  await router.shutdown();
});

test("A message that cannot be decoded is reported, and the route goes on", async () => {
  const reported = new Collector<unknown>(1);
  const router = new IpcRouter({ onError: reported.add });
  const { sender, receiver, ring, ...rest } = openChannel<string>();
  const got = new Collector<string>(2);
  router.route(receiver, got.add);
  sender.sendSync("before");
  const garbage = new Uint8Array([0x5f, 0xff, 0xff]);
  ring.trySend(Message.of(garbage));
  sender.sendSync("after");
  assertEquals(await soon(got.done), ["before", "after"]);
  assertEquals((await soon(reported.done)).map((error) => (error as IpcError).code), ["Serialization"]);
  await router.shutdown();
  rest.close();
});

test("shutdown() closes every receiver, may be called again, and further routes are refused with Closed", async () => {
  const router = new IpcRouter();
  const channels = Array.from({ length: 3 }, () => channel<number>());
  for (const [, receiver] of channels) router.route(receiver, () => {});
  await soon(Promise.all([router.shutdown(), router.shutdown()]));
  await router.shutdown();
  router[Symbol.dispose]();
  for (const [sender] of channels) assertIpcErrorSync("Disconnected", () => sender.sendSync(1));
  const [sender, receiver] = channel<number>();
  const error = assertIpcErrorSync("Closed", () => router.route(receiver, () => {}));
  assert(error.message.includes("shut down"), error.message);
  assertIpcErrorSync("Closed", () => router.routeOnce(receiver, () => {}));
  sender.sendSync(5);
  assertEquals(receiver.recvSync({ timeout: 0 }), 5, "what was refused still belongs to the caller");
  for (const end of [sender, receiver, ...channels.map(([sender]) => sender)]) end.close();
});

test("After shutdown(), called by a handler, no handler is called any more", async () => {
  const router = new IpcRouter();
  const [sender, receiver] = channel<number>();
  let calls = 0;
  const down = new Promise<void>((resolve) => {
    router.route(receiver, () => {
      calls++;
      resolve(router.shutdown());
    });
  });
  for (let n = 0; n < 10; n++) sender.sendSync(n);
  await soon(down);
  assertEquals(calls, 1);
  sender.close();
});

test("Endpoints in messages that routeOnce() or shutdown() leave unhandled are closed at once", async () => {
  const probes = Array.from({ length: 6 }, () => channel<number>());
  const send = (to: IpcSender<unknown>, at: number) => {
    const [sender] = probes[at]!;
    to.sendSync([{ deep: new Map([["set", new Set([[sender]])]]) }, new Uint8Array(3)]);
    sender.close();
  };
  const [one, first] = channel<unknown>(), [two, second] = channel<unknown>();
  for (const at of [0, 1, 2]) send(one, at);
  for (const at of [3, 4, 5]) send(two, at);
  const router = new IpcRouter();
  const handled = new Collector<unknown>(2);
  router.routeOnce(first, handled.add);
  router.route(second, (value) => (handled.add(value), void router.shutdown()));
  const values = await soon(handled.done) as [{ deep: Map<string, Set<[IpcSender<number>]>> }][];
  await router.shutdown();
  // The two that were handled belong to their handlers, and are open.
  for (const [n, [{ deep }]] of values.entries()) {
    const [[sender]] = deep.get("set")!.values().toArray() as [[IpcSender<number>]];
    sender.sendSync(n);
    assertEquals(probes[3 * n]![1].recvSync({ timeout: 0 }), n);
    sender.close();
  }
  for (const [at, [, receiver]] of probes.entries()) {
    assertEquals(receiver.tryRecv(), { state: "disconnected" }, `of message ${at}`);
    receiver.close();
  }
  one.close(), two.close();
});

test("Routes can be added by handlers, and after all earlier routes have ended", async () => {
  const router = new IpcRouter();
  const [first, firstReceiver] = channel<IpcReceiver<number>>();
  const [second, secondReceiver] = channel<number>();
  const got = new Collector<number>(2);
  router.routeOnce(firstReceiver, (receiver) => router.routeOnce(receiver, got.add));
  first.sendSync(secondReceiver);
  second.sendSync(1);
  while (got.items.length < 1) await new Promise((resolve) => setTimeout(resolve, 1));
  assertEquals(router.size, 0);
  const [third, thirdReceiver] = channel<number>();
  router.route(thirdReceiver, got.add);
  third.sendSync(2);
  assertEquals(await soon(got.done), [1, 2]);
  for (const sender of [first, second, third]) sender.close();
  await router.shutdown();
});

test("A handler that is no function is a TypeError, and the receiver still belongs to the caller", async () => {
  const router = new IpcRouter();
  const [sender, receiver] = channel<number>();
  assertThrows(() => router.route(receiver, undefined as unknown as () => void), TypeError);
  sender.sendSync(1);
  assertEquals(receiver.recvSync({ timeout: 0 }), 1);
  sender.close(), receiver.close();
  await router.shutdown();
});

processTest("2000 routes made and ended one after another leave no descriptor open", async () => {
  const router = new IpcRouter();
  let before = 0;
  for (let n = 0; n < 2000; n++) {
    const [sender, receiver] = channel<number>({ capacity: 65_536 });
    const handled = new Promise((resolve) => router.routeOnce(receiver, resolve));
    sender.sendSync(n);
    assertEquals(await handled, n);
    sender.close();
    if (n === 100) before = descriptorsOf("self").length;
  }
  await router.shutdown();
  // Node's sockets close in their own time, a few turns later.
  for (let turn = 0; turn < 100 && descriptorsOf("self").length > before; turn++) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assert(descriptorsOf("self").length <= before, `${descriptorsOf("self").length} descriptors, ${before} before`);
});

// --- Between processes -----------------------------------------------------------------------------------------------

/** Routes 12 channels, sums what comes by each, and sends the sums when all have ended. */
export async function sumAll(
  { receivers, results }: { receivers: IpcReceiver<number>[]; results: IpcSender<number[]> },
  self: Self,
): Promise<void> {
  const router = new IpcRouter();
  const sums = receivers.map(() => 0);
  receivers.forEach((receiver, at) => router.route(receiver, (n) => sums[at]! += n));
  self.say("routing");
  while (router.size > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  await results.send(sums);
  results.close();
}

processTest("A router in another process serves a dozen channels from here until all have ended", async ({ start }) => {
  const channels = Array.from({ length: 12 }, () => channel<number>());
  const [results, sums] = channel<number[]>();
  const child = await start(import.meta.url, sumAll, { receivers: channels.map(([, receiver]) => receiver), results });
  results.close();
  assertEquals(await child.said(), "routing");
  for (let n = 1; n <= 1000; n++) channels.forEach(([sender], at) => sender.sendSync(n * at));
  for (const [sender] of channels) sender.close();
  assertEquals(await soon(sums.recv()), channels.map((_, at) => 500_500 * at));
  assertEquals((await child.status).code, 0);
  sums.close();
});
