import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  bytesChannel,
  channel,
  IpcReceiverSet,
  type IpcSender,
  type SelectEvent,
  type SetReceiver,
} from "../../../mod.ts";
import type { Self } from "../../support/actor.ts";
import { assertIpcError, assertIpcErrorSync, soon } from "../../support/assert_ipc.ts";
import { openChannel } from "../../support/open_channel.ts";
import { patience } from "../../support/patience.ts";
import { processTest, test } from "../../support/test.ts";
import { Message } from "../../../channel/message/outgoing.ts";

/** The ways to select, by their names. */
const SELECT: Record<string, (set: IpcReceiverSet, timeout?: number) => Promise<SelectEvent[]>> = {
  "select()": (set, timeout = patience(10_000)) => set.select({ timeout }),
  // deno-lint-ignore require-await -- a promise as the other way returns one
  "selectSync()": async (set, timeout = patience(10_000)) => set.selectSync({ timeout }),
};

for (const [name, select] of Object.entries(SELECT)) {
  test(`${name} reports the one member that is ready, by its id`, async () => {
    using set = new IpcReceiverSet();
    const channels = Array.from({ length: 5 }, () => channel<string>());
    const ids = channels.map(([, receiver]) => set.add(receiver));
    assertEquals(new Set(ids).size, 5, "ids differ");
    assert(channels.every(([, receiver]) => receiver.closed), "the receivers moved");
    assertEquals(set.size, 5);
    for (const at of [3, 0, 3]) {
      channels[at]![0].sendSync(`to ${at}`);
      assertEquals(await select(set), [{ id: ids[at]!, type: "message", value: `to ${at}` }]);
    }
    assertEquals(set.trySelect(), []);
    for (const [sender] of channels) sender.close();
  });

  test(`${name} reports many that are ready at once, each member's messages in order`, async () => {
    using set = new IpcReceiverSet();
    const channels = Array.from({ length: 4 }, () => channel<number>());
    const ids = channels.map(([, receiver]) => set.add(receiver));
    for (let n = 0; n < 3; n++) for (const [sender] of channels) sender.sendSync(n);
    const events = await select(set);
    for (const id of ids) {
      const own = events.filter((event) => event.id === id);
      assertEquals(own, [0, 1, 2].map((value) => ({ id, type: "message", value })));
    }
    for (const [sender] of channels) sender.close();
  });

  test(`${name} with nothing there is Timeout, and what comes later is not lost`, async () => {
    using set = new IpcReceiverSet();
    const [sender, receiver] = channel<number>();
    const id = set.add(receiver);
    await assertIpcError("Timeout", () => select(set, 0));
    await assertIpcError("Timeout", () => select(set, 5));
    sender.sendSync(1);
    assertEquals(await select(set), [{ id, type: "message", value: 1 }]);
    sender.close();
  });

  test(`${name} reports a member that was closed before it was added, and one that closes afterwards, once each`, async () => {
    using set = new IpcReceiverSet();
    const [before, beforeReceiver] = channel<number>();
    const [after, afterReceiver] = channel<number>();
    before.sendSync(1);
    before.close();
    const first = set.add(beforeReceiver);
    assertEquals(await select(set), [{ id: first, type: "message", value: 1 }, { id: first, type: "closed" }]);
    const second = set.add(afterReceiver);
    await assertIpcError("Timeout", () => select(set, 0));
    after.sendSync(2);
    after.close();
    const events = await select(set);
    if (events.length === 1) events.push(...await select(set));
    assertEquals(events, [{ id: second, type: "message", value: 2 }, { id: second, type: "closed" }]);
    assertEquals(set.size, 0);
    await assertIpcError("Disconnected", () => select(set));
  });

  test(`${name} is fair: one member that is always full does not starve the nine others`, async () => {
    using set = new IpcReceiverSet();
    const [flood, flooded] = channel<number>({ capacity: 65_536 });
    const loud = set.add(flooded);
    const others = Array.from({ length: 9 }, () => channel<number>());
    const ids = others.map(([, receiver]) => set.add(receiver));
    const waited = new Map<number, number>();
    for (let round = 0; round < 50; round++) {
      while (flood.trySend(round));
      for (const [sender] of others) sender.sendSync(round);
      // Everybody gets a turn in every call, or in the next at the latest.
      const events = [...await select(set), ...await select(set)];
      for (const id of ids) {
        const mine = events.filter((event) => event.id === id).length;
        waited.set(id, (waited.get(id) ?? 0) + mine);
        assert(waited.get(id)! >= round, `member ${id} got ${waited.get(id)} of ${round + 1}`);
      }
      assert(events.some(({ id }) => id === loud), "and the loud one goes on as well");
    }
    for (const [sender] of [[flood] as const, ...others]) sender.close();
  });
}

