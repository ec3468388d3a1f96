// How named channels wait, on both sides.
import { assert, assertEquals } from "@std/assert";
import { IpcBytesReceiver, IpcBytesSender, IpcReceiver, IpcSender } from "../../mod.ts";
import { assertIpcError, soon } from "../support/assert_ipc.ts";
import { folderTest } from "../support/folder.ts";
import { asleep, type Message, NAMED, numbered, receiveNumbers, sendNumbers } from "../support/named.ts";

for (const way of ["recv", "recvSync", "borrow", "borrowSync"] as const) {
  folderTest(`${way}() asleep in another process is woken by each message`, async ({ channel: path }, { start }) => {
    using sender = IpcSender.open<Message>(path);
    const child = await start(NAMED, receiveNumbers, { path, way, count: 20 });
    assertEquals(await child.said(), "ready");
    for (let n = 0; n < 20; n++) {
      await asleep(path, "receiver");
      if (n % 2 === 0) sender.sendSync(["here", n]);
      else await sender.send(["here", n]);
      assertEquals(await soon(child.said()), ["here", n]);
    }
    assertEquals((await soon(child.status)).code, 0);
  });
}

for (const way of ["send", "sendSync"] as const) {
  folderTest(
    `${way}() asleep in two other processes is woken when there is room`,
    async ({ channel: path }, { start }) => {
      using receiver = IpcReceiver.create<Message>(path, { capacity: 65_536 });
      const senders = await Promise.all(
        ["a", "b"].map((from) => start(NAMED, sendNumbers, { path, from, count: 3000, way })),
      );
      const received: Message[] = [];
      await asleep(path, "sender");
      while (received.length < 6000) received.push(await soon(receiver.recv()));
      for (const sender of senders) assertEquals((await soon(sender.status)).code, 0);
      for (const from of ["a", "b"]) assertEquals(received.filter(([who]) => who === from), numbered(from, 3000));
    },
  );
}

folderTest("sendWhenEmpty() of another process waits until all earlier messages were received", async (
  { channel: path },
  { start },
) => {
  using receiver = IpcReceiver.create<Message>(path);
  const child = await start(NAMED, sendNumbers, { path, from: "a", count: 3, way: "sendWhenEmpty" });
  for (let n = 0; n < 3; n++) {
    if (n < 2) await asleep(path, "sender");
    const received = receiver.recvMany(1); // one: the next is sent as soon as it is received
    assertEquals(received.length > 0 ? received : [await soon(receiver.recv())], [["a", n]]);
  }
  assertEquals(await soon(child.said()), "sent");
});

folderTest("Waiting ends at the timeout on both sides, and nothing is lost by it", async ({ channel: path }) => {
  using receiver = IpcBytesReceiver.create(path, { capacity: 65_536 });
  using sender = IpcBytesSender.open(path);
  const timeout = 20, half = new Uint8Array(40_000);
  const late = async (act: () => unknown) => {
    const before = performance.now();
    await assertIpcError("Timeout", act);
    assert(performance.now() - before >= timeout - 1);
  };
  await late(() => receiver.recv({ timeout }));
  await late(() => receiver.recvSync({ timeout }));
  await late(() => receiver.borrow({ timeout }));
  await late(() => receiver.borrowSync({ timeout }));
  sender.sendSync(half);
  await late(() => sender.send(half, { timeout }));
  await late(() => sender.sendSync(half, { timeout }));
  await late(() => sender.sendWhenEmpty(half, { timeout }));
  await late(() => sender.reserve(40_000, { timeout }));
  await late(() => sender.reserveSync(40_000, { timeout }));
  for (const when of [0, 1]) {
    const abort = new AbortController();
    const wait = when === 0 ? sender.send(half, { signal: abort.signal }) : receiver.recv({ signal: abort.signal });
    if (when === 0) {
      abort.abort("enough");
      assertEquals(await wait.catch((reason) => reason), "enough");
      assertEquals(receiver.recvMany().length, 1);
    } else {
      abort.abort("enough");
      assertEquals(await wait.catch((reason) => reason), "enough");
    }
  }
  sender.sendSync(half);
  assertEquals(receiver.recvSync({ timeout: 0 }).length, half.length);
});
