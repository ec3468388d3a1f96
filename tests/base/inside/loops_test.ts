// Loops that end lose nothing, and errors of one member are events of that member.
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  bytesChannel,
  channel,
  duplex,
  IpcArc,
  IpcError,
  IpcOneShotServer,
  IpcReceiverSet,
  IpcSender,
  type SelectEvent,
} from "../../../mod.ts";
import { Message } from "../../../channel/message/outgoing.ts";
import { assertIpcError, assertIpcErrorSync, soon } from "../../support/assert_ipc.ts";
import { descriptorsOf } from "../../support/leftovers.ts";
import { openChannel } from "../../support/open_channel.ts";
import { patience } from "../../support/patience.ts";
import { processTest, test } from "../../support/test.ts";

const JUNK = Message.of(new Uint8Array([0x1c]));
const turn = () => new Promise((resolve) => setTimeout(resolve, 1));

/** What the iteration over a source does, whatever the source is. */
interface Iterable {
  iterate(): AsyncIterator<unknown>;
  /** Brings one more item. */
  bring?(): void;
  /** Takes it, if it is still there. */
  take?(): unknown;
  close(): void;
  /** Closes the rest. */
  end(): void;
}

const ITERABLES: Record<string, () => Iterable> = {
  receiver() {
    const [sender, receiver] = channel<number>();
    return {
      iterate: () => receiver[Symbol.asyncIterator](),
      bring: () => sender.sendSync(1),
      take: () => receiver.recvSync({ timeout: 0 }),
      close: () => receiver.close(),
      end: () => sender.close(),
    };
  },
  "bytes receiver"() {
    const [sender, receiver] = bytesChannel();
    return {
      iterate: () => receiver.values(),
      bring: () => sender.sendSync(new Uint8Array(1)),
      take: () => receiver.recvSync({ timeout: 0 })[0]! + 1,
      close: () => receiver.close(),
      end: () => sender.close(),
    };
  },
  duplex() {
    const [here, there] = duplex<number, number>();
    return {
      iterate: () => here[Symbol.asyncIterator](),
      bring: () => there.sendSync(1),
      take: () => here.recvSync({ timeout: 0 }),
      close: () => here.close(),
      end: () => there.close(),
    };
  },
  set() {
    const [sender, receiver] = channel<number>();
    const set = new IpcReceiverSet();
    set.add(receiver);
    return {
      iterate: () => set[Symbol.asyncIterator](),
      bring: () => sender.sendSync(1),
      take: () => (set.trySelect()[0] as { value: number }).value,
      close: () => set.close(),
      end: () => sender.close(),
    };
  },
  watch() {
    const cell = IpcArc.create(`isthmus-test-${crypto.randomUUID()}`, 0);
    return { iterate: () => cell.watch()[Symbol.asyncIterator](), close: () => cell.close(), end: () => {} };
  },
};

for (const [name, make] of Object.entries(ITERABLES)) {
  test(`A loop over a ${name} ends quietly when this side closes it, before, in its body or while it waits`, async () => {
    const waiting = make(), next = waiting.iterate().next();
    await turn();
    waiting.close();
    assertEquals(await soon(next), { done: true, value: undefined });
    waiting.end();
    const inBody = make();
    if (inBody.bring !== undefined) {
      inBody.bring(), inBody.bring();
      const iterator = inBody.iterate();
      assertEquals((await soon(iterator.next())).done, false);
      inBody.close();
      assertEquals(await soon(iterator.next()), { done: true, value: undefined });
      assertEquals(await soon(inBody.iterate().next()), { done: true, value: undefined });
    }
    inBody.close(), inBody.end();
  });

  test(`return() during next() of a ${name} settles both, and takes nothing`, async () => {
    const source = make(), iterator = source.iterate();
    const next = iterator.next();
    await turn();
    assertEquals(await soon(iterator.return!()), { done: true, value: undefined });
    assertEquals(await soon(next), { done: true, value: undefined });
    source.bring?.();
    await turn();
    if (source.take !== undefined) assertEquals(source.take(), 1);
    assertEquals(await iterator.next(), { done: true, value: undefined });
    source.close(), source.end();
  });
}

test("A signal ends the loops over a receiver, a duplex and a set, while they wait and in their bodies", async () => {
  const [sender, receiver] = channel<number>();
  const [left, right] = duplex<number, number>();
  using set = new IpcReceiverSet();
  const [member, inSet] = channel<number>();
  set.add(inSet);
  for (
    const values of [receiver, right, set].map((from) => (o: { signal: AbortSignal }): AsyncIterator<unknown> =>
      from.values(o)
    )
  ) {
    const stop = new AbortController();
    const next = values(stop).next();
    await turn();
    stop.abort();
    assertEquals(await soon(next), { done: true, value: undefined });
    assertEquals(await soon(values(stop).next()), { done: true, value: undefined });
  }
  sender.sendSync(1);
  assertEquals(await receiver.recv(), 1, "what comes afterwards is not lost");
  for (const end of [sender, receiver, left, right, member]) end.close();
});

