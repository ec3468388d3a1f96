// A channel whose sender is sent away first begins without a ring: waits, ends and senders are those of every channel.
import { assert, assertEquals, assertRejects } from "@std/assert";
import { bytesChannel, channel, type IpcReceiver, type IpcSender } from "../../mod.ts";
import { assertIpcError, assertIpcErrorSync, soon } from "../support/assert_ipc.ts";
import { bytesSentAway, passed, ringsOpen, sentAway, times, turn } from "../support/sent_away.ts";
import { processTest, test } from "../support/test.ts";

// --- Who needs a ring, while others wait -------------------------------------------------------------------------------

type Away = ReturnType<typeof sentAway<number>>;

/** What makes the ring; resolves to what is to be closed. */
const GROWTH: Record<string, (away: Away) => Disposable[]> = {
  "the sender there sends more": () => [],
  "the sender there is cloned": ({ there }) => [there.clone()],
  "the sender there is asked for its capacity": ({ there }) => (there.capacity, []),
  "the sender there is sent on": ({ there }) => [passed(there)],
  "the sender here is asked for its capacity": ({ here }) => (here.capacity, []),
  "the sender here is cloned": ({ here }) => [here.clone()],
  "the sender here is sent away again": ({ here }) => [passed(here)],
  "the receiver is asked for its capacity": ({ receiver }) => (receiver.capacity, []),
  "the receiver gets a limit": ({ receiver }) => (receiver.limitMessages(1000), []),
  "the receiver looks for many": ({ receiver }) => (receiver.recvMany(0), []),
};

for (const [what, grow] of Object.entries(GROWTH)) {
  test(`Those who wait get their messages in order: ${what}`, async () => {
    for (const posted of [false, true]) {
      using away = sentAway<number>();
      const { there, here, receiver } = away;
      const waiting = Array.from({ length: 6 }, () => receiver.recv());
      await turn();
      if (posted) there.sendSync(0);
      const others = grow(away);
      if (!posted) there.sendSync(0);
      there.sendSync(1), here.sendSync(2), there.sendSync(3);
      await turn();
      here.sendSync(4), there.sendSync(5);
      assertEquals(await soon(Promise.all(waiting)), [0, 1, 2, 3, 4, 5]);
      for (const other of others) other[Symbol.dispose]();
    }
  });
}

test("Those who wait are told when the receiver goes elsewhere, and what was sent arrives there", async () => {
  for (const posted of [false, true]) {
    for (
      const move of [
        (receiver: IpcReceiver<number>) => passed(receiver),
        (receiver: IpcReceiver<number>) => receiver.toOpaque().to<number>(),
      ]
    ) {
      using away = sentAway<number>();
      const waiting = assertIpcError("Closed", () => away.receiver.recv());
      await turn();
      if (posted) away.there.sendSync(1), away.there.sendSync(2);
      using moved = move(away.receiver);
      // What was there before the turn of the event loop is not theirs.
      await soon(waiting);
      if (!posted) away.there.sendSync(1), away.there.sendSync(2);
      assertEquals(moved.recvMany(), [1, 2]);
      away.here.sendSync(3);
      assertEquals(moved.recvSync({ timeout: 0 }), 3);
    }
  }
});

test("A borrow that waits behind a recv() gets the message after it", async () => {
  using away = sentAway<number>();
  const first = away.receiver.recv(), second = away.receiver.borrow(), third = away.receiver.recv();
  await turn();
  for (const n of [1, 2, 3]) away.there.sendSync(n);
  using borrowed = await soon(second);
  assertEquals([await soon(first), borrowed.value, await soon(third)], [1, 2, 3]);
});

// --- Waits that end without a message ----------------------------------------------------------------------------------

test("Waits that time out, or are aborted, lose nothing, and keep nobody else from waiting", async () => {
  for (const posted of [false, true]) {
    using away = sentAway<number>();
    const { there, receiver } = away;
    if (posted) {
      there.sendSync(0);
      assertEquals(receiver.recvSync({ timeout: 0 }), 0);
    }
    await assertIpcError("Timeout", () => receiver.recv({ timeout: 0 }));
    await assertIpcError("Timeout", () => receiver.recv({ timeout: 1 }));
    assertIpcErrorSync("Timeout", () => receiver.recvSync({ timeout: 0 }));
    assertIpcErrorSync("Timeout", () => receiver.recvSync({ timeout: 1 }));
    assertEquals(receiver.tryRecv(), { state: "empty" });
    const abort = new AbortController();
    const aborted = assertRejects(() => receiver.recv({ signal: abort.signal }), DOMException);
    const short = assertIpcError("Timeout", () => receiver.recv({ timeout: 2 })), long = receiver.recv();
    await turn();
    abort.abort();
    await aborted, await short;
    there.sendSync(1);
    assertEquals(await soon(long), 1);
    there.sendSync(2);
    assertEquals(receiver.recvSync({ timeout: 0 }), 2);
  }
});

test("A loop that is left takes no message that it did not hand out", async () => {
  using away = sentAway<number>();
  const loop = away.receiver[Symbol.asyncIterator]();
  const next = loop.next();
  await turn();
  await loop.return!();
  away.there.sendSync(1);
  assertEquals(away.receiver.recvSync({ timeout: 0 }), 1);
  assertEquals((await soon(next)).done, true);
});

