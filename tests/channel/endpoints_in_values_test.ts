import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  bytesChannel,
  channel,
  type IpcBytesReceiver,
  type IpcBytesSender,
  IpcFd,
  type IpcReceiver,
  type IpcSender,
  OpaqueIpcReceiver,
  OpaqueIpcSender,
  UnixSocket,
} from "../../mod.ts";
import { assertIpcError, assertIpcErrorSync, soon } from "../support/assert_ipc.ts";
import { patience } from "../support/patience.ts";
import { test } from "../support/test.ts";

// deno-lint-ignore no-explicit-any -- values of any shape go through
type Anything = any;

test("A sender in a value is cloned: both send to the same receiver, which outlives neither", async () => {
  const [carrier, arrivals] = channel<{ reply: IpcSender<string> }>();
  const [reply, replies] = channel<string>();
  carrier.sendSync({ reply });
  const { reply: clone } = arrivals.recvSync({ timeout: 0 });
  clone.sendSync("from the clone");
  reply.sendSync("from the original");
  assertEquals(replies.recvMany(), ["from the clone", "from the original"]);
  reply.close();
  assertEquals(replies.tryRecv(), { state: "empty" });
  clone.close();
  await assertIpcError("Disconnected", () => replies.recv());
  carrier.close(), arrivals.close(), replies.close();
});