// --- Sets ------------------------------------------------------------------------------------------------------------

for (const way of ["break", "throw", "return"] as const) {
  test(`A loop over a set that is left by ${way} loses nothing, endpoints included`, async () => {
    using set = new IpcReceiverSet();
    const [sender, receiver] = channel<[number, IpcSender<number>]>();
    const id = set.add(receiver);
    const [probe, probed] = channel<number>();
    for (let n = 0; n < 100; n++) sender.sendSync([n, probe]);
    probe.close(), sender.close();
    const got: number[] = [];
    const take = (event: SelectEvent) => {
      if (event.type !== "message") return assertEquals(event, { id, type: "closed" });
      const [n, end] = event.value as [number, IpcSender<number>];
      got.push(n);
      end.close();
    };
    const once = async () => {
      for await (const event of set) {
        take(event);
        if (way === "break") break;
        if (way === "throw") throw new Error("enough");
        if (way === "return") return;
      }
    };
    for (let n = 0; n < 3; n++) await once().catch((error) => assertEquals(error.message, "enough"));
    for (const event of await set.select()) take(event);
    for (const event of set.trySelect()) take(event);
    for await (const event of set) take(event);
    assertEquals(got, Array.from({ length: 100 }, (_, n) => n));
    assertEquals(probed.tryRecv(), { state: "disconnected" });
    probed.close();
  });
}

test("After remove() or close() in a loop over a set, nothing of that member comes, and its endpoints are closed", async () => {
  using set = new IpcReceiverSet();
  const [gone, goneReceiver] = channel<IpcSender<number>>(), [stays, staysReceiver] = channel<number>();
  const id = set.add(goneReceiver), other = set.add(staysReceiver);
  const [probe, probed] = channel<number>();
  for (let n = 0; n < 10; n++) gone.sendSync(probe), stays.sendSync(n);
  probe.close(), gone.close(), stays.close();
  const seen: number[] = [];
  for await (const event of set) {
    seen.push(event.id);
    if (event.type === "message" && event.id === id) {
      (event.value as IpcSender<number>).close();
      assert(set.remove(id));
      assert(!set.remove(id));
    }
  }
  assertEquals(seen.filter((of) => of === id).length, 1);
  assertEquals(seen.filter((of) => of === other).length, 11);
  assertEquals(probed.tryRecv(), { state: "disconnected" });
  probed.close();

  const [sender, receiver] = channel<number>();
  const closing = new IpcReceiverSet();
  closing.add(receiver);
  for (let n = 0; n < 10; n++) sender.sendSync(n);
  let count = 0;
  for await (const _ of closing) {
    count++;
    closing.close();
  }
  assertEquals(count, 1);
  sender.close();
});

test("remove() of the last member ends a pending select() with Disconnected, and a loop", async () => {
  using set = new IpcReceiverSet();
  const [sender, receiver] = channel<number>();
  const id = set.add(receiver);
  const pending = assertIpcError("Disconnected", () => set.select());
  await turn();
  set.remove(id);
  await soon(pending);
  const [second, secondReceiver] = channel<number>();
  const secondId = set.add(secondReceiver);
  const next = set.values().next();
  await turn();
  set.remove(secondId);
  assertEquals(await soon(next), { done: true, value: undefined });
  sender.close(), second.close();
});

test("A member whose ring was damaged is closed and reported once, and the others are served", async () => {
  using set = new IpcReceiverSet();
  const damaged = openChannel<number>();
  const [sender, receiver] = channel<number>();
  const id = set.add(damaged.receiver), good = set.add(receiver);
  damaged.memory.words[16] = 0x33557799; // TAIL
  const events: SelectEvent[] = [];
  for (let n = 0; n < 50; n++) {
    sender.sendSync(n);
    events.push(...await soon(set.select()));
  }
  events.push(...set.trySelect());
  const errors = events.filter((event) => event.type === "error");
  assertEquals(errors.map((event) => [event.id, event.error.code]), [[id, "Corrupt"]]);
  assertEquals(events.filter((event) => event.id === good).length, 50);
  assertEquals(set.size, 1);
  sender.close(), damaged.close();
});

test("A member that fails comes after the others, with one error at a time", async () => {
  using set = new IpcReceiverSet();
  const failing = openChannel<number>(65_536);
  const [sender, receiver] = channel<number>();
  const id = set.add(failing.receiver), good = set.add(receiver);
  for (let n = 0; n < 500; n++) assert(failing.ring.trySend(JUNK));
  failing.sender.sendSync(7);
  let errors = 0, before = 0;
  for (let n = 0; n < 20; n++) {
    sender.sendSync(n);
    const events = await soon(set.select());
    assert(events.some((event) => event.id === good), "the good one is served every time");
    errors += events.filter((event) => event.type === "error").length;
    if (n > 0 && events[0]!.id === good) before++;
  }
  assertEquals(before, 19);
  assertEquals(errors, 20);
  for (let got = false; !got;) {
    for (const event of await soon(set.select())) {
      if (event.type === "error") errors++;
      else if (event.type === "message" && event.id === id) got = event.value === 7;
    }
  }
  assertEquals(errors, 500);
  sender.close(), failing.close();
});