test("A message that comes during select() resolves it, from whichever member", async () => {
  using set = new IpcReceiverSet();
  const channels = Array.from({ length: 10 }, () => channel<number>());
  const ids = channels.map(([, receiver]) => set.add(receiver));
  for (const at of [9, 0, 5]) {
    const pending = set.select();
    await new Promise((resolve) => setTimeout(resolve, 0));
    channels[at]![0].sendSync(at);
    assertEquals(await soon(pending), [{ id: ids[at]!, type: "message", value: at }]);
  }
  for (const [sender] of channels) sender.close();
});

test("select() rejects with the signal's reason, before and during the wait, and no event is lost", async () => {
  using set = new IpcReceiverSet();
  const [sender, receiver] = channel<number>();
  const id = set.add(receiver);
  const reason = new Error("enough");
  const caught = (signal: AbortSignal) => set.select({ signal }).catch((error) => error);
  assert(await caught(AbortSignal.abort(reason)) === reason);
  const abort = new AbortController();
  const pending = caught(abort.signal);
  abort.abort(reason);
  assert(await soon(pending) === reason);
  sender.sendSync(1);
  assertEquals(await soon(set.select()), [{ id, type: "message", value: 1 }]);
  sender.close();
});

test("A second select() at a time is Deadlock, and the first goes on", async () => {
  using set = new IpcReceiverSet();
  const [sender, receiver] = channel<number>();
  const id = set.add(receiver);
  const pending = set.select();
  await assertIpcError("Deadlock", () => set.select());
  sender.sendSync(1);
  assertEquals(await soon(pending), [{ id, type: "message", value: 1 }]);
  sender.close();
});

test("A member added during select() is heard, also if it is ready already", async () => {
  using set = new IpcReceiverSet();
  const [silent, silentReceiver] = channel<number>();
  set.add(silentReceiver);
  let pending = set.select();
  const [ready, readyReceiver] = channel<number>();
  ready.sendSync(1);
  const id = set.add(readyReceiver);
  assertEquals(await soon(pending), [{ id, type: "message", value: 1 }]);

  pending = set.select();
  const [late, lateReceiver] = channel<number>();
  const lateId = set.add(lateReceiver);
  await new Promise((resolve) => setTimeout(resolve, 0));
  late.sendSync(2);
  assertEquals(await soon(pending), [{ id: lateId, type: "message", value: 2 }]);
  for (const sender of [silent, ready, late]) sender.close();
});

test("remove() closes the member for its senders, and its messages are not reported", async () => {
  using set = new IpcReceiverSet();
  const [gone, goneReceiver] = channel<number>();
  const [stays, staysReceiver] = channel<number>();
  const goneId = set.add(goneReceiver), id = set.add(staysReceiver);
  gone.sendSync(1);
  assertEquals(set.remove(goneId), true);
  assertEquals(set.remove(goneId), false);
  assertEquals(set.remove(12_345), false);
  assertIpcErrorSync("Disconnected", () => gone.sendSync(2));
  stays.sendSync(3);
  assertEquals(await set.select(), [{ id, type: "message", value: 3 }]);
  const next = set.add(channelOf([4]));
  assert(next !== goneId && next !== id, "ids are not used again");
  for (const sender of [gone, stays]) sender.close();
});

/** A receiver with these messages, whose sender is gone. */
function channelOf<T>(values: T[]): SetReceiver {
  const [sender, receiver] = channel<T>();
  for (const value of values) sender.sendSync(value);
  sender.close();
  return receiver;
}

