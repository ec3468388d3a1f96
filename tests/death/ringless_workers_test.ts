// Workers that end with an end of a channel that has no ring yet.
import { assertEquals } from "@std/assert";
import { channel, type IpcError, type IpcReceiver, type IpcSender } from "../../mod.ts";
import { assertIpcError, soon } from "../support/assert_ipc.ts";
import { patience } from "../support/patience.ts";
import { turn } from "../support/sent_away.ts";
import { processTest } from "../support/test.ts";
import { Threads } from "../support/threads.ts";

const LEFT = "the pipe that Deno itself listened on for the Worker stays open until the process ends";

/** Sends no number by the first sender, one by the second, and so on, and stays. */
export async function sendAndStay(
  { senders, ready }: { senders: IpcSender<number>[]; ready: IpcSender<string> },
): Promise<void> {
  for (const [count, sender] of senders.entries()) for (let n = 0; n < count; n++) sender.sendSync(n);
  ready.sendSync("ready");
  await new Promise((resolve) => setTimeout(resolve, patience(60_000)));
  for (const end of senders) end.close(); // or they would be forgotten
}

async function receiveAll(receiver: IpcReceiver<number>): Promise<number[]> {
  const got: number[] = [];
  try {
    for (;;) got.push(await soon(receiver.recv()));
  } catch (error) {
    assertEquals((error as IpcError).code, "Disconnected");
    return got;
  }
}

processTest("A Worker that is terminated ends its senders, and what it sent before is received", async () => {
  const threads = new Threads();
  const made = Array.from({ length: 4 }, () => channel<number>());
  const [ready, isReady] = channel<string>();
  await threads.start(import.meta.url, sendAndStay, { senders: made.map(([sender]) => sender), ready });
  for (const [sender] of made) sender.close();
  const rest = made.map(([, receiver]) => receiveAll(receiver));
  assertEquals(await soon(isReady.recv()), "ready");
  await threads.end();
  assertEquals(await Promise.all(rest), [[], [0], [0, 1], [0, 1, 2]]);
  for (const end of [ready, isReady, ...made.map(([, receiver]) => receiver)]) end.close();
}, LEFT);

/** Makes channels, sends their senders away, and stays. */
export async function makeAndStay({ to }: { to: IpcSender<IpcSender<number>[]> }): Promise<void> {
  const made = Array.from({ length: 3 }, () => channel<number>());
  to.sendSync(made.map(([sender]) => sender));
  for (const [sender] of made) sender.close();
  void made[0]![1].recv();
  await new Promise((resolve) => setTimeout(resolve, patience(60_000)));
  for (const [, receiver] of made) receiver.close();
}

processTest("A Worker that is terminated is a receiver that is gone", async () => {
  const threads = new Threads();
  const [to, from] = channel<IpcSender<number>[]>();
  await threads.start(import.meta.url, makeAndStay, { to });
  to.close();
  const senders = await soon(from.recv());
  senders[2]!.sendSync(0);
  await threads.end();
  for (const sender of senders) {
    await soon(assertIpcError("Disconnected", async () => {
      for (;; await turn()) sender.sendSync(1); // it takes a moment until it has ended
    }));
    sender.close();
  }
  from.close();
}, LEFT);
