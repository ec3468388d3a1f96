// Doorbells that a peer has made blocking, for a process that cannot open them anew: nothing ever waits for them.
import { assert, assertEquals } from "@std/assert";
import { channel, type IpcError, type IpcReceiver, type IpcSender } from "../../mod.ts";
import { W_BELL, W_SPACE } from "../../channel/ring/layout.ts";
import {
  createDoorbell,
  drain,
  isShared,
  makeOwn,
  privateEnd,
  ringAnyBell,
  sharedEnd,
} from "../../ffi/event/doorbell.ts";
import { IpcFd } from "../../ffi/file/fd.ts";
import { libc } from "../../ffi/libc/libc.ts";
import { platform } from "../../ffi/libc/platform.ts";
import type { Self } from "../support/actor.ts";
import { assertIpcErrorSync, soon } from "../support/assert_ipc.ts";
import { patience } from "../support/patience.ts";
import { processTest } from "../support/test.ts";
import { HostilePeer, makeBlocking, SPACE_BELL, victim } from "./forge.ts";

/** From now on this process may not open what belongs to others. */
function becomeNobody(): void {
  // int setresuid(uid_t ruid, uid_t euid, uid_t suid)
  const library = Deno.dlopen(platform().libc, { setresuid: { parameters: ["u32", "u32", "u32"], result: "i32" } });
  library.symbols.setresuid(65_534, 65_534, 65_534);
  library.close();
}

function fill(fd: number): void {
  while (libc().c.write(fd, new Uint8Array(4096), 4096n) > 0);
}

interface Ends {
  readonly sender: IpcSender<unknown>;
  readonly receiver: IpcReceiver<unknown>;
}

/** Sends and receives in every way, each with a time-out, and says how each ended. */
export async function useEnds({ sender, receiver }: Ends, self: Self): Promise<void> {
  becomeNobody();
  const calls: Record<string, () => unknown> = {
    "trySend()": () => sender.trySend("a"),
    "sendSync()": () => sender.sendSync("b", { timeout: 200 }),
    "send()": () => sender.send("c", { timeout: 200 }),
    "tryRecv()": () => receiver.tryRecv().state,
    "recvSync()": () => receiver.recvSync({ timeout: 50 }),
    "recv()": () => receiver.recv({ timeout: 50 }),
    "recvSync() again": () => receiver.recvSync({ timeout: 50 }),
    "recv() again": () => receiver.recv({ timeout: 50 }),
  };
  self.say(), self.hear();
  const outcomes: Record<string, unknown> = {};
  for (const [name, call] of Object.entries(calls)) {
    const began = performance.now();
    try {
      outcomes[name] = await call() ?? "done";
    } catch (error) {
      outcomes[name] = (error as IpcError).code;
    }
    if (performance.now() - began > patience(2000)) outcomes[name] += " late";
  }
  self.say(outcomes);
  // An awaited message arrives all the same.
  self.say(await receiver.recv());
  sender.close(), receiver.close();
}

processTest("Doorbells that block, and cannot be opened anew, hold nobody up", async ({ start }) => {
  const out = victim<unknown>(), back = victim<unknown>();
  const child = await start(import.meta.url, useEnds, { sender: out.sender, receiver: back.receiver });
  const sending = new HostilePeer(cloned(out.raw)), receiving = new HostilePeer(cloned(back.raw));
  // A receiver that claims to sleep, and whose doorbell is full and blocks.
  fill(out.raw.bell.fd), makeBlocking(out.raw.bell.fd);
  Atomics.store(sending.words, W_BELL, 5);
  // A doorbell with as much in it as is read at once, and a space bell that is full.
  libc().c.write(back.raw.bell.fd, new Uint8Array(4096), 4096n), makeBlocking(back.raw.listen.fd);
  const [listen, bell] = createDoorbell();
  fill(bell.fd), makeBlocking(bell.fd);
  receiving.packet(SPACE_BELL, 0, 0, 1, [bell.fd]);
  Atomics.store(receiving.words, W_SPACE, 1);
  back.sender.sendSync("first"), back.sender.sendSync("second");
  await child.said(), await child.tell();
  assertEquals(await soon(child.said()), {
    "trySend()": true,
    "sendSync()": "done",
    "send()": "done",
    "tryRecv()": "message",
    "recvSync()": "second",
    "recv()": "Timeout",
    "recvSync() again": "Timeout",
    "recv() again": "Timeout",
  });
  back.sender.sendSync("third");
  assertEquals(await soon(child.said()), "third");
  assert((await child.status).success);
  for (const end of [sending, receiving, out, back, listen, bell]) end.close();
});

function cloned<T extends object>(fds: T): T {
  return Object.fromEntries(Object.entries(fds).map(([name, fd]) => [name, (fd as IpcFd).clone()])) as T;
}

processTest("An end of a doorbell must be the right end of an unnamed pipe", () => {
  const { c } = libc();
  const folder = Deno.makeTempDirSync({ prefix: "isthmus-doorbell-" });
  const path = new TextEncoder().encode(`${folder}/fifo\0`);
  c.mkfifo(path, 0o600);
  const fifo = new IpcFd(c.open(path, 2, 0));
  assertIpcErrorSync("Corrupt", () => privateEnd(fifo, "ring"));
  assert(fifo.closed);
  const again = new IpcFd(c.open(path, 2, 0));
  assertIpcErrorSync("Corrupt", () => sharedEnd(again));
  assert(again.closed);
  Deno.removeSync(folder, { recursive: true });
  for (const role of ["listen", "ring"] as const) {
    const [listen, bell] = createDoorbell();
    const [right, wrong] = role === "listen" ? [listen, bell] : [bell, listen];
    assertIpcErrorSync("Corrupt", () => privateEnd(wrong.clone(), role));
    const own = privateEnd(right.clone(), role);
    assert(!isShared(own));
    own.close(), listen.close(), bell.close();
  }
});

processTest("An end that a peer shares is rung without waiting, and made this process's own under its number", () => {
  const { c } = libc();
  const [listen, bell] = createDoorbell();
  assertIpcErrorSync("Corrupt", () => sharedEnd(listen.clone()));
  const peers = bell.clone(), end = sharedEnd(bell), number = end.fd;
  assert(end === bell && isShared(end));
  makeBlocking(peers.fd);
  for (let i = 0; i < 100; i++) assert(ringAnyBell(end), "also when the pipe is full");
  drain(listen.fd);
  makeOwn(end);
  assert(!isShared(end));
  assertEquals(end.fd, number);
  for (let i = 0; i < 70; i++) c.write(end.fd, new Uint8Array(4096), 4096n); // of what the peer has done to its own nothing is left
  assert(ringAnyBell(end));
  listen.close();
  assert(!ringAnyBell(end));
  peers.close(), end.close();
});

/** Receives with an end that belongs to another user, who lets it be opened. */
export async function receiveAsNobody({ receiver }: { receiver: IpcReceiver<number> }, self: Self): Promise<void> {
  becomeNobody();
  self.say();
  for (let n = 0; n < 3; n++) self.say(await receiver.recv());
  receiver.close();
}

processTest("A receiver of another user is rung by its sender", async ({ start }) => {
  const [sender, receiver] = channel<number>();
  const child = await start(import.meta.url, receiveAsNobody, { receiver });
  await child.said();
  for (let n = 0; n < 3; n++) {
    await sender.send(n);
    assertEquals(await soon(child.said()), n);
  }
  sender.close();
});