test("close() rejects a pending select() with Closed and closes every member; using the set is Closed then", async () => {
  const set = new IpcReceiverSet();
  const [sender, receiver] = channel<number>();
  set.add(receiver);
  const pending = assertIpcError("Closed", () => set.select());
  set.close();
  set.close();
  await soon(pending);
  assertIpcErrorSync("Disconnected", () => sender.sendSync(1));
  const [other, otherReceiver] = channel<number>();
  assertIpcErrorSync("Closed", () => set.add(otherReceiver));
  assert(!otherReceiver.closed, "what was refused still belongs to the caller");
  assertIpcErrorSync("Closed", () => set.trySelect());
  assertIpcErrorSync("Closed", () => set.selectSync());
  await assertIpcError("Closed", () => set.select());
  for (const end of [sender, other, otherReceiver]) end.close();
});

test("A set takes typed, byte and opaque receivers, and refuses what is closed or none", async () => {
  using set = new IpcReceiverSet();
  const [values, valueReceiver] = channel<{ n: number }>();
  const [bytes, byteReceiver] = bytesChannel();
  const [opaque, opaqueReceiver] = channel<string>();
  const ids = [set.add(valueReceiver), set.add(byteReceiver), set.add(opaqueReceiver.toOpaque())];
  values.sendSync({ n: 1 }), bytes.sendSync(new Uint8Array([2])), opaque.sendSync("3");
  assertEquals((await set.select()).sort((a, b) => a.id - b.id), [
    { id: ids[0]!, type: "message", value: { n: 1 } },
    { id: ids[1]!, type: "message", value: new Uint8Array([2]) },
    { id: ids[2]!, type: "message", value: "3" },
  ]);
  assertIpcErrorSync("Closed", () => set.add(valueReceiver));
  assertThrows(() => set.add({} as SetReceiver), TypeError);
  assertEquals(set.size, 3);
  for (const sender of [values, bytes, opaque]) sender.close();
});

test("A message that cannot be decoded is reported once, and what came before and after it is not lost", async () => {
  using set = new IpcReceiverSet();
  const broken = openChannel<unknown>();
  const [good, goodReceiver] = channel<number>();
  const id = set.add(broken.receiver), goodId = set.add(goodReceiver);
  broken.sender.sendSync("before");
  const garbage = new Uint8Array([0x5f, 0xff, 0xff]);
  broken.ring.trySend(Message.of(garbage));
  broken.sender.sendSync("after");
  good.sendSync(1);
  const seen: [number, unknown][] = [];
  const errors: [number, string][] = [];
  while (seen.length < 3) {
    for (const event of await set.select({ timeout: patience(10_000) })) {
      if (event.type === "error") errors.push([event.id, event.error.code]);
      else seen.push([event.id, event.type === "message" ? event.value : event.type]);
    }
  }
  assertEquals(errors, [[id, "Serialization"]]);
  assertEquals(seen.filter(([of]) => of === id), [[id, "before"], [id, "after"]]);
  assertEquals(seen.filter(([of]) => of === goodId), [[goodId, 1]]);
  good.close(), broken.close();
});

test("Iteration reports everything and ends when the last member has closed", async () => {
  using set = new IpcReceiverSet();
  const ids = [[1, 2], [3], []].map((values) => set.add(channelOf(values)));
  const values: unknown[] = [], closed: number[] = [];
  for await (const event of set) {
    if (event.type === "message") values.push(event.value);
    else closed.push(event.id);
  }
  assertEquals(values.sort(), [1, 2, 3]);
  assertEquals(closed.sort(), ids.sort());
});

processTest("A set of 1000 members finds the one that is ready, and uses no thread for waiting", async () => {
  const threads = () => [...Deno.readDirSync("/proc/self/task")].length;
  using set = new IpcReceiverSet();
  const channels = Array.from({ length: 1000 }, () => channel<number>({ capacity: 65_536 }));
  const ids = channels.map(([, receiver]) => set.add(receiver));
  const before = threads();
  for (const at of [0, 500, 999, 250]) {
    const pending = set.select();
    await new Promise((resolve) => setTimeout(resolve, 0));
    assertEquals(threads(), before);
    channels[at]![0].sendSync(at);
    assertEquals(await soon(pending), [{ id: ids[at]!, type: "message", value: at }]);
    channels[at]![0].sendSync(-at);
    assertEquals(set.selectSync(), [{ id: ids[at]!, type: "message", value: -at }]);
  }
  for (const [sender] of channels) sender.close();
  let closed = 0;
  for await (const { type } of set) if (type === "closed") closed++;
  assertEquals(closed, 1000);
});

