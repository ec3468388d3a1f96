// Ends that go away before this process has used either: nothing is mapped here until it does, and any process may die meanwhile.
import { assertEquals } from "@std/assert";
import { channel, type IpcReceiver, type IpcSender } from "../../mod.ts";
import type { Self } from "../support/actor.ts";
import { assertIpcError, assertIpcErrorSync, soon } from "../support/assert_ipc.ts";
import { descriptorsOf } from "../support/leftovers.ts";
import { setTrap, type Trap } from "../support/step_trap.ts";
import { processTest } from "../support/test.ts";

interface Sending {
  readonly sender: IpcSender<number>;
  readonly count: number;
  readonly trap?: Trap;
}

/** Sends its messages, if it lives that long, and stays. */
export async function sendAndStay({ sender, count, trap }: Sending, self: Self): Promise<void> {
  if (trap !== undefined) setTrap(trap);
  for (let n = 0; n < count; n++) sender.sendSync(n);
  self.say("sent");
  await new Promise(() => setInterval(() => {}, 60_000));
}

for (const step of ["recorded", "claimed", "copied", "committed"] as const) {
  processTest(
    `A receiver that is used first after its sender was killed at "${step}" gets the rest`,
    async ({ start }) => {
      const [sender, receiver] = channel<number>();
      const trap: Trap = { step, occurrence: 5, signal: "SIGKILL" };
      const child = await start(import.meta.url, sendAndStay, { sender, count: 10, trap });
      await child.said();
      await child.status;
      sender.close();
      const received = receiver.recvMany();
      assertEquals(received, [0, 1, 2, 3, 4].slice(0, step === "committed" ? 5 : 4));
      assertIpcErrorSync("Disconnected", () => receiver.recvSync());
      receiver.close();
    },
  );
}

processTest("A receiver that waits before any use is told when the only sender is killed unused", async ({ start }) => {
  const [sender, receiver] = channel<number>();
  const child = await start(import.meta.url, sendAndStay, { sender, count: 0 });
  assertEquals(await child.said(), "sent");
  const waiting = assertIpcError("Disconnected", () => receiver.recv());
  sender.close();
  await child.kill();
  await soon(waiting);
  receiver.close();
});

/** Memory of rings that this process has open. */
const rings = () => descriptorsOf("self").filter((link) => link.includes("isthmus-ring")).length;

/** Sends until it is told that the receiver is gone. */
export function sendUntilGone({ sender }: { sender: IpcSender<number> }, self: Self): void {
  sender.sendSync(1);
  self.say("sent");
  try {
    for (;;) sender.sendSync(2);
  } catch (error) {
    self.say((error as { code: string }).code);
  }
}

processTest("A receiver that is closed without any use says so to a sender elsewhere", async ({ start }) => {
  const before = rings();
  const [sender, receiver] = channel<number>({ capacity: 65_536 });
  const child = await start(import.meta.url, sendUntilGone, { sender });
  assertEquals(await child.said(), "sent");
  receiver.close();
  assertEquals(await soon(child.said()), "Disconnected");
  assertIpcErrorSync("Disconnected", () => sender.sendSync(1));
  sender.close();
  assertEquals((await child.status).code, 0);
  assertEquals(rings(), before);
});

/** Passes on what it gets, unused. */
export async function passOn(
  { from, to }: { from: IpcReceiver<unknown>; to: IpcSender<unknown> },
  self: Self,
): Promise<void> {
  to.sendSync(await from.recv());
  self.say("passed on");
  await new Promise(() => setInterval(() => {}, 60_000));
}

processTest("A receiver that goes on through a process that is killed then works where it is", async ({ start }) => {
  const [to, from] = channel<unknown>(), [back, returned] = channel<unknown>();
  const child = await start(import.meta.url, passOn, { from, to: back });
  const [sender, receiver] = channel<number>();
  to.sendSync(receiver);
  assertEquals(await soon(child.said()), "passed on");
  await child.kill();
  sender.sendSync(1);
  const moved = returned.recvSync({ timeout: 0 }) as typeof receiver;
  sender.sendSync(2);
  assertEquals(moved.recvMany(), [1, 2]);
  moved.close();
  assertIpcErrorSync("Disconnected", () => sender.sendSync(3));
  for (const end of [to, back, returned, sender]) end.close();
});

processTest("Of an end that dies with its message the other end is told at its first use", async ({ start }) => {
  const [to, from] = channel<unknown>();
  const child = await start(import.meta.url, passOn, { from, to: channel<unknown>()[0] });
  await child.signal("SIGSTOP");
  const [sender, receiver] = channel<number>(), [kept, moved] = channel<number>();
  to.sendSync([sender, moved]); // which nobody will receive
  await child.kill();
  sender.close();
  assertIpcErrorSync("Disconnected", () => receiver.recvSync());
  await soon(assertIpcError("Disconnected", () => kept.send(1)));
  for (const end of [to, receiver, kept]) end.close();
}, "the receiver of a channel that nobody uses is forgotten, not closed");
