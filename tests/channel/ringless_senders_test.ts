// A channel whose sender is sent away first begins without a ring: several senders, and messages that are not sent.
import { assert, assertEquals, assertRejects } from "@std/assert";
import { bytesChannel, channel, type IpcSender } from "../../mod.ts";
import { assertIpcError, assertIpcErrorSync, soon } from "../support/assert_ipc.ts";
import { bytesSentAway, passed, ringsOpen, sentAway, turn } from "../support/sent_away.ts";
import { processTest, test } from "../support/test.ts";

// --- More than one sender ----------------------------------------------------------------------------------------------

test("A sender that is sent several times, in one value or in many, is one channel, in order", () => {
  for (const posted of [false, true]) {
    const [here, receiver] = channel<number>();
    const twice = passed({ a: here, b: here, c: [here] });
    const third = passed({ here }).here;
    const all = [twice.a, twice.b, twice.c[0]!, third, here];
    if (posted) twice.a.sendSync(-1);
    for (let n = 0; n < 20; n++) all[n % all.length]!.sendSync(n);
    const expected = Array.from({ length: 20 }, (_, n) => n);
    assertEquals(receiver.recvMany(), posted ? [-1, ...expected] : expected);
    for (const end of all) end.close();
    assertEquals(receiver.tryRecv(), { state: "disconnected" });
    receiver.close();
  }
});

test("A sender that goes on unused, again and again, is the same channel", async () => {
  for (const uses of [0, 1, 2]) {
    using away = sentAway<number>();
    const waiting = Array.from({ length: uses + 2 }, () => away.receiver.recv());
    let { there } = away;
    for (let n = 0; n < uses; n++) there.sendSync(n);
    for (let hop = 0; hop < 3; hop++) {
      const next = passed([there])[0]!;
      there.close();
      there = next;
    }
    there.sendSync(uses), there.sendSync(uses + 1);
    assertEquals(await soon(Promise.all(waiting)), Array.from({ length: uses + 2 }, (_, n) => n));
    there.close(), away.here.close();
    assertEquals(away.receiver.tryRecv(), { state: "disconnected" });
  }
});

test("The sender of a channel may travel through that channel itself", () => {
  const [here, receiver] = channel<unknown>();
  here.sendSync({ here });
  const { here: there } = receiver.recvSync({ timeout: 0 }) as { here: typeof here };
  there.sendSync(1);
  assertEquals(receiver.recvSync({ timeout: 0 }), 1);
  const away = passed({ here }).here;
  away.sendSync({ away });
  const { away: again } = receiver.recvSync({ timeout: 0 }) as { away: typeof here };
  again.sendSync(2);
  assertEquals(receiver.recvSync({ timeout: 0 }), 2);
  for (const end of [here, there, away, again, receiver]) end.close();
});

test("A getter that sends by the sender that its value goes through sends first", () => {
  using away = sentAway<unknown>();
  away.there.sendSync({
    get inner() {
      away.there.sendSync("first");
      return 1;
    },
  });
  assertEquals(away.receiver.recvMany(), ["first", { inner: 1 }]);
});

// --- Messages that are not sent ----------------------------------------------------------------------------------------

test("A message that is not sent leaves the sender in it with its owner, and the channel as it was", async () => {
  const [full, fullReceiver] = channel<unknown>({ capacity: 65_536 });
  while (full.trySend(0));
  const [carrier, arrivals] = channel<unknown>();
  const abort = new AbortController();
  const failures: ((sender: IpcSender<number>) => unknown)[] = [
    (sender) => assert(!full.trySend({ sender })),
    (sender) => assertIpcErrorSync("Timeout", () => full.sendSync({ sender }, { timeout: 0 })),
    (sender) => assertIpcError("Timeout", () => full.send({ sender }, { timeout: 1 })),
    (sender) => {
      const waiting = assertRejects(() => full.send({ sender }, { signal: abort.signal }), DOMException);
      abort.abort();
      return waiting;
    },
    (sender) => assertIpcErrorSync("Serialization", () => carrier.sendSync({ sender, no: () => {} })),
    (sender) => assertIpcErrorSync("Serialization", () => carrier.sendSync([sender, sender, () => {}])),
  ];
  for (const fail of failures) {
    const [sender, receiver] = channel<number>();
    for (let n = 0; n < 2; n++) await fail(sender);
    const waiting = receiver.recv();
    await turn();
    await fail(sender);
    const there = passed({ sender }).sender;
    there.sendSync(1), sender.sendSync(2);
    assertEquals([await soon(waiting), receiver.recvSync({ timeout: 0 })], [1, 2]);
    for (const end of [there, sender, receiver]) end.close();
  }
  for (const fail of failures.slice(0, 2)) { // nor does the channel need to be used again
    const [sender, receiver] = channel<number>();
    fail(sender);
    sender.close();
    assertEquals(receiver.tryRecv(), { state: "disconnected" });
    receiver.close();
  }
  for (const end of [full, fullReceiver, carrier, arrivals]) end.close();
});

