import { assertEquals, assertThrows } from "@std/assert";
import { type Borrowed, IpcBytesReceiver, IpcBytesSender, IpcReceiver, IpcSender } from "../../mod.ts";
import type { Self } from "../support/actor.ts";
import { assertIpcError, assertIpcErrorSync } from "../support/assert_ipc.ts";
import { folderTest } from "../support/folder.ts";
import { patience } from "../support/patience.ts";

const OPTIONS = { capacity: 65_536, redeliver: true };
const SOON = { timeout: patience(20_000) };

/** Borrows so many messages, releases some of them, and dies. */
export function borrower({ path, borrow, release }: { path: string; borrow: number; release: number[] }, self: Self) {
  const receiver = IpcReceiver.create<number>(path, OPTIONS);
  const out = Array.from({ length: borrow }, () => receiver.borrowSync(SOON));
  for (const i of release) out[i]!.release();
  self.say(out.map(({ position }) => position));
  Deno.kill(Deno.pid, "SIGKILL");
}

const take = (receiver: IpcReceiver<number>) => {
  const values: number[] = [];
  for (let next: Borrowed<number> | undefined; (next = receiver.tryBorrow()) !== undefined; next.release()) {
    values.push(next.value);
  }
  return values;
};

folderTest("What a killed receiver has borrowed and not released is received again, at the same positions", async (
  { channel: path },
  { start },
) => {
  const sender = IpcSender.open<number>(path, OPTIONS);
  for (let i = 0; i < 6; i++) sender.sendSync(i);
  const first = await start(import.meta.url, borrower, { path, borrow: 4, release: [0, 2] });
  const positions = await first.said<number[]>();
  await first.status;

  const receiver = IpcReceiver.create<number>(path, OPTIONS);
  const again = receiver.tryBorrow()!;
  assertEquals([again.value, again.position], [1, positions[1]]);
  const behind = receiver.tryBorrow()!; // released before, behind one that was not
  assertEquals([behind.value, behind.position], [2, positions[2]]);
  again.release(), behind.release();
  assertEquals(take(receiver), [3, 4, 5]);
  sender.close(), receiver.close();
});

folderTest(
  "Without redelivery what a killed receiver has borrowed was received",
  async ({ channel: path }, { start }) => {
    const sender = IpcSender.open<number>(path, OPTIONS);
    for (let i = 0; i < 3; i++) sender.sendSync(i);
    {
      const receiver = IpcReceiver.create<number>(path);
      assertEquals(receiver.borrowSync(SOON).value, 0);
      receiver.close();
    }
    const killed = await start(import.meta.url, borrower, { path, borrow: 1, release: [] });
    await killed.said(), await killed.status;
    const receiver = IpcReceiver.create<number>(path);
    assertEquals(receiver.recvMany(), [1, 2]);
    sender.close(), receiver.close();
  },
);

folderTest("A receiver that is closed leaves what it has not released, and the files stay", (folder) => {
  const { channel: path } = folder;
  {
    using sender = IpcSender.open<string>(path, OPTIONS);
    sender.sendSync("kept");
  }
  const receiver = IpcReceiver.create<string>(path, OPTIONS);
  const kept = receiver.borrowSync(SOON);
  receiver.close();
  kept.release(); // too late, and harmless
  assertEquals(folder.files().length, 3);
  const next = IpcReceiver.create<string>(path, OPTIONS);
  next.borrowSync(SOON).release();
  next.close();
  assertEquals(folder.files(), []);
});

folderTest("What is received behind a borrowed message comes again with it", ({ channel: path }) => {
  const sender = IpcBytesSender.open(path, OPTIONS);
  for (let i = 0; i < 4; i++) sender.sendSync(new Uint8Array(2000).fill(i));
  const receiver = IpcBytesReceiver.create(path, OPTIONS);
  assertEquals(receiver.recvSync()[0], 0); // nothing is borrowed: received
  const out = receiver.borrowSync();
  assertEquals([out.value[1999], receiver.recvSync()[0]], [1, 2]);
  receiver.close();
  const next = IpcBytesReceiver.create(path, OPTIONS);
  assertEquals(next.recvMany().map((bytes) => bytes[0]), [1, 2, 3]);
  sender.close(), next.close();
});

folderTest("Blocks come back in order, round and round, with padding between the messages", ({ channel: path }) => {
  const sender = IpcBytesSender.open(path, OPTIONS), receiver = IpcBytesReceiver.create(path, OPTIONS);
  const out: Borrowed<Uint8Array>[] = [];
  let sent = 0, received = 0;
  const send = () => {
    const loan = sender.tryReserve(3000);
    if (loan === undefined) return false;
    loan.bytes[0] = sent++ % 251;
    if (sent % 3 === 0) loan.commit(100); // the rest becomes padding
    else loan.commit();
    return true;
  };
  for (let turn = 0; turn < 2000; turn++) {
    while (send());
    for (let next; out.length < 5 && (next = receiver.tryBorrow()) !== undefined;) {
      assertEquals(next.value[0], received++ % 251);
      out.push(next);
    }
    for (const at of [3, 1, 0, 0, 0]) out.splice(at, 1)[0]?.release();
    while (out.length > 0) out.pop()!.release();
  }
  assertEquals(sent - received < 32 && received > 9000, true);
  sender.close(), receiver.close();
});

folderTest("A ring that is full of borrowed messages is waited for, however they lie", async ({ channel: path }) => {
  const sender = IpcBytesSender.open(path, OPTIONS), receiver = IpcBytesReceiver.create(path, OPTIONS);
  for (const length of [1, 100, 1500]) {
    const out: Borrowed<Uint8Array>[] = [];
    let sent = 0;
    const fill = () => {
      while (sender.trySend(new Uint8Array(length).fill(sent % 251))) sent++;
    };
    for (let turn = 0; turn < 3; turn++) {
      fill();
      for (let next; (next = receiver.tryBorrow()) !== undefined;) {
        assertEquals([next.value.length, next.value[0]], [length, out.length % 251]);
        out.push(next);
      }
      assertEquals(out.length, sent);
      await assertIpcError("Timeout", () => receiver.borrow({ timeout: 20 }));
      assertIpcErrorSync("Timeout", () => receiver.borrowSync({ timeout: 20 }));
      const waiting = receiver.borrow(SOON);
      for (const kept of out.slice(-sent, -sent / 2)) kept.release();
      sender.sendSync(new Uint8Array(length).fill(sent++ % 251), SOON);
      const next = await waiting;
      assertEquals(next.value[0], out.length % 251);
      out.push(next);
      assertEquals(receiver.recvMany().length, 0);
    }
    for (const kept of out) kept.release();
  }
  sender.close(), receiver.close();
});

folderTest("An option that is no boolean is refused", ({ channel: path }) => {
  const redeliver = "yes" as unknown as boolean;
  assertThrows(() => IpcReceiver.create(path, { redeliver }), TypeError, '"redeliver" is true or false');
});