for (const way of ["recv()", "a set"] as const) {
  test(`A flood of messages that cannot be decoded closes the receiver in the end: ${way}`, async () => {
    const flooded = openChannel<number>(65_536);
    const set = new IpcReceiverSet();
    let code = "";
    let errors = 0, ticks = 0;
    const ticking = setInterval(() => ticks++, 5);
    if (way === "a set") set.add(flooded.receiver);
    for (; code !== "Corrupt"; errors++) {
      assert(errors < 50_000);
      try {
        while (flooded.ring.trySend(JUNK));
      } catch (error) {
        assertEquals((error as IpcError).code, "Disconnected"); // just closed
      }
      if (way === "recv()") code = await flooded.receiver.recv().then(() => "", (error) => error.code);
      else for (const event of await set.select()) if (event.type === "error") code = event.error.code;
    }
    clearInterval(ticking);
    assert(errors >= 10_000, `${errors}`);
    assert(ticks > 0);
    if (way === "recv()") assert(flooded.receiver.closed);
    else assertEquals(set.size, 0);
    set.close(), flooded.close();
  });
}

// --- The rest --------------------------------------------------------------------------------------------------------

test("run() resolves when this end is closed, and its signal ends an answer that waits for room", async () => {
  const [asking, answering] = duplex<number, Uint8Array>({ capacity: 65_536 });
  const answer = new Uint8Array(60_000);
  const stop = new AbortController();
  const running = answering.run(() => answer, { signal: stop.signal });
  for (let n = 0; n < 5; n++) asking.sendSync(n);
  await turn();
  stop.abort();
  await soon(running);
  const again = answering.run(() => answer);
  for (let n = 0; n < 5; n++) asking.sendSync(n);
  await turn();
  answering.close();
  await soon(again);
  await assertIpcError("Closed", () => answering.run(() => answer));
  const [left, right] = duplex<number, number>();
  const idle = right.run((n) => n);
  await turn();
  right.close();
  await soon(idle);
  left.close(), asking.close();
});

test("An accept() of a one-shot server that runs out leaves the client for the next one", async () => {
  for (const blocking of [false, true]) {
    using server = new IpcOneShotServer<string>();
    assertEquals(server.tryAccept(), undefined);
    const sender = IpcSender.connect<string>(server.name);
    await assertIpcError(
      "Timeout",
      () => blocking ? server.acceptSync({ timeout: 20 }) : server.accept({ timeout: 20 }),
    );
    const stop = new AbortController();
    const pending = server.accept({ signal: stop.signal }).catch((error) => error);
    await turn();
    stop.abort("enough");
    assertEquals(await soon(pending), "enough");
    assertEquals(server.tryAccept(), undefined);
    sender.sendSync("hello");
    const [receiver, first] = blocking ? server.tryAccept()! : await server.accept({ timeout: patience(10_000) });
    assertEquals(first, "hello");
    sender.close(), receiver.close();
  }
});

test("A one-shot server that is closed with a client that has sent nothing lets go of it", async () => {
  const server = new IpcOneShotServer<string>();
  const sender = IpcSender.connect<string>(server.name);
  await assertIpcError("Timeout", () => server.accept({ timeout: 10 }));
  server.close();
  assertIpcErrorSync("Disconnected", () => sender.sendSync("hello"));
  await assertIpcError("Closed", () => server.accept());
  sender.close();
});

processTest("A stream that has ended, or failed, closes its end at once", async () => {
  await new Response(new ReadableStream({ start: (controller) => controller.close() })).text();
  const count = () => descriptorsOf("self").filter((link) => /^(pipe|socket|\/memfd)/.test(link)).length;
  const closed = async () => {
    for (let n = 0; n < 50 && count() > before; n++) await turn();
    assertEquals(count(), before);
  };
  const before = count();
  const [sender, receiver] = channel<number>();
  const stream = receiver.toReadableStream();
  sender.close();
  assertEquals(await Array.fromAsync(stream), []);
  await closed();

  const junk = openChannel<number>();
  junk.ring.trySend(JUNK);
  const broken = junk.receiver.toReadableStream().getReader();
  await assertRejects(() => broken.read(), IpcError);
  assert(junk.receiver.closed);
  junk.close();

  const [failing, gone] = channel<unknown>();
  const writer = failing.toWritableStream().getWriter();
  writer.closed.catch(() => {});
  await assertRejects(() => writer.write(() => {}), IpcError);
  assert(failing.closed);
  gone.close();
  await closed();
});

test("A readable stream ends quietly when its receiver is closed", async () => {
  const [sender, receiver] = channel<number>();
  const reading = receiver.toReadableStream().getReader().read();
  await turn();
  receiver.close();
  assertEquals((await soon(reading)).done, true);
  sender.close();
});
