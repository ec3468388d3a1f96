// What a program forgets, or a Worker leaves, is let go of; what it still uses is not.
import { assert, assertEquals } from "@std/assert";
import { type Borrowed, bytesChannel, channel, type IpcReceiver, type IpcSender, IpcSharedMemory } from "../../mod.ts";
import type { Self } from "../support/actor.ts";
import { soon } from "../support/assert_ipc.ts";
import { descriptorsOf, openSignalSockets } from "../support/leftovers.ts";
import { sentAway, turn } from "../support/sent_away.ts";
import { processTest } from "../support/test.ts";
import { Threads } from "../support/threads.ts";

const FLAGS = ["-A", "--v8-flags=--expose-gc"];

async function collect(until: () => boolean): Promise<boolean> {
  const { gc } = globalThis as unknown as { gc(): void };
  for (let i = 0; i < 100 && !until(); i++) {
    gc();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return until();
}

/** Forgets receivers that have awaited a message, and says whether their senders learn of it. */
export async function forgetReceivers(_: unknown, self: Self): Promise<void> {
  const senders: IpcSender<number>[] = [];
  const use = async (way: number) => {
    const [sender, receiver] = channel<number>({ capacity: 65_536 });
    senders.push(sender);
    if (way === 0) await receiver.recv({ timeout: 1 }).catch(() => {});
    const wait = receiver.recv();
    setTimeout(() => sender.sendSync(1), 1);
    await wait;
    if (way === 2) { for await (const _ of (sender.sendSync(2), receiver)) break; }
  };
  for (let i = 0; i < 9; i++) await use(i % 3);
  const gone = () => senders.filter((sender) => !canSend(sender)).length;
  await collect(() => gone() === senders.length);
  self.say(gone());
}

function canSend(sender: IpcSender<number>): boolean {
  try {
    sender.trySend(0);
    return true;
  } catch {
    return false;
  }
}

processTest("Receivers that have awaited messages, and were forgotten, are closed", async ({ start }) => {
  const child = await start(import.meta.url, forgetReceivers, null, FLAGS);
  assertEquals(await child.said(), 9);
});

/** Makes channels whose sender goes away first, and forgets an end of each at several points; says what the others learn. */
export async function forgetRingless(_: unknown, self: Self): Promise<void> {
  const senders: IpcSender<number>[] = [], receivers: IpcReceiver<number>[] = [];
  openSignalSockets();
  const open = () => descriptorsOf("self").filter((link) => /^(pipe:|socket:|\/memfd:)/.test(link));
  const before = open();
  const use = async (point: number, forget: "sender" | "receiver" | "all") => {
    const { there, here, receiver } = sentAway<number>({ capacity: 65_536 });
    if (forget === "sender") here.close();
    const wait = point % 2 === 1 ? receiver.recv() : undefined;
    if (wait) await turn();
    if (point > 1 || wait) there.sendSync(1);
    await wait;
    if (point > 3) there.sendSync(2);
    if (point > 5) await receiver.recv();
    if (forget === "receiver") senders.push(there);
    if (forget === "sender") receivers.push(receiver);
  };
  for (const forget of ["sender", "receiver", "all"] as const) {
    for (let point = 0; point < 8; point++) await use(point, forget);
  }
  const gone = () => senders.filter((sender) => !canSend(sender)).length;
  const ended = () => receivers.filter(isAtItsEnd).length;
  await collect(() => gone() === senders.length && ended() === receivers.length);
  self.say([gone(), ended()]);
  for (const end of [...senders, ...receivers]) end.close();
  await collect(() => open().length <= before.length);
  self.say(open().filter((link) => !before.includes(link)));
}

function isAtItsEnd(receiver: IpcReceiver<number>): boolean {
  for (;;) {
    const { state } = receiver.tryRecv();
    if (state !== "message") return state === "disconnected";
  }
}

processTest("Ends of channels without a ring that were forgotten are closed, and leave nothing", async ({ start }) => {
  const child = await start(import.meta.url, forgetRingless, null, FLAGS);
  assertEquals(await child.said(), [8, 8]);
  assertEquals(await child.said(), []);
});

/** Borrowed messages, of which nothing else is left. */
async function borrow(): Promise<Borrowed<Uint8Array>[]> {
  const [sender, receiver] = bytesChannel({ capacity: 65_536 });
  const [values, valueReceiver] = channel<Uint8Array>({ capacity: 65_536 });
  sender.sendSync(new Uint8Array(5000).fill(1)), values.sendSync(new Uint8Array(5000).fill(2));
  sender.sendSync(new Uint8Array(5000).fill(3));
  return [receiver.borrowSync(), await valueReceiver.borrow(), receiver.tryBorrow()!];
}

/** Keeps borrowed messages, but not their receivers. */
export async function keepBorrowed(_: unknown, self: Self): Promise<void> {
  const borrowed = await borrow();
  await collect(() => borrowed.some(({ value }) => value.length === 0));
  self.say(borrowed.map(({ value }) => [value.length, value[0]]));
  for (const message of borrowed) message.release();
}

processTest("A borrowed message keeps its receiver open", async ({ start }) => {
  const child = await start(import.meta.url, keepBorrowed, null, FLAGS);
  assertEquals(await child.said(), [[5000, 1], [5000, 2], [5000, 3]]);
});

/** Mappings of this process by the package. */
const mapped = () =>
  Deno.readTextFileSync("/proc/self/maps").split("\n").filter((line) => /isthmus-/.test(line)).length;

/** Uses several rings, and memory, and stays. */
export async function useRings({ sender }: { sender: IpcSender<string> }): Promise<void> {
  const kept: unknown[] = [];
  for (let i = 0; i < 5; i++) {
    const ends = bytesChannel();
    ends[0].sendSync(new Uint8Array(100));
    kept.push(ends, IpcSharedMemory.filled(1, 100_000).bytes);
    const [a, b] = bytesChannel();
    a.sendSync(new Uint8Array(100));
    a.close(), b.close();
  }
  const [a, b] = bytesChannel();
  kept.push(a.reserveSync(5000), a, b);
  sender.sendSync("ready");
  await b.recv();
  throw new Error(String(kept.length));
}

processTest("A terminated Worker's rings and shared memory are unmapped", async () => {
  const before = mapped();
  for (let round = 0; round < 3; round++) {
    await using threads = new Threads();
    const [sender, receiver] = channel<string>({ capacity: 65_536 });
    await threads.start(import.meta.url, useRings, { sender });
    assertEquals(await soon(receiver.recv()), "ready");
    assert(mapped() > before + 5);
    sender.close(), receiver.close();
    await threads.end();
  }
  // But for the ring of which a loan was out: the program might have given its buffer to somebody.
  const most = before + 3 * 3;
  await soon(
    (async () => {
      while (mapped() > most) await new Promise((resolve) => setTimeout(resolve, 5));
    })(),
    `Unmapping: ${mapped()} mapped, ${before} before`,
  );
}, "the pipe that Deno itself listened on for the Worker stays open until the process ends");
