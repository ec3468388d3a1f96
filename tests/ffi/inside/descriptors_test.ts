import { assert, assertEquals, assertThrows } from "@std/assert";
import { IpcFd, recvFds, recvFdsSync, sendFds, sendFdsSync, UnixSocket } from "../../../mod.ts";
import { createDoorbell } from "../../../ffi/event/doorbell.ts";
import { closeTogether } from "../../../ffi/file/fd.ts";
import { libc } from "../../../ffi/libc/libc.ts";
import { sameFileKey } from "../../../ffi/memory/storage.ts";
import type { Self } from "../../support/actor.ts";
import { assertIpcError, assertIpcErrorSync, soon } from "../../support/assert_ipc.ts";
import { processTest, test } from "../../support/test.ts";

/** Whether a descriptor is open, and closed by `exec`. */
function closesOnExec(fd: number): boolean {
  const F_GETFD = 1, FD_CLOEXEC = 1;
  return (libc().c.fcntl(fd, F_GETFD, 0) & FD_CLOEXEC) !== 0;
}

function isOpen(fd: number): boolean {
  return libc().c.fcntl(fd, 1, 0) >= 0;
}

// --- IpcFd -----------------------------------------------------------------------------------------------------------

test("IpcFd closes its descriptor once, and refuses to be used after that", () => {
  const [a, b] = createDoorbell();
  const { fd } = a;
  a.close();
  assert(!isOpen(fd) && a.closed);
  // The number is in use again: a second close must not touch it.
  const again = b.clone();
  assertEquals(again.fd, fd);
  a.close();
  a[Symbol.dispose]();
  assert(isOpen(fd));
  assertIpcErrorSync("Closed", () => a.fd);
  assertIpcErrorSync("Closed", () => a.take());
  assertIpcErrorSync("Closed", () => a.clone());
  again.close(), b.close();
});

test("IpcFd.take() hands the descriptor over, still open", () => {
  const [a, b] = createDoorbell();
  const fd = a.take();
  a.close();
  assert(isOpen(fd) && a.closed);
  using owner = new IpcFd(fd);
  assertEquals(owner.fd, fd);
  b.close();
});

test("IpcFd.clone() is another descriptor of the same open file, with an owner of its own", () => {
  const [a, b] = createDoorbell();
  const clone = a.clone();
  assert(clone.fd !== a.fd && closesOnExec(clone.fd) && closesOnExec(a.fd));
  assertEquals(sameFileKey(clone.fd), sameFileKey(a.fd));
  a.close();
  assert(isOpen(clone.fd));
  clone.close(), b.close();
});

test("Descriptors that are closed together are, and no others, whatever their numbers", () => {
  const [source, other] = createDoorbell();
  for (const gone of [[], [0], [1], [3], [0, 2], [1, 2, 3], [0, 1, 2, 3]]) {
    for (const taken of [[], [0], [1], [3], [2, 3]]) {
      for (const order of [[0, 1, 2, 3], [3, 2, 1, 0], [2, 3, 0, 1], [0, 2, 3, 1]]) {
        const row = [0, 1, 2, 3].map(() => source.clone()), numbers = row.map(({ fd }) => fd);
        const keeps = taken.filter((i) => !gone.includes(i));
        for (const i of gone) row[i]!.close();
        for (const i of keeps) row[i]!.take();
        closeTogether(order.map((i) => row[i]!));
        const text = `${gone} were closed, ${keeps} taken, order ${order}`;
        assert(row.every(({ closed }) => closed), text);
        assertEquals(numbers.map(isOpen), numbers.map((_, i) => keeps.includes(i)), text);
        for (const i of keeps) new IpcFd(numbers[i]!).close();
      }
    }
  }
  source.close(), other.close();
});

test("IpcFd takes integers from 0 only", () => {
  for (const fd of [-1, 1.5, NaN, Infinity, 2 ** 31, "3" as unknown as number]) {
    assertThrows(() => new IpcFd(fd), TypeError);
  }
});

// --- sendFds and recvFds ---------------------------------------------------------------------------------------------

for (const type of ["stream", "seqpacket"] as const) {
  test(`sendFds() carries bytes and descriptors over a ${type} socket, closed by exec`, async () => {
    const [a, b] = UnixSocket.pair({ type });
    const [listen, ring] = createDoorbell();
    sendFdsSync(a, new TextEncoder().encode("both"), [listen.fd, ring.fd]);
    const { data, fds } = recvFdsSync(b, 64);
    assertEquals(new TextDecoder().decode(data), "both");
    assertEquals(fds.map((fd) => sameFileKey(fd.fd)), [listen, ring].map((fd) => sameFileKey(fd.fd)));
    assert(fds.every((fd) => closesOnExec(fd.fd)));
    const pending = recvFds(b, 64);
    await sendFds(a, new Uint8Array([1, 2]), [ring.fd]);
    const received = await soon(pending);
    assertEquals([...received.data], [1, 2]);
    a.close();
    assertEquals((await soon(recvFds(b, 64))).data.length, 0, "the end of the stream");
    for (const fd of [...fds, ...received.fds, listen, ring, b]) fd.close();
  });
}