// --- Between processes -----------------------------------------------------------------------------------------------

const MIXED = [0, 1, 63, 64, 1000, 65_537, 200_000];

interface FanJob {
  readonly senders: IpcSender<[n: number, bytes: Uint8Array]>[];
}

/** Sends 100 messages of mixed sizes to each of its senders, by turns, and ends. */
export function fan({ senders }: FanJob): void {
  for (let n = 0; n < 100; n++) {
    for (const sender of senders) sender.sendSync([n, new Uint8Array(MIXED[n % MIXED.length]!).fill(n)]);
  }
}

for (const [name, select] of Object.entries(SELECT)) {
  processTest(
    `5 channels of 100 messages of mixed sizes from two processes arrive in order: ${name}`,
    async ({ start }) => {
      using set = new IpcReceiverSet();
      const channels = Array.from({ length: 5 }, () => channel<[number, Uint8Array]>({ capacity: 1 << 20 }));
      const next = new Map(channels.map(([, receiver]) => [set.add(receiver), 0]));
      await start(import.meta.url, fan, { senders: channels.slice(0, 3).map(([sender]) => sender) });
      await start(import.meta.url, fan, { senders: channels.slice(3).map(([sender]) => sender) });
      for (const [sender] of channels) sender.close();
      while (set.size > 0) {
        for (const event of await select(set)) {
          if (event.type === "closed") {
            assertEquals(next.get(event.id), 100);
            continue;
          }
          assert(event.type === "message");
          const [n, bytes] = event.value as [number, Uint8Array];
          assertEquals(n, next.get(event.id));
          assertEquals(bytes.length, MIXED[n % MIXED.length]);
          assert(bytes.every((byte) => byte === n));
          next.set(event.id, n + 1);
        }
      }
    },
  );

  processTest(`${name} reports a member whose sender is killed during the wait`, async ({ start }) => {
    using set = new IpcReceiverSet();
    const [sender, receiver] = channel<number>();
    const [other, otherReceiver] = channel<number>();
    const id = set.add(receiver);
    set.add(otherReceiver);
    const child = await start(import.meta.url, sendAndStay, { sender });
    sender.close();
    assertEquals(await select(set), [{ id, type: "message", value: 7 }]);
    void child.kill();
    assertEquals(await select(set), [{ id, type: "closed" }]);
    other.close();
  });
}

/** Sends one message and waits to be killed. */
export async function sendAndStay({ sender }: { sender: IpcSender<number> }, self: Self): Promise<void> {
  sender.sendSync(7);
  self.hear();
  await Promise.resolve();
}

/** Sends as fast as it can until the receiver is gone. */
export function flood({ sender }: { sender: IpcSender<number> }): void {
  try {
    for (let n = 0;; n++) sender.sendSync(n);
  } catch {
    // the receiver is gone
  }
}

for (const [name, select] of Object.entries(SELECT)) {
  processTest(`${name} is fair to nine members while a process floods the tenth without a pause`, async ({ start }) => {
    const set = new IpcReceiverSet();
    const [loud, flooded] = channel<number>({ capacity: 65_536 });
    const loudId = set.add(flooded);
    const others = Array.from({ length: 9 }, () => channel<number>());
    const ids = others.map(([, receiver]) => set.add(receiver));
    await start(import.meta.url, flood, { sender: loud });
    loud.close();
    let loudEvents = 0;
    for (let round = 0; round < 30; round++) {
      for (const [sender] of others) sender.sendSync(round);
      const events = [...await select(set), ...await select(set)];
      for (const id of ids) {
        assertEquals(events.filter((event) => event.id === id), [{ id, type: "message", value: round }]);
      }
      const own = events.filter(({ id }) => id === loudId).length;
      assert(own < 1000, `${own} messages of one member in a row`);
      loudEvents += own;
    }
    assert(loudEvents > 0, "and the loud one gets its turn as well");
    set.close();
    for (const [sender] of others) sender.close();
  });
}