test("A blocking wait does not take the message away from an earlier one that waits", async () => {
  using away = sentAway<number>();
  const waiting = away.receiver.recv();
  await turn();
  assertIpcErrorSync("Timeout", () => away.receiver.recvSync({ timeout: 1 }));
  away.there.sendSync(1);
  assertEquals(await soon(waiting), 1);
  away.there.sendSync(2);
  assertEquals(await soon(away.receiver.recv()), 2);
});

// --- Ends that are closed ----------------------------------------------------------------------------------------------

/** How far a channel has got; returns what is still to be received. */
const POINTS: Record<string, (away: Away) => number[]> = {
  "before anything": () => [],
  "when something was posted": ({ there }) => (there.sendSync(1), [1]),
  "when that was received": ({ there, receiver }) => {
    there.sendSync(1);
    assertEquals(receiver.recvSync({ timeout: 0 }), 1);
    return [];
  },
  "when the sender there has made a ring": ({ there }) => (there.sendSync(1), there.sendSync(2), [1, 2]),
  "when the sender here has": ({ here, there }) => (there.sendSync(1), here.sendSync(2), [1, 2]),
  "when the receiver has": ({ there, receiver }) => (there.sendSync(1), receiver.capacity, there.sendSync(2), [1, 2]),
};

/** Receives as `for await` does: awaiting or not. */
async function receiveRest(receiver: IpcReceiver<number>, count: number, waits: boolean): Promise<number[]> {
  return await times(count, () => waits ? soon(receiver.recv()) : receiver.recvSync({ timeout: 0 }));
}

for (const [when, reach] of Object.entries(POINTS)) {
  for (const waits of [true, false]) {
    const how = waits ? "recv()" : "recvSync()";

    test(`${how} is told of the end once both senders are closed, in either order: ${when}`, async () => {
      for (const hereFirst of [true, false]) {
        using away = sentAway<number>();
        const left = reach(away);
        (hereFirst ? away.here : away.there).close();
        assertEquals(await receiveRest(away.receiver, left.length, waits), left);
        const waiting = waits ? assertIpcError("Disconnected", () => away.receiver.recv()) : undefined;
        if (waits) await turn();
        (hereFirst ? away.there : away.here).close();
        if (waiting) await soon(waiting);
        assertIpcErrorSync("Disconnected", () => away.receiver.recvSync());
        assertEquals(away.receiver.tryRecv(), { state: "disconnected" });
      }
    });

    test(`${how} waits on for the sender here when the one there is closed: ${when}`, async () => {
      using away = sentAway<number>();
      const left = reach(away);
      const waiting = waits ? Array.from({ length: left.length + 2 }, () => away.receiver.recv()) : undefined;
      if (waits) await turn();
      away.there.close();
      if (!waits) assertEquals(await receiveRest(away.receiver, left.length, false), left);
      await turn();
      assertEquals(away.receiver.tryRecv(), { state: "empty" });
      assertIpcErrorSync("Timeout", () => away.receiver.recvSync({ timeout: 1 }));
      away.here.sendSync(8), away.here.sendSync(9);
      assertEquals(await soon(waiting ? Promise.all(waiting) : receiveRest(away.receiver, 2, false)), [
        ...(waits ? left : []),
        8,
        9,
      ]);
    });
  }

  test(`Both senders are told when the receiver is closed: ${when}`, async () => {
    using away = sentAway<number>();
    reach(away);
    const waiting = away.receiver.recv().catch((error) => error.code);
    away.receiver.close();
    await turn();
    for (const sender of [away.there, away.here]) {
      assertIpcErrorSync("Disconnected", () => sender.sendSync(1));
      assertIpcErrorSync("Disconnected", () => sender.trySend(1));
      await assertIpcError("Disconnected", () => sender.send(1));
      using clone = sender.clone();
      assertIpcErrorSync("Disconnected", () => clone.sendSync(1));
    }
    assert([1, "Closed"].includes(await waiting));
  });

  test(`Ends may be closed in any order, and nothing is left: ${when}`, () => {
    for (const order of ["htr", "hrt", "thr", "trh", "rht", "rth"]) {
      using away = sentAway<number>();
      reach(away);
      for (const end of order) {
        ({ h: away.here, t: away.there, r: away.receiver })[end]!.close();
      }
    }
  });
}

test("What was posted is no backlog of a sender whose receiver is gone", () => {
  for (const receive of [true, false]) {
    using away = sentAway<number>();
    away.there.sendSync(1);
    if (receive) assertEquals(away.receiver.recvSync({ timeout: 0 }), 1);
    away.receiver.close();
    assertEquals(away.there.backlog, 0);
  }
});

test("A sender whose receiver was closed before it arrived is told at its first use, whichever that is", () => {
  const uses: ((sender: IpcSender<unknown>) => unknown)[] = [
    (sender) => sender.sendSync(1),
    (sender) => sender.trySend(1),
    (sender) => sender.sendSync(new Uint8Array(2000)),
    (sender) => sender.sendWhenEmptySync(1),
    (sender) => sender.sendSync({ own: sender }),
  ];
  for (const use of uses) {
    using away = sentAway<unknown>();
    away.receiver.close();
    assertIpcErrorSync("Disconnected", () => use(away.there));
    assertIpcErrorSync("Disconnected", () => use(away.there));
  }
});

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

test("The ring has the capacity that was asked for, whoever makes it", () => {
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