test("More descriptors than allowed are an error, and all of them are closed", async () => {
  const [a, b] = UnixSocket.pair();
  sendFdsSync(a, new Uint8Array(1), [a.fd, a.fd, a.fd]);
  assertIpcErrorSync("Corrupt", () => recvFdsSync(b, 16, 2));
  sendFdsSync(a, new Uint8Array(1), [a.fd]);
  await assertIpcError("Corrupt", () => recvFds(b, 16, 0));
  sendFdsSync(a, new Uint8Array(1), new Array(253).fill(a.fd));
  const { fds } = recvFdsSync(b, 16);
  assertEquals(fds.length, 253);
  for (const fd of [...fds, a, b]) fd.close();
});

test("A packet longer than the limit is TooLarge, and its descriptors are closed", () => {
  const [a, b] = UnixSocket.pair({ type: "seqpacket" });
  sendFdsSync(a, new Uint8Array(100), [a.fd]);
  assertIpcErrorSync("TooLarge", () => recvFdsSync(b, 99));
  a.close(), b.close();
});

test("sendFds() refuses what cannot be sent before it tries", async () => {
  const [a, b] = UnixSocket.pair();
  assertThrows(() => sendFdsSync(a, new Uint8Array(0), [a.fd]), TypeError);
  assertThrows(() => sendFdsSync(a, new Uint8Array(1), new Array(254).fill(a.fd)), RangeError);
  assertThrows(() => sendFdsSync(a, new Uint8Array(1), [-1]), TypeError);
  assertThrows(() => recvFdsSync(b, 0), RangeError);
  await assertIpcError("System", () => sendFds(a, new Uint8Array(1), [1_000_000]));
  b.close();
  await assertIpcError("Disconnected", () => sendFds(a, new Uint8Array(1), []));
  a.close();
});

test("A stream socket takes more bytes than its buffer, while the other side reads", async () => {
  const [a, b] = UnixSocket.pair();
  const sending = sendFds(a, new Uint8Array(2_000_000).fill(7), [a.fd]);
  let received = 0, descriptors = 0;
  while (received < 2_000_000) {
    const { data, fds } = await soon(recvFds(b, 65_536));
    received += data.length;
    descriptors += fds.length;
    for (const fd of fds) fd.close();
  }
  await soon(sending);
  assertEquals([received, descriptors], [2_000_000, 1]);
  a.close(), b.close();
});

/** Connects, and sends a pipe of which it keeps the other end until it is told. */
export function sendPipe({ name }: { name: string }, self: Self): void {
  const socket = UnixSocket.connect(name);
  const [listen, ring] = createDoorbell();
  sendFdsSync(socket, new TextEncoder().encode("pipe"), [listen.fd]);
  self.hear();
  libc().c.write(ring.fd, new Uint8Array([42]), 1n);
  self.say();
}

processTest("A descriptor from another process works here, and the kernel tells who sent it", async ({ start }) => {
  const name = `@isthmus-test-${crypto.randomUUID()}`;
  const server = UnixSocket.listen(name);
  const accepted = server.accept();
  const child = await start(import.meta.url, sendPipe, { name });
  const peer = await soon(accepted);
  assertEquals(peer.peer.pid, child.pid);
  assertEquals(peer.peer.uid, libc().c.geteuid());
  const { fds } = await soon(recvFds(peer, 16));
  await child.tell();
  await child.said();
  const byte = new Uint8Array(1);
  assertEquals(libc().c.read(fds[0]!.fd, byte, 1n), 1);
  assertEquals(byte[0], 42);
  await child.status;
  assertEquals((await soon(recvFds(peer, 16))).data.length, 0);
  for (const end of [...fds, peer, server]) end.close();
});

test("A packet is received although its sender was closed with something unread", () => {
  const [here, there] = UnixSocket.pair({ type: "seqpacket" });
  sendFdsSync(here, new Uint8Array([1]), []);
  sendFdsSync(there, new Uint8Array([2, 3]), []);
  there.close(); // Linux tells that first, once, as ECONNRESET
  assertEquals(recvFdsSync(here, 8).data, new Uint8Array([2, 3]));
  assertEquals(recvFdsSync(here, 8).data.length, 0);
  here.close();
});
