// The receiver's descriptor table is full while senders wait for room, and give it bells: no message is lost by it.
import { assert, assertEquals } from "@std/assert";
import { channel, IpcError, type IpcReceiver, type IpcSender } from "../../mod.ts";
import { createDoorbell } from "../../ffi/event/doorbell.ts";
import type { IpcFd } from "../../ffi/file/fd.ts";
import { isTableFull } from "../../ffi/socket/socket_message.ts";
import type { Self } from "../support/actor.ts";
import { soon } from "../support/assert_ipc.ts";
import { processTest } from "../support/test.ts";

const COUNT = 9000;

/** Sends numbers, more than there is room for, blocking or not. */
export async function sendNumbers(
  { sender, waits }: { sender: IpcSender<unknown>; waits: boolean },
  self: Self,
): Promise<void> {
  self.say();
  for (let n = 0; n < COUNT; n++) {
    if (waits) await sender.send(n);
    else sender.sendSync(n);
  }
  sender.close();
  self.say("sent");
}

interface Receiving {
  readonly receiver: IpcReceiver<unknown>;
  readonly way: string;
}

/** Receives them while no descriptor is free, and after that. */
export async function receiveNumbers({ receiver, way }: Receiving, self: Self): Promise<void> {
  new Deno.Command("prlimit", { args: ["--pid", `${Deno.pid}`, "--nofile=200:200"] }).outputSync();
  // Deno looks for signals from now on, and panics without descriptors for that.
  const listener = () => {};
  Deno.addSignalListener("SIGUSR1", listener);
  await receiver.recv({ timeout: 0 }).catch(() => {});
  const [spare, bell] = createDoorbell();
  self.say(), self.hear();
  const filling: IpcFd[] = [];
  try {
    for (;;) filling.push(spare.clone());
  } catch (error) {
    if (!isTableFull(error)) throw error;
  }
  const seen: unknown[] = [];
  const errors: string[] = [];
  while (seen.length < COUNT) {
    if (seen.length === 8000) { for (const fd of filling.splice(0)) fd.close(); }
    try {
      if (way === "recvSync()") seen.push(receiver.recvSync({ timeout: 10_000 }));
      else if (way === "recvMany()") seen.push(...receiver.recvMany());
      else if (way === "borrowSync()") seen.push(receiver.borrowSync({ timeout: 10_000 }).value);
      else {
        const result = receiver.tryRecv();
        if (result.state === "message") seen.push(result.value);
        if (result.state === "disconnected") break;
      }
    } catch (error) {
      errors.push(String(error));
      if (errors.length > 5) break;
    }
  }
  self.say({ inOrder: seen.every((value, at) => value === at), count: seen.length, errors });
  Deno.removeSignalListener("SIGUSR1", listener);
  spare.close(), bell.close(), receiver.close();
}

for (const way of ["recvSync()", "tryRecv()", "recvMany()", "borrowSync()"]) {
  for (const waits of [false, true]) {
    processTest(
      `${way} loses no message of a sender that ${waits ? "awaits" : "blocks for"} room, without a free descriptor`,
      async ({ start }) => {
        const [sender, receiver] = channel<unknown>({ capacity: 65_536 });
        const receiving = await start(import.meta.url, receiveNumbers, { receiver, way });
        await receiving.said();
        const sending = await start(import.meta.url, sendNumbers, { sender, waits });
        sender.close();
        await sending.said();
        await receiving.tell();
        const { inOrder, count, errors } = await soon(receiving.said<Record<string, unknown>>());
        assertEquals({ inOrder, count, errors }, { inOrder: true, count: COUNT, errors: [] });
        assertEquals(await soon(sending.said()), "sent");
        assert((await receiving.status).success);
      },
    );
  }
}

/** Sends a message with many descriptors, then a plain one. */
export function sendBundle({ sender }: { sender: IpcSender<unknown> }, self: Self): void {
  const pairs = Array.from({ length: 150 }, () => createDoorbell());
  sender.sendSync(pairs.flat());
  sender.sendSync("next");
  self.say();
  self.hear();
}

processTest("A message with more descriptors than are free now stays, whole, until they are", async ({ start }) => {
  const [sender, receiver] = channel<unknown>({ capacity: 65_536 });
  const child = await start(import.meta.url, sendBundle, { sender });
  sender.close();
  await child.said();
  const before = Deno.readTextFileSync("/proc/self/limits").match(/Max open files +([0-9]+)/)![1]!;
  const open = [...Deno.readDirSync("/proc/self/fd")].length;
  const limit = (most: string) =>
    new Deno.Command("prlimit", { args: ["--pid", `${Deno.pid}`, `--nofile=${most}:`] }).outputSync();
  limit(`${open + 320}`);
  const filling: IpcFd[] = [];
  const [spare, bell] = createDoorbell();
  try {
    for (let i = 0; i < 100; i++) filling.push(spare.clone());
    for (let i = 0; i < 3; i++) {
      try {
        receiver.recvSync({ timeout: 0 });
        throw new Error("There is no room for them");
      } catch (error) {
        assert(error instanceof IpcError && isTableFull(error), String(error));
      }
    }
    for (const fd of filling.splice(0)) fd.close();
    const fds = receiver.recvSync({ timeout: 0 }) as IpcFd[];
    assertEquals(fds.length, 300);
    for (const fd of fds) fd.close();
    assertEquals(receiver.recvSync({ timeout: 0 }), "next");
  } finally {
    for (const fd of [...filling, spare, bell]) fd.close();
    limit(before);
    receiver.close();
  }
  await child.tell();
});
