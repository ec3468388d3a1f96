// Open files inside messages: IpcFd.
import { assert, assertEquals } from "@std/assert";
import { createDoorbell, drain, ringBell } from "../../../ffi/event/doorbell.ts";
import { channel, IpcFd, type IpcReceiver, type IpcSender, UnixSocket } from "../../../mod.ts";
import type { Self } from "../../support/actor.ts";
import { assertIpcErrorSync, soon } from "../../support/assert_ipc.ts";
import { descriptorsOf } from "../../support/leftovers.ts";
import { processTest, test } from "../../support/test.ts";

/** A descriptor of this process for a file, by a path that leads to it. */
function readThrough(fd: IpcFd): string {
  return Deno.readTextFileSync(`/proc/self/fd/${fd.fd}`);
}

/** Opens a file as an {@linkcode IpcFd}: the descriptor that Deno opens does not show its number. */
function openAsIpcFd(path: string): IpcFd {
  const file = Deno.openSync(path, { read: true, write: true });
  try {
    const number = [...Deno.readDirSync("/proc/self/fd")].map(({ name }) => name).find((name) => linkOf(name) === path);
    const borrowed = new IpcFd(Number(number));
    const own = borrowed.clone();
    borrowed.take(); // it is Deno's
    return own;
  } finally {
    file.close();
  }
}

function linkOf(name: string): string | undefined {
  try {
    return Deno.readLinkSync(`/proc/self/fd/${name}`);
  } catch {
    return undefined;
  }
}

test("An IpcFd in a message is shared: both sides own a descriptor of the same open file", () => {
  const [sender, receiver] = channel<{ bell: IpcFd }>();
  const [listen, bell] = createDoorbell();
  sender.sendSync({ bell });
  const { bell: other } = receiver.recvSync({ timeout: 0 });
  assert(other instanceof IpcFd && other.fd !== bell.fd && !bell.closed);
  bell.close();
  assert(ringBell(other.fd), "the pipe is still open for writing");
  drain(listen.fd);
  for (const end of [other, listen, sender, receiver]) end.close();
});

processTest("Closing a descriptor twice, here and there, closes no other descriptor", () => {
  const [sender, receiver] = channel<IpcFd>();
  const [listen, bell] = createDoorbell();
  sender.sendSync(bell);
  const other = receiver.recvSync({ timeout: 0 });
  const before = descriptorsOf("self").length;
  other.close();
  bell.close();
  // The numbers are taken by others now.
  const [listen2, bell2] = createDoorbell();
  other.close(), bell.close(), other.close();
  assertEquals(descriptorsOf("self").length, before);
  assert(ringBell(bell2.fd));
  assertIpcErrorSync("Closed", () => other.fd);
  assertIpcErrorSync("Closed", () => other.take());
  assertIpcErrorSync("Closed", () => sender.sendSync(bell));
  for (const end of [listen, listen2, bell2, sender, receiver]) end.close();
});

test("64 descriptors in one message arrive as 64, each leading where it led", () => {
  const [sender, receiver] = channel<IpcFd[]>();
  const pairs = Array.from({ length: 64 }, () => createDoorbell());
  sender.sendSync(pairs.map(([, bell]) => bell));
  const received = receiver.recvSync({ timeout: 0 });
  received.forEach((fd, at) => assertEquals(linkOf(`${fd.fd}`), linkOf(`${pairs[at]![1].fd}`)));
  for (const end of [sender, receiver, ...pairs.flat(), ...received]) end.close();
});

// --- Between processes -----------------------------------------------------------------------------------------------

interface Delivery {
  readonly pipe: IpcFd;
  readonly file: IpcFd;
  readonly socket: IpcFd;
}

/** Writes into the pipe, reads and appends to the file, and speaks through the socket. */
export async function useThem({ from }: { from: IpcReceiver<Delivery> }, self: Self): Promise<void> {
  const { pipe, file, socket } = await from.recv();
  ringBell(pipe.fd);
  const text = readThrough(file);
  Deno.writeTextFileSync(`/proc/self/fd/${file.fd}`, " and by the child", { append: true });
  const line = new Uint8Array([1, 2, 3]);
  const path = `/proc/self/fd/${socket.fd}`;
  self.say([text, Deno.readLinkSync(path).startsWith("socket:")]);
  const net = await import("node:net");
  const end = new net.Socket({ fd: socket.take() });
  await new Promise<void>((resolve) => end.end(line, () => resolve()));
  for (const fd of [pipe, file]) fd.close(), fd.close();
  self.say("done");
}

processTest("A pipe, a file and a socket are passed to another process, which uses them", async ({ start }) => {
  const path = Deno.makeTempFileSync();
  try {
    Deno.writeTextFileSync(path, "written by the parent");
    const [sender, receiver] = channel<Delivery>();
    const child = await start(import.meta.url, useThem, { from: receiver });
    const [listen, pipe] = createDoorbell();
    const file = openAsIpcFd(path);
    Deno.removeSync(path); // the descriptor is all there is of it now
    const [here, there] = UnixSocket.pair();
    const socket = new IpcFd(there.takeFd());
    await sender.send({ pipe, file, socket });
    pipe.close(), socket.close();
    assertEquals(await child.said(), ["written by the parent", true]);
    assertEquals(await child.said(), "done");
    assertEquals(readThrough(file), "written by the parent and by the child");
    const net = await import("node:net");
    const end = new net.Socket({ fd: here.takeFd() });
    const bytes: number[] = [];
    for await (const chunk of end) bytes.push(...chunk as Uint8Array);
    assertEquals(bytes, [1, 2, 3]);
    drain(listen.fd);
    for (const end of [listen, file, sender]) end.close();
  } finally {
    try {
      Deno.removeSync(path);
    } catch {
      // removed above
    }
  }
});

processTest("0 to 6, 63 and 300 descriptors with a large message go to another process and back", async ({ start }) => {
  const [one, first] = channel<unknown[]>();
  const [two, second] = channel<unknown[]>();
  await start(import.meta.url, mirrorAll, { from: first, to: two });
  two.close();
  const [listen, bell] = createDoorbell();
  for (const count of [0, 1, 2, 3, 4, 5, 6, 63, 300]) {
    const fds = Array.from({ length: count }, () => bell.clone());
    const bytes = new Uint8Array(5 << 20).fill(count);
    await one.send([fds, bytes]);
    const [back, same] = await soon(second.recv()) as [IpcFd[], Uint8Array];
    assertEquals(back.length, count);
    assertEquals(same.length, bytes.length);
    assert(same[0] === count % 256 && same.at(-1) === count % 256);
    for (const fd of back) assert(ringBell(fd.fd));
    for (const fd of [...fds, ...back]) fd.close();
    drain(listen.fd);
  }
  for (const end of [one, second, listen, bell]) end.close();
});

/** Sends back what it gets, descriptors beside it. */
export async function mirrorAll(
  { from, to }: { from: IpcReceiver<unknown[]>; to: IpcSender<unknown[]> },
): Promise<void> {
  for await (const message of from) {
    await to.send(message);
    for (const fd of message[0] as IpcFd[]) fd.close();
  }
}
