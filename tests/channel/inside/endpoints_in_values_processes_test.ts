// Endpoints that travel between processes.
import { assert, assertEquals } from "@std/assert";
import { setStepHook } from "../../../base/step_hook.ts";
import { channel, type IpcReceiver, type IpcSender } from "../../../mod.ts";
import type { Self } from "../../support/actor.ts";
import { assertIpcError, assertIpcErrorSync, soon } from "../../support/assert_ipc.ts";
import { patience } from "../../support/patience.ts";
import { type Child, stateOf } from "../../support/processes.ts";
import { processTest } from "../../support/test.ts";

// deno-lint-ignore no-explicit-any -- values of any shape go through
type Anything = any;

interface Route {
  readonly from: IpcReceiver<Anything>;
  readonly to: IpcSender<Anything>;
}

/** Passes on whatever it receives, endpoints and all. */
export async function passOn({ from, to }: Route): Promise<void> {
  for await (const value of from) {
    await to.send(value);
    for (const end of [value.sender, value.receiver]) end?.close();
  }
}

/** Receives a receiver, counts what comes, and reports. */
export async function count({ from, to }: Route): Promise<void> {
  const { receiver } = await from.recv();
  let next = 0;
  for await (const n of receiver) if (n === next) next++;
  await to.send(next);
}

/** Waits for a message that it never gets. */
export async function waitAsleep({ from }: { from: IpcReceiver<Anything> }, self: Self): Promise<void> {
  const waiting = from.recv();
  self.say();
  await waiting;
}

/** Kills a process, and returns when nothing of it is left but its number. */
function killNow(child: Child): void {
  child.signal("SIGKILL");
  while (stateOf(child.pid) !== "Z" || [...Deno.readDirSync(`/proc/${child.pid}/task`)].length > 1);
}

processTest("A message with a sender for a receiver that dies while it is sent is an error", async ({ start }) => {
  const [to, from] = channel<Anything>(), [sender, receiver] = channel<number>();
  const child = await start(import.meta.url, waitAsleep, { from });
  await child.said();
  // After it was looked for, and before the message is there.
  setStepHook((step) => step === "descriptors-sent" && killNow(child));
  try {
    assertIpcErrorSync("Disconnected", () => to.sendSync({ sender }));
  } finally {
    setStepHook(undefined);
  }
  sender.sendSync(1); // it is still the caller's
  assertEquals(receiver.recvSync(), 1);
  to.close(), sender.close(), receiver.close();
});

processTest(
  "A receiver and its backlog move through two processes into a third, while senders go on",
  async ({ start }) => {
    const [one, first] = channel<Anything>();
    const [two, second] = channel<Anything>();
    const [results, result] = channel<number>();
    await start(import.meta.url, passOn, { from: first, to: two });
    two.close();
    const last = await start(import.meta.url, count, { from: second, to: results });
    results.close();

    const [sender, receiver] = channel<number>({ capacity: 65_536 });
    let n = 0;
    while (sender.trySend(n)) n++;
    await one.send({ receiver });
    // The ring is full: every further message waits until the third process receives.
    for (const end = n + 5000; n < end; n++) await sender.send(n);
    sender.close();
    assertEquals(await soon(result.recv()), n);
    assertEquals((await last.status).code, 0);
    one.close(), result.close();
  },
);

processTest("A sender that went through two processes and came back still reaches its receiver", async ({ start }) => {
  const [one, first] = channel<Anything>();
  const [two, second] = channel<Anything>();
  const [three, third] = channel<Anything>();
  await start(import.meta.url, passOn, { from: first, to: two });
  await start(import.meta.url, passOn, { from: second, to: three });
  two.close(), three.close();
  const [sender, receiver] = channel<string>();
  await one.send({ sender });
  sender.close();
  const { sender: traveller } = await third.recv();
  traveller.sendSync("home");
  assertEquals(receiver.recvSync({ timeout: patience(10_000) }), "home");
  traveller.close();
  // No clone is left behind on the way.
  await assertIpcError("Disconnected", () => receiver.recv({ timeout: patience(10_000) }));
  for (const end of [one, third, receiver]) end.close();
});

/** Waits for room with a sender that nothing else refers to, while garbage is collected. */
export async function sendAndForget({ to, full }: { to: IpcSender<Anything>; full: IpcReceiver<null> }, self: Self) {
  const { gc } = globalThis as unknown as { gc: () => void };
  const waiting = (() => {
    const clone = to.clone();
    return clone.send("kept alive");
  })();
  for (let i = 0; i < 5; i++) {
    gc();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  self.say("collected");
  await full.recv();
  await waiting;
  to.close();
}

processTest("A sender that nobody refers to is not closed while a message of it waits for room", async ({ start }) => {
  const [to, arrivals] = channel<Anything>({ capacity: 65_536 });
  const [go, full] = channel<null>();
  let filled = 0;
  while (to.trySend(0)) filled++;
  const child = await start(import.meta.url, sendAndForget, { to, full }, ["-A", "--v8-flags=--expose-gc"]);
  to.close();
  assertEquals(await child.said(), "collected");
  assertEquals(arrivals.recvMany(filled).length, filled); // not all: the one that waits may be in by then
  go.sendSync(null);
  assertEquals(await soon(arrivals.recv()), "kept alive");
  assertEquals((await child.status).code, 0);
  go.close(), arrivals.close();
});

export async function holdReceiver({ from }: { from: IpcReceiver<Anything> }, self: Self): Promise<void> {
  const { receiver } = await from.recv();
  await receiver.recv();
  self.say("received one");
  await new Promise((resolve) => setTimeout(resolve, patience(60_000)));
}

processTest("A second receiver of a channel that has a living one is refused with AlreadyExists", async ({ start }) => {
  // Two receivers of one channel cannot be had by the public API: moving closes the first. So by its parts.
  const { createChannel } = await import("../../../channel/ring/handle.ts");
  const { RingConsumer } = await import("../../../channel/ring/consumer.ts");
  const { RingProducer } = await import("../../../channel/ring/producer.ts");
  const { SenderPort } = await import("../../../channel/endpoint/sender_port.ts");
  const { receiverFrom } = await import("../../../channel/endpoint/receiver.ts");
  const { senderFrom } = await import("../../../channel/endpoint/sender.ts");
  const parts = createChannel(65_536);
  const secondListen = parts.receiverBell.clone(), secondSocket = parts.receiverSocket.clone();
  const secondMemory = parts.memory.fd.clone();
  const sender = senderFrom<number>(
    SenderPort.of(RingProducer.create(parts.memory, parts.senderBell, parts.senderSocket)),
  );
  const receiver = receiverFrom<number>(
    RingConsumer.create(parts.memory, parts.receiverBell, parts.receiverSocket),
  );
  const [carrier, from] = channel<Anything>();
  const child = await start(import.meta.url, holdReceiver, { from });
  carrier.sendSync({ receiver });
  sender.sendSync(1);
  await child.said();
  assertIpcErrorSync(
    "AlreadyExists",
    () => RingConsumer.attach({ memory: secondMemory, bell: secondListen, descriptors: secondSocket }),
  );
  assert(secondMemory.closed && secondListen.closed && secondSocket.closed);
  carrier.close(), sender.close();
});
