import { assertEquals } from "@std/assert";
import { channel, type IpcReceiver, type IpcSender } from "../../mod.ts";
import type { Self } from "../support/actor.ts";
import { assertIpcError, assertIpcErrorSync, soon } from "../support/assert_ipc.ts";
import { patience } from "../support/patience.ts";
import { processTest } from "../support/test.ts";

const COUNT = 100;

/** Sends its messages and stays. */
export async function stay({ sender }: { sender: IpcSender<number> }, self: Self): Promise<void> {
  for (let n = 0; n < COUNT; n++) sender.sendSync(n);
  self.say();
  await new Promise((resolve) => setTimeout(resolve, patience(60_000)));
}

/** Receives in one way until the end, and says what came, and how it ended. */
export async function receiveAll(
  { receiver, way }: { receiver: IpcReceiver<number>; way: "sync" | "async" | "iterate" },
  self: Self,
): Promise<void> {
  let received = 0;
  let end = "the iteration ended";
  try {
    if (way === "iterate") {
      for await (const _ of receiver) if (++received === 2 * COUNT) self.say("all");
    } else {
      for (;;) {
        if (way === "sync") receiver.recvSync();
        else await receiver.recv();
        if (++received === 2 * COUNT) self.say("all");
      }
    }
  } catch (error) {
    end = (error as { code: string }).code;
  }
  self.say([received, end]);
}

processTest("After all senders were killed the receiver gets what they sent, then Disconnected", async ({ start }) => {
  const [sender, receiver] = channel<number>();
  const children = [await start(import.meta.url, stay, { sender }), await start(import.meta.url, stay, { sender })];
  sender.close();
  for (const child of children) {
    await child.said();
    await child.kill();
  }
  for (let n = 0; n < 2 * COUNT; n++) assertEquals(receiver.tryRecv(), { state: "message", value: n % COUNT });
  assertEquals(receiver.tryRecv(), { state: "disconnected" });
  assertIpcErrorSync("Disconnected", () => receiver.recvSync());
  await assertIpcError("Disconnected", () => receiver.recv());
  for await (const _ of receiver) throw new Error("nothing can come");
  receiver.close();
});

for (
  const [way, expected] of [["sync", "Disconnected"], ["async", "Disconnected"], [
    "iterate",
    "the iteration ended",
  ]] as const
) {
  processTest(`A receiver that waits (${way}) learns that all its senders were killed`, async ({ start }) => {
    const [sender, receiver] = channel<number>();
    const waiting = await start(import.meta.url, receiveAll, { receiver, way });
    const children = [await start(import.meta.url, stay, { sender }), await start(import.meta.url, stay, { sender })];
    sender.close();
    assertEquals(await waiting.said(), "all");
    await children[0]!.kill();
    await children[1]!.kill();
    assertEquals(await soon(waiting.said()), [2 * COUNT, expected]);
    assertEquals((await waiting.status).code, 0);
  });
}

processTest("One of two senders killed is not the end", async ({ start }) => {
  const [sender, receiver] = channel<number>();
  const child = await start(import.meta.url, stay, { sender });
  await child.said();
  const rest = receiver.recvMany();
  assertEquals(rest.length, COUNT);
  const pending = receiver.recv();
  await child.kill();
  await assertIpcError("Timeout", () => receiver.recv({ timeout: 100 }));
  sender.sendSync(-1);
  assertEquals(await soon(pending), -1);
  sender.close(), receiver.close();
});