test("A receiver in a value moves with its backlog, and the local one is closed", async () => {
  const [carrier, arrivals] = channel<IpcReceiver<number>>();
  const [sender, receiver] = channel<number>();
  for (let n = 0; n < 10; n++) sender.sendSync(n);
  assertEquals(receiver.recvSync({ timeout: 0 }), 0);
  await carrier.send(receiver);
  assert(receiver.closed);
  assertIpcErrorSync("Closed", () => receiver.tryRecv());
  receiver.close(); // harmless
  sender.sendSync(10);
  const moved = arrivals.recvSync({ timeout: 0 });
  assertEquals(moved.recvMany(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  sender.close();
  await assertIpcError("Disconnected", () => moved.recv());
  carrier.close(), arrivals.close(), moved.close();
});

test("A receiver that has already received, in every way there is, can be sent on and goes on where it stopped", async () => {
  const [carrier, arrivals] = channel<IpcReceiver<number>>();
  const [sender, first] = channel<number>();
  const WAYS: ((receiver: IpcReceiver<number>) => unknown)[] = [
    (receiver) => receiver.recv(),
    (receiver) => receiver.recvSync(),
    (receiver) => (receiver.tryRecv() as { value: number }).value,
    (receiver) => receiver.recvMany(1)[0],
    (receiver) => {
      using borrowed = receiver.borrowSync();
      return borrowed.value;
    },
    async (receiver) => {
      const waiting = receiver.recv({ timeout: patience(10_000) });
      sender.sendSync(n + WAYS.length);
      return await waiting;
    },
  ];
  let receiver = first;
  let n = 0;
  for (; n < WAYS.length; n++) {
    if (n < WAYS.length - 1) sender.sendSync(n);
    const got = await soon(Promise.resolve(WAYS[n]!(receiver)));
    assertEquals(got, n < WAYS.length - 1 ? n : n + WAYS.length);
    carrier.sendSync(receiver);
    assert(receiver.closed);
    receiver = arrivals.recvSync({ timeout: 0 });
  }
  assertEquals(receiver.tryRecv(), { state: "empty" });
  sender.close();
  await assertIpcError("Disconnected", () => receiver.recv());
  carrier.close(), arrivals.close(), receiver.close();
});

test("A receiver that is lost with an unread message is Disconnected for its senders", async () => {
  const [carrier, arrivals] = channel<IpcReceiver<number>>();
  const [sender, receiver] = channel<number>({ capacity: 65_536 });
  while (sender.trySend(0));
  const waiting = assertIpcError("Disconnected", () => sender.send(1));
  carrier.sendSync(receiver);
  arrivals.close();
  await soon(waiting, "The send to a receiver that is lost");
  assertIpcErrorSync("Disconnected", () => sender.sendSync(1));
  carrier.close(), sender.close();
});

test("A sender that waits for room is served by the receiver at its new place", async () => {
  const [carrier, arrivals] = channel<IpcReceiver<number>>();
  const [sender, receiver] = channel<number>({ capacity: 65_536 });
  let sent = 0;
  while (sender.trySend(sent)) sent++;
  const waiting = sender.send(sent);
  carrier.sendSync(receiver);
  const moved = arrivals.recvSync({ timeout: 0 });
  for (let n = 0; n < sent; n++) assertEquals(moved.recvSync({ timeout: 0 }), n);
  await soon(waiting, "The send that waits for room");
  assertEquals(moved.recvSync({ timeout: 0 }), sent);
  for (const end of [carrier, arrivals, sender, moved]) end.close();
});

test("A receiver moves with descriptors that it had read ahead of their messages", () => {
  const [carrier, arrivals] = channel<IpcReceiver<Anything>>();
  const [a, receiver] = channel<Anything>({ capacity: 65_536 });
  const [reply, replies] = channel<number>();
  // A message with an endpoint behind others; a sender that waits for room makes the receiver read its socket ahead.
  let before = 0;
  while (before < 100) a.sendSync(before++);
  a.sendSync({ reply });
  while (a.trySend(before)) before++;
  const late = a.send({ reply });
  receiver.recvSync({ timeout: 0 });
  carrier.sendSync(receiver);
  const moved = arrivals.recvSync({ timeout: 0 });
  const replied = () => {
    for (;;) {
      const message = moved.recvSync({ timeout: 0 });
      if (typeof message === "object") return message.reply as IpcSender<number>;
    }
  };
  const first = replied();
  first.sendSync(1);
  assertEquals(replies.recvSync({ timeout: 0 }), 1);
  return soon(late).then(() => {
    const second = replied();
    second.sendSync(2);
    assertEquals(replies.recvSync({ timeout: 0 }), 2);
    for (const end of [carrier, arrivals, a, moved, reply, replies, first, second]) end.close();
  });
});

test("Every kind of endpoint stands anywhere inside a value", () => {
  const [carrier, arrivals] = channel<Anything>();
  const [sender, receiver] = channel<number>();
  const [bytes, byteStrings] = bytesChannel();
  const [opaque, opaques] = channel<number>();
  const [left, right] = UnixSocket.pair();
  const fd = new IpcFd(left.takeFd());
  const opaqueSender = opaque.toOpaque(), opaqueReceiver = opaques.toOpaque();
  carrier.sendSync({
    list: [1, [sender, { deep: receiver }]],
    map: new Map<unknown, unknown>([["bytes", bytes], [bytes, "as a key"]]),
    set: new Set([byteStrings]),
    opaqueSender,
    opaqueReceiver,
    fd,
    date: new Date(5),
  });
  assert(receiver.closed && byteStrings.closed && opaqueReceiver.closed);
  assert(!sender.closed && !bytes.closed && !opaqueSender.closed && !fd.closed);

  const value = arrivals.recvSync({ timeout: 0 });
  const [, [sender2, { deep: receiver2 }]] = value.list as [number, [IpcSender<number>, { deep: IpcReceiver<number> }]];
  sender2.sendSync(1), sender.sendSync(2);
  assertEquals(receiver2.recvMany(), [1, 2]);
  const bytes2 = value.map.get("bytes") as IpcBytesSender;
  assertEquals(value.map.get(bytes2), "as a key", "the same endpoint twice is the same object");
  const [byteStrings2] = value.set as Set<IpcBytesReceiver>;
  bytes2.sendSync(new Uint8Array([7]));
  assertEquals(byteStrings2!.recvSync({ timeout: 0 }), new Uint8Array([7]));
  assert(value.opaqueSender instanceof OpaqueIpcSender && value.opaqueReceiver instanceof OpaqueIpcReceiver);
  const numbers = value.opaqueSender.to(), received = value.opaqueReceiver.to();
  numbers.sendSync(3);
  assertEquals(received.recvSync({ timeout: 0 }), 3);
  assert(value.fd instanceof IpcFd && value.fd.fd !== fd.fd);
  assertEquals(value.date, new Date(5));

  const all = [carrier, arrivals, sender, sender2, receiver2, bytes, bytes2, byteStrings2!, numbers, received];
  for (const end of [...all, opaqueSender, fd, value.fd, right]) end.close();
});

test("One sender by three paths of a value arrives as one object, in two values as two", () => {
  const [carrier, arrivals] = channel<Anything>();
  const [sender, receiver] = channel<number>();
  carrier.sendSync({ a: sender, b: [sender], c: new Map([[1, sender]]) });
  carrier.sendSync(sender);
  const value = arrivals.recvSync({ timeout: 0 });
  assert(value.a === value.b[0] && value.a === value.c.get(1));
  const other = arrivals.recvSync({ timeout: 0 });
  assert(other !== value.a);
  value.a.sendSync(1), other.sendSync(2);
  value.a.close();
  other.sendSync(3);
  assertEquals(receiver.recvMany(), [1, 2, 3]);
  for (const end of [carrier, arrivals, sender, receiver, other]) end.close();
});

test("A message of 300 endpoints, more than one packet of the socket carries, arrives whole", () => {
  const [carrier, arrivals] = channel<Anything>();
  const [sender, receiver] = channel<number>();
  const clones = Array.from({ length: 300 }, () => sender.clone());
  carrier.sendSync(clones);
  const received = arrivals.recvSync({ timeout: 0 }) as IpcSender<number>[];
  assertEquals(received.length, 300);
  received[299]!.sendSync(299);
  assertEquals(receiver.recvSync({ timeout: 0 }), 299);
  for (const end of [carrier, arrivals, sender, receiver, ...clones, ...received]) end.close();
});

test("An unread message with endpoints is closed with its receiver", async () => {
  const [carrier, arrivals] = channel<Anything>();
  const [sender, receiver] = channel<number>();
  carrier.sendSync([sender, "and some descriptors that were read"]);
  arrivals.close();
  sender.close();
  await assertIpcError("Disconnected", () => receiver.recv({ timeout: patience(10_000) }));
  carrier.close(), receiver.close();
});

test("A closed endpoint in a value is refused with Closed, and nothing is sent", () => {
  const [carrier, arrivals] = channel<Anything>();
  const [sender, receiver] = channel<number>();
  const [sender2, receiver2] = channel<number>();
  sender.close(), receiver2.close();
  assertIpcErrorSync("Closed", () => carrier.sendSync([receiver, sender]));
  assertIpcErrorSync("Closed", () => carrier.sendSync([receiver, receiver2]));
  assert(!receiver.closed);
  assertEquals(arrivals.tryRecv(), { state: "empty" });
  for (const end of [carrier, arrivals, receiver, sender2]) end.close();
});

// --- What is not sent stays ------------------------------------------------------------------------------------------

test("When encoding fails every endpoint in the value still belongs to the caller", async () => {
  const [carrier, arrivals] = channel<Anything>();
  const [sender, receiver] = channel<number>();
  sender.sendSync(1);
  const bad = { receiver, sender, deep: [{ oops: () => {} }] };
  for (
    const send of [
      () => carrier.sendSync(bad),
      () => carrier.trySend(bad),
      () => carrier.send(bad),
      () => carrier.sendWhenEmpty(bad),
    ]
  ) {
    const error = await assertIpcError("Serialization", send);
    assert(error.message.includes("value.deep[0].oops"), error.message);
  }
  assertEquals(arrivals.tryRecv(), { state: "empty" });
  assertEquals(receiver.recvSync({ timeout: 0 }), 1);
  sender.sendSync(2);
  assertEquals(await receiver.recv({ timeout: patience(10_000) }), 2);
  for (const end of [carrier, arrivals, sender, receiver]) end.close();
});

test("A recv() that waits goes on waiting when sending its receiver away fails", async () => {
  const [carrier, arrivals] = channel<Anything>();
  const [sender, receiver] = channel<number>();
  const pending = receiver.recv();
  await new Promise((resolve) => setTimeout(resolve, 0));
  assertIpcErrorSync("Serialization", () => carrier.sendSync([receiver, () => {}]));
  sender.sendSync(1);
  assertEquals(await soon(pending, "The pending recv()"), 1);
  for (const end of [carrier, arrivals, sender, receiver]) end.close();
});

test("A recv() that waits rejects with Closed when its receiver is sent away", async () => {
  const [carrier, arrivals] = channel<Anything>();
  const [sender, receiver] = channel<number>();
  const pending = assertIpcError("Closed", () => receiver.recv());
  const timed = assertIpcError("Closed", () => receiver.recv({ timeout: patience(60_000) }));
  carrier.sendSync(receiver);
  await soon(Promise.all([pending, timed]));
  const moved = arrivals.recvSync({ timeout: 0 }) as IpcReceiver<number>;
  const next = moved.recv();
  sender.sendSync(1);
  assertEquals(await soon(next), 1);
  for (const end of [carrier, arrivals, sender, moved]) end.close();
});

test("A receiver in a message that waits for room cannot be used, and comes back when the send is given up", async () => {
  const [carrier, arrivals] = channel<Anything>({ capacity: 65_536 });
  const [sender, receiver] = channel<number>();
  while (carrier.trySend(0));
  assert(!carrier.trySend(receiver));
  assertIpcErrorSync("Timeout", () => carrier.sendSync(receiver, { timeout: 5 }));
  await assertIpcError("Timeout", () => carrier.send(receiver, { timeout: 0 }));
  assert(!receiver.closed);
  const abort = new AbortController();
  const waiting = carrier.send(receiver, { signal: abort.signal }).catch((error) => error.name);
  assertIpcErrorSync("Closed", () => receiver.tryRecv());
  sender.sendSync(1);
  abort.abort();
  assertEquals(await soon(waiting), "AbortError");
  assertEquals(receiver.recvSync({ timeout: 0 }), 1);

  const sent = carrier.send(receiver);
  sender.sendSync(2);
  arrivals.recvMany();
  await soon(sent);
  const moved = arrivals.recvSync({ timeout: 0 }) as IpcReceiver<number>;
  assertEquals(moved.recvSync({ timeout: 0 }), 2);
  for (const end of [carrier, arrivals, sender, moved]) end.close();
});

test("A receiver that is closed while the message with it waits is gone for its senders", async () => {
  const [carrier, arrivals] = channel<Anything>({ capacity: 65_536 });
  const [sender, receiver] = channel<number>();
  while (carrier.trySend(0));
  const abort = new AbortController();
  const waiting = carrier.send(receiver, { signal: abort.signal }).catch((error) => error.name);
  receiver.close();
  abort.abort();
  assertEquals(await soon(waiting), "AbortError");
  assertIpcErrorSync("Disconnected", () => sender.sendSync(1));
  for (const end of [carrier, arrivals, sender]) end.close();
});

test("Endpoints that are closed while the message with them waits arrive all the same", async () => {
  const [carrier, arrivals] = channel<Anything>({ capacity: 65_536 });
  const [sender, receiver] = channel<number>();
  const [left, right] = UnixSocket.pair();
  const fd = new IpcFd(left.takeFd());
  while (carrier.trySend(0));
  const waiting = carrier.send([sender, receiver, fd]);
  sender.close(), receiver.close(), fd.close();
  // Their descriptors' numbers are in use again by the time there is room.
  const others = channel<number>();
  arrivals.recvMany();
  await soon(waiting);
  const [sender2, receiver2, fd2] = arrivals.recvSync({ timeout: 0 });
  sender2.sendSync(1);
  assertEquals(receiver2.recvSync({ timeout: 0 }), 1);
  assert(fd2 instanceof IpcFd);
  for (const end of [carrier, arrivals, sender2, receiver2, fd2, right, ...others]) end.close();
});

test("A receiver twice in one value is one, and two values with it are an error", () => {
  const [carrier, arrivals] = channel<Anything>();
  const [sender, receiver] = channel<number>();
  carrier.sendSync([receiver, receiver]);
  const [one, two] = arrivals.recvSync({ timeout: 0 }) as IpcReceiver<number>[];
  assert(one === two);
  assertIpcErrorSync("Closed", () => carrier.sendSync(receiver));
  sender.sendSync(1);
  assertEquals(one!.recvSync({ timeout: 0 }), 1);
  for (const end of [carrier, arrivals, sender, one!]) end.close();
});

test("A getter that sends a message with endpoints disturbs neither message", () => {
  const [carrier, arrivals] = channel<Anything>();
  const [inner, innerArrivals] = channel<Anything>();
  const [a, as] = channel<number>();
  const [b, bs] = channel<number>();
  const value = {
    before: a,
    get chatty() {
      inner.sendSync({ b, text: "x".repeat(1000) });
      return { from: "getter", b };
    },
    after: [a, new Date(0)],
  };
  carrier.sendSync(value);
  const outer = arrivals.recvSync({ timeout: 0 });
  const nested = innerArrivals.recvSync({ timeout: 0 });
  assertEquals(outer.chatty.from, "getter");
  assertEquals(nested.text, "x".repeat(1000));
  outer.before.sendSync(1), outer.chatty.b.sendSync(2), nested.b.sendSync(3);
  assert(outer.before === outer.after[0]);
  assertEquals([as.recvMany(), bs.recvMany()], [[1], [2, 3]]);
  const all = [carrier, arrivals, inner, innerArrivals, a, as, b, bs, outer.before, outer.chatty.b, nested.b];
  for (const end of all) end.close();
});

test("A getter that throws leaves the channel and the endpoints usable", () => {
  const [carrier, arrivals] = channel<Anything>();
  const [sender, receiver] = channel<number>();
  const angry = {
    get no() {
      throw new Error("no");
    },
  };
  assertIpcErrorSync("Serialization", () => carrier.sendSync([receiver, angry]));
  carrier.sendSync(receiver);
  const moved = arrivals.recvSync({ timeout: 0 }) as IpcReceiver<number>;
  sender.sendSync(1);
  assertEquals(moved.recvSync({ timeout: 0 }), 1);
  for (const end of [carrier, arrivals, sender, moved]) end.close();
});

test("A bytes channel refuses what is no Uint8Array with a TypeError, and a typed message with Serialization", () => {
  const [bytes, byteStrings] = bytesChannel();
  assertThrows(() => bytes.sendSync("text" as Anything), TypeError);
  assertThrows(() => bytes.trySend(new Uint16Array(1) as Anything), TypeError);
  assertThrows(() => bytes.sendSync(undefined as Anything), TypeError);
  assertEquals(byteStrings.tryRecv(), { state: "empty" });
  bytes.close(), byteStrings.close();
});

test("Endpoints beside values of every kind arrive, and what is taken back on the way is still its owner's", () => {
  const [to, from] = channel<Anything>();
  // What comes behind an endpoint decides how the message is written, so the endpoint may be packed twice.
  const others: (() => unknown)[] = [
    () => 1,
    () => new Map([[1, new Set([2])]]),
    () => new Date(0),
    () => Object.create(null, { a: { value: 1, enumerable: true } }),
    () => ({ __proto__: null, x: -0 }),
    () => JSON.parse('{"__proto__": 5}'),
    () => [new Float16Array([1]), 2n ** 70n],
  ];
  for (const other of others) {
    const [sender, receiver] = channel<Anything>();
    const [inner, innerReceiver] = channel<number>();
    sender.sendSync({ early: inner }); // so that the receiver has something to hand over
    to.sendSync({ sender, receiver, other: other(), again: other() });
    assert(receiver.closed);
    const got = from.recvSync({ timeout: 0 }) as { sender: IpcSender<number>; receiver: IpcReceiver<Anything> };
    got.sender.sendSync(2);
    (got.receiver.recvSync({ timeout: 0 }) as { early: IpcSender<number> }).early.close();
    assertEquals(got.receiver.recvSync({ timeout: 0 }), 2 as Anything);
    for (const end of [sender, inner, innerReceiver, got.sender, got.receiver]) end.close();
  }
  // And where nothing can be written.
  const [sender, receiver] = channel<number>();
  for (const refused of [() => {}, Symbol("no"), new WeakMap(), Promise.resolve()]) {
    assertIpcErrorSync("Serialization", () => to.sendSync({ sender, receiver, refused }));
    sender.sendSync(3);
    assertEquals(receiver.recvSync({ timeout: 0 }), 3);
  }
  assertEquals(from.tryRecv(), { state: "empty" });
  for (const end of [to, from, sender, receiver]) end.close();
});