test("A sender in a message that waits for room arrives with it, whatever is done meanwhile", async () => {
  for (const meanwhile of ["nothing", "the sender here sends", "the receiver waits", "all is closed here"]) {
    const [full, fullReceiver] = channel<unknown>({ capacity: 65_536 });
    while (full.trySend(0));
    const [here, receiver] = channel<number>();
    const sending = full.send({ here });
    await turn();
    const waiting = meanwhile === "the receiver waits" ? receiver.recv() : undefined;
    if (waiting) await turn();
    if (meanwhile === "the sender here sends") here.sendSync(1);
    if (meanwhile === "all is closed here") here.close(), receiver.close();
    let last: unknown;
    while (typeof last !== "object") last = await soon(fullReceiver.recv());
    await soon(sending);
    const { here: there } = last as { here: typeof here };
    if (meanwhile === "all is closed here") assertIpcErrorSync("Disconnected", () => there.sendSync(1));
    else {
      if (meanwhile !== "the sender here sends") there.sendSync(1);
      there.sendSync(2);
      assertEquals([await soon(waiting ?? receiver.recv()), await soon(receiver.recv())], [1, 2]);
    }
    for (const end of [full, fullReceiver, here, receiver, there]) end.close();
  }
});

test("A sender in a message that nobody receives is gone with it", async () => {
  const [carrier, arrivals] = channel<unknown>(), [here, receiver] = channel<number>();
  carrier.sendSync({ here });
  here.close();
  const waiting = assertIpcError("Disconnected", () => receiver.recv());
  await turn();
  arrivals.close();
  await soon(waiting);
  carrier.close(), receiver.close();
});

test("A message that cannot be encoded, or is none for bytes, sends nothing", () => {
  using away = sentAway<unknown>(), bytes = bytesSentAway();
  for (let n = 0; n < 2; n++) {
    assertIpcErrorSync("Serialization", () => away.there.sendSync(() => {}));
    try {
      bytes.there.sendSync("text" as unknown as Uint8Array);
      throw new Error("It was sent");
    } catch (error) {
      assert(error instanceof TypeError);
    }
    assertEquals([away.receiver.tryRecv().state, bytes.receiver.tryRecv().state], ["empty", "empty"]);
    away.there.sendSync(n), bytes.there.sendSync(Uint8Array.of(n));
    assertEquals([away.receiver.recvSync({ timeout: 0 }), bytes.receiver.recvSync({ timeout: 0 })[0]], [n, n]);
  }
});

test("A message that cannot be decoded is an error for its receiver alone, and the next arrives", async () => {
  using away = bytesSentAway(); // the bytes are no CBOR for a receiver of values
  const [sender, receiver] = bytesChannel();
  sender.close(), receiver.close();
  const { EncodedMessage } = await import("../../mod.ts");
  using values = sentAway<unknown>();
  using junk = new EncodedMessage(new Uint8Array([0x1c]), []);
  values.there.sendEncodedSync(junk);
  values.there.sendSync("next");
  await assertIpcError("Serialization", () => values.receiver.recv());
  assertEquals(await soon(values.receiver.recv()), "next");
  away.there.sendSync(Uint8Array.of(0x1c));
  assertEquals(away.receiver.recvSync({ timeout: 0 }), Uint8Array.of(0x1c));
});

test("A limit holds for a message that was posted, or will be, whenever it was set", async () => {
  for (const moment of ["with the channel", "before", "after", "while it waits"]) {
    const options = moment === "with the channel" ? { maxMessageBytes: 100 } : {};
    const [here, receiver] = channel<unknown>(options);
    if (moment === "before") receiver.limitMessages(100);
    const there = passed([here])[0]!;
    const waiting = moment === "while it waits" ? receiver.recv() : undefined;
    if (waiting) await turn(), receiver.limitMessages(100);
    there.sendSync("x".repeat(500));
    if (moment === "after") receiver.limitMessages(100);
    await assertIpcError("TooLarge", () => soon(waiting ?? receiver.recv()));
    there.sendSync("short");
    assertEquals(await soon(receiver.recv()), "short");
    for (const end of [here, there, receiver]) end.close();
  }
});

test("The ring has the capacity that was asked for, on whichever side it is made", () => {
  for (const capacity of [1, 65_536, 100_000, 1 << 20]) {
    for (const who of ["there", "here", "receiver"] as const) {
      using away = sentAway<number>({ capacity });
      away.there.sendSync(1);
      const made = away[who].capacity;
      assertEquals([away.there.capacity, away.here.capacity, away.receiver.capacity], [made, made, made]);
      assertEquals(made, Math.max(65_536, 2 ** Math.ceil(Math.log2(capacity))));
      assertEquals(away.receiver.recvMany(), [1]);
    }
  }
});

processTest("Ends that were sent away unused are printed without being used", () => {
  const before = ringsOpen();
  using away = sentAway<number>();
  for (const end of [away.there, away.here, away.receiver]) assert(Deno.inspect(end).includes("open"));
  assertEquals(ringsOpen(), before);
});
