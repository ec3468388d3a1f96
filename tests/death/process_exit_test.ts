import { assertEquals } from "@std/assert";
import { bytesChannel, channel, IpcOneShotServer, type IpcReceiver, type IpcSender } from "../../mod.ts";
import type { Self } from "../support/actor.ts";
import { assertIpcError, soon } from "../support/assert_ipc.ts";
import { descriptorsOf } from "../support/leftovers.ts";
import { patience } from "../support/patience.ts";
import { processTest } from "../support/test.ts";

/** Makes endpoints, uses and closes them. */
export async function closedEndpoints(): Promise<void> {
  const [sender, receiver] = channel<number>();
  const pending = receiver.recv();
  await sender.send(1);
  await pending;
  const waiting = receiver.recv().catch(() => {});
  sender.close(), receiver.close();
  await waiting;
}

/** Makes endpoints, has used them, and leaves them as they are. */
export async function idleEndpoints(): Promise<void> {
  const [sender, receiver] = channel<number>();
  const [bytes, byteStrings] = bytesChannel({ capacity: 65_536 });
  const pending = receiver.recv();
  await sender.send(1);
  await pending;
  await receiver.recv({ timeout: 1 }).catch(() => {});
  await receiver.recv({ signal: AbortSignal.timeout(1) }).catch(() => {});
  while (bytes.trySend(new Uint8Array(1000)));
  await bytes.send(new Uint8Array(1000), { timeout: 1 }).catch(() => {});
  const server = new IpcOneShotServer();
  await server.accept({ timeout: 1 }).catch(() => {});
  Object.assign(globalThis, { kept: [sender, receiver, bytes, byteStrings, server] });
}

/** The same, but nothing refers to them any more. */
export async function forgottenEndpoints(): Promise<void> {
  await idleEndpoints();
  Object.assign(globalThis, { kept: undefined });
}

for (const actor of [closedEndpoints, idleEndpoints, forgottenEndpoints]) {
  processTest(`A process with nothing but ${actor.name} exits by itself`, async ({ start }) => {
    const child = await start(import.meta.url, actor, null);
    assertEquals(await soon(child.status, "The process"), { success: true, code: 0, signal: null });
  });
}

/** Waits for what it is sent, and for nothing else. */
export async function awaitsOne({ receiver }: { receiver: IpcReceiver<number> }, self: Self): Promise<void> {
  self.say();
  self.say(await receiver.recv());
}

processTest(
  "A recv() that the program awaits keeps its process alive, and nothing does after it",
  async ({ start }) => {
    const [sender, receiver] = channel<number>();
    const child = await start(import.meta.url, awaitsOne, { receiver });
    await child.said();
    await new Promise((resolve) => setTimeout(resolve, patience(100)));
    await sender.send(42);
    assertEquals(await soon(child.said()), 42);
    assertEquals((await soon(child.status)).code, 0);
    sender.close();
  },
);

/** Awaits room in a full ring, and for nothing else. */
export async function awaitsRoom({ sender }: { sender: IpcSender<number> }, self: Self): Promise<void> {
  let n = 0;
  while (sender.trySend(n)) n++;
  self.say(n);
  await sender.send(n);
  self.say("sent");
}

processTest("A send() that waits for room keeps its process alive, and nothing does after it", async ({ start }) => {
  const [sender, receiver] = channel<number>({ capacity: 65_536 });
  const child = await start(import.meta.url, awaitsRoom, { sender });
  const sent = await child.said<number>();
  await new Promise((resolve) => setTimeout(resolve, patience(100)));
  for (let n = 0; n <= sent; n++) assertEquals(await soon(receiver.recv()), n);
  assertEquals(await soon(child.said()), "sent");
  assertEquals((await soon(child.status)).code, 0);
  sender.close(), receiver.close();
});

/** Forgets its sender, and collects garbage. */
export async function forgetsSender(_job: { sender: IpcSender<number> }, self: Self): Promise<void> {
  const { gc } = globalThis as unknown as { gc: () => void };
  (_job as { sender?: unknown }).sender = undefined;
  for (let i = 0; i < 20; i++) {
    gc();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  self.say();
  await new Promise((resolve) => setTimeout(resolve, patience(60_000)));
}

processTest("A sender that another process has forgotten does not hide the end", async ({ start }) => {
  const [sender, receiver] = channel<number>();
  const child = await start(import.meta.url, forgetsSender, { sender }, ["-A", "--v8-flags=--expose-gc"]);
  sender.close();
  await child.said();
  await assertIpcError("Disconnected", () => receiver.recv({ timeout: patience(10_000) }));
  receiver.close();
});

/** Uses a channel in every way, and tells how many descriptors it has, then stays. */
export async function usesEverything(_job: null, self: Self): Promise<void> {
  const [sender, receiver] = channel<unknown>({ capacity: 65_536 });
  const [other, others] = channel<unknown>();
  others.tryRecv(); // so that it has its ring
  const pending = receiver.recv();
  await sender.send({ other, big: new Uint8Array(100_000) });
  const { other: clone } = await pending as { other: IpcSender<unknown> };
  while (sender.trySend(1));
  const waiting = sender.send(2);
  receiver.recvMany();
  await waiting;
  self.say();
  self.hear();
  for (const end of [sender, receiver, other, others, clone]) end.close();
  await new Promise((resolve) => setTimeout(resolve, 0));
  self.say();
  self.hear();
}

processTest(
  "Channels have no files: neither in /dev/shm nor in the temporary directory, not even while in use",
  async ({ start }) => {
    const child = await start(import.meta.url, usesEverything, null);
    await child.said();
    const inUse = descriptorsOf(child.pid);
    assertEquals(inUse.filter((link) => /^\/(dev\/shm|tmp)\/(.*\/)?isthmus[^/]*$/.test(link)), []);
    assertEquals(inUse.filter((link) => link.startsWith("/memfd:isthmus")).length >= 3, true);
    await child.tell();
    await child.said();
    assertEquals(descriptorsOf(child.pid).filter((link) => link.startsWith("/memfd:isthmus")), []);
    await child.tell();
    await child.status;
  },
);
