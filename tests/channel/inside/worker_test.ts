import { assertEquals } from "@std/assert";
import {
  bytesChannel,
  channel,
  type IpcBytesSender,
  IpcOneShotServer,
  type IpcReceiver,
  type IpcSender,
} from "../../../mod.ts";
import { setStepHook } from "../../../base/step_hook.ts";
import { assertIpcError, soon } from "../../support/assert_ipc.ts";
import { patience, START } from "../../support/patience.ts";
import { Threads } from "../../support/threads.ts";
import { processTest } from "../../support/test.ts";

interface Table {
  readonly pings: IpcReceiver<number>;
  readonly pongs: IpcSender<number>;
}

export async function answer({ pings, pongs }: Table): Promise<void> {
  for await (const n of pings) await pongs.send(-n);
  // What a Worker leaves open stays open until the process ends: the kernel cleans up after processes only.
  pongs.close(), pings.close();
}

export function flood({ sender, count }: { sender: IpcBytesSender; count: number }): void {
  const message = new Uint8Array(64);
  const words = new Uint32Array(message.buffer);
  for (let n = 0; n < count; n++) {
    words[0] = n;
    sender.sendSync(message);
  }
  sender.close();
}

processTest("A Worker is a peer like a process: 1000 messages there and back", async () => {
  await using threads = new Threads();
  const [ping, pings] = channel<number>();
  const [pong, pongs] = channel<number>();
  await threads.start(import.meta.url, answer, { pings, pongs: pong });
  pong.close();
  for (let n = 1; n <= 1000; n++) {
    await ping.send(n);
    assertEquals(await soon(pongs.recv()), -n);
  }
  ping.close();
  await soon(assertIpcError("Disconnected", () => pongs.recv()));
  pongs.close();
});

processTest("Several Workers send through one ring at a time, each in order", async () => {
  await using threads = new Threads();
  const [sender, receiver] = bytesChannel({ capacity: 65_536 });
  const count = 20_000;
  for (let i = 0; i < 3; i++) await threads.start(import.meta.url, flood, { sender, count });
  sender.close();
  const seen = new Map<number, number>();
  for (let i = 0; i < 3 * count; i++) {
    const bytes = receiver.recvSync({ timeout: patience(20_000) });
    const n = new Uint32Array(bytes.buffer, bytes.byteOffset, 1)[0]!;
    seen.set(n, (seen.get(n) ?? 0) + 1);
  }
  assertEquals(seen.size, count);
  assertEquals([...seen.values()].every((times) => times === 3), true);
  await soon(assertIpcError("Disconnected", () => receiver.recv()));
  receiver.close();
});

/** Claims room for a second message, and ends before it commits. */
export function endInTheMiddle({ sender }: { sender: IpcSender<string> }): void {
  sender.sendSync("whole");
  setStepHook((step) => {
    if (step === "claimed") throw new Error("the end");
  });
  try {
    sender.sendSync("never committed");
  } catch {
    self.close();
  }
}

processTest("A Worker that ends between claim and commit costs its own message only", async () => {
  await using threads = new Threads();
  const [sender, receiver] = channel<string>();
  await threads.start(import.meta.url, endInTheMiddle, { sender });
  assertEquals(await soon(receiver.recv()), "whole");
  sender.sendSync("behind it");
  // Not before the thread has ended: until then its claim may still be committed.
  assertEquals(await soon(receiver.recv()), "behind it");
  sender.close(), receiver.close();
}, "what a Worker leaves open stays open until its process ends");

processTest("A Worker connects to a one-shot server of the same process", async () => {
  await using threads = new Threads();
  const server = new IpcOneShotServer<IpcSender<string>>();
  const connect = server.accept({ timeout: START });
  threads.connect(server.name);
  const [receiver, reply] = await connect;
  reply.sendSync("hello");
  assertEquals(await soon(receiver.recv()) as unknown, "hello");
  reply.close(), receiver.close();
});
