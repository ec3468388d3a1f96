import { assertEquals } from "@std/assert";
import { bytesChannel, type IpcBytesReceiver, type IpcBytesSender } from "../../mod.ts";
import type { Self } from "../support/actor.ts";
import { assertIpcError, assertIpcErrorSync, soon } from "../support/assert_ipc.ts";
import { patience } from "../support/patience.ts";
import { processTest } from "../support/test.ts";

const CAPACITY = 65_536;
const MESSAGE = new Uint8Array(1000);

/** Receives one message, which makes it the receiver, and then nothing more. */
export async function sleepyReceiver({ receiver }: { receiver: IpcBytesReceiver }, self: Self): Promise<void> {
  await receiver.recv();
  self.say();
  await new Promise((resolve) => setTimeout(resolve, patience(60_000)));
}

/** Sends until it cannot, and says why; the blocking call is under way when the receiver dies. */
export function sendUntilFailure({ sender }: { sender: IpcBytesSender }, self: Self): void {
  let sent = 0;
  while (sender.trySend(MESSAGE)) sent++;
  self.say(sent);
  try {
    for (;;) sender.sendSync(MESSAGE);
  } catch (error) {
    self.say((error as { code: string }).code);
  }
}

/** Holds a receiver that it never used. */
export async function holder(_job: { receiver: IpcBytesReceiver }, self: Self): Promise<void> {
  self.say();
  await new Promise((resolve) => setTimeout(resolve, patience(60_000)));
}

processTest("A killed receiver is Disconnected for sendSync(), trySend() and send()", async ({ start }) => {
  const [sender, receiver] = bytesChannel({ capacity: CAPACITY });
  const child = await start(import.meta.url, sleepyReceiver, { receiver });
  sender.sendSync(MESSAGE);
  await child.said();
  await child.kill();
  assertIpcErrorSync("Disconnected", () => sender.sendSync(MESSAGE));
  assertIpcErrorSync("Disconnected", () => sender.trySend(MESSAGE));
  await assertIpcError("Disconnected", () => sender.send(MESSAGE));
  await assertIpcError("Disconnected", () => sender.sendWhenEmpty(MESSAGE));
  sender.close();
});

processTest("A receiver that is killed before it was ever used is Disconnected, too", async ({ start }) => {
  const [sender, receiver] = bytesChannel({ capacity: CAPACITY });
  const child = await start(import.meta.url, holder, { receiver });
  await child.said();
  sender.sendSync(MESSAGE);
  await child.kill();
  assertIpcErrorSync("Disconnected", () => {
    for (;;) sender.sendSync(MESSAGE);
  });
  sender.close();
});

processTest("Killing the receiver ends send() calls that wait for room with Disconnected", async ({ start }) => {
  const [sender, receiver] = bytesChannel({ capacity: CAPACITY });
  const child = await start(import.meta.url, sleepyReceiver, { receiver });
  await sender.send(MESSAGE);
  await child.said();
  while (sender.trySend(MESSAGE));
  const waiting = [
    assertIpcError("Disconnected", () => sender.send(MESSAGE)),
    assertIpcError("Disconnected", () => sender.send(MESSAGE, { timeout: patience(60_000) })),
    assertIpcError("Disconnected", () => sender.sendWhenEmpty(MESSAGE)),
  ];
  // They are asleep, not about to look for the first time.
  await new Promise((resolve) => setTimeout(resolve, 50));
  await child.kill();
  await soon(Promise.all(waiting), "A send that waits for room");
  sender.close();
});

processTest(
  "Killing the receiver ends a sendSync() that blocks on a full ring with Disconnected",
  async ({ start }) => {
    const [sender, receiver] = bytesChannel({ capacity: CAPACITY });
    const victim = await start(import.meta.url, sleepyReceiver, { receiver });
    sender.sendSync(MESSAGE);
    await victim.said();
    const child = await start(import.meta.url, sendUntilFailure, { sender });
    sender.close();
    await child.said();
    await new Promise((resolve) => setTimeout(resolve, 50));
    await victim.kill();
    assertEquals(await soon(child.said()), "Disconnected");
    assertEquals((await child.status).code, 0);
  },
);

processTest("Closing the receiver here ends a sendSync() that blocks in another process", async ({ start }) => {
  const [sender, receiver] = bytesChannel({ capacity: CAPACITY });
  const child = await start(import.meta.url, sendUntilFailure, { sender });
  sender.close();
  await child.said();
  await new Promise((resolve) => setTimeout(resolve, 50));
  receiver.close();
  assertEquals(await soon(child.said()), "Disconnected");
});
