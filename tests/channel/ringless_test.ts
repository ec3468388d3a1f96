// A channel whose sender is sent away first begins without a ring: waits and ends are those of every channel.
import { assert, assertEquals, assertRejects } from "@std/assert";
import type { IpcReceiver, IpcSender } from "../../mod.ts";
import { assertIpcError, assertIpcErrorSync, soon } from "../support/assert_ipc.ts";
import { passed, sentAway, times, turn } from "../support/sent_away.ts";
import { test } from "../support/test.ts";

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

test("What was posted waits until it is received, and not longer, as its sender sees it", () => {
  for (const find of ["received", "not looked at", "looked at"]) {
    using away = sentAway<number>();
    away.there.sendSync(1);
    if (find === "received") assertEquals(away.receiver.recvSync({ timeout: 0 }), 1);
    if (find === "looked at") Deno.inspect(away.receiver);
    assertEquals(away.there.backlog, find === "received" ? 0 : 64, find);
    if (find === "received") away.there.sendWhenEmptySync(2, { timeout: 0 });
    else assertIpcErrorSync("Timeout", () => away.there.sendWhenEmptySync(2, { timeout: 1 }));
    away.there.sendSync(3);
    assertEquals(away.receiver.recvMany(), find === "received" ? [2, 3] : [1, 3], find);
  }
});

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
