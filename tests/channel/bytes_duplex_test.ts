import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { bytesChannel, bytesDuplex, channel, IpcBytesDuplex, IpcBytesServer, IpcServer } from "../../mod.ts";
import type { Self } from "../support/actor.ts";
import { assertIpcError, assertIpcErrorSync, soon } from "../support/assert_ipc.ts";
import { processTest, test } from "../support/test.ts";

const bytes = (...values: number[]) => new Uint8Array(values);

test("Byte strings go through as they are, both ways, by every way of sending and receiving", async () => {
  const [left, right] = bytesDuplex();
  await left.send(bytes(1));
  left.sendSync(bytes(2));
  assertEquals(left.trySend(bytes()), true);
  assertEquals(await right.recv(), bytes(1));
  assertEquals(right.recvSync(), bytes(2));
  assertEquals(right.tryRecv(), { state: "message", value: bytes() });
  assertEquals(right.tryRecv(), { state: "empty" });
  await right.sendWhenEmpty(bytes(3));
  right.sendSync(bytes(4)), right.sendSync(bytes(5));
  assertEquals(left.recvMany(2), [bytes(3), bytes(4)]);
  const target = new Uint8Array(3);
  assertEquals(await left.recvInto(target), 1);
  assertEquals(target, bytes(5, 0, 0));
  right.sendSync(bytes(6, 7));
  assertEquals(left.recvIntoSync(target), 2);
  assertIpcErrorSync("Timeout", () => left.recvSync({ timeout: 1 }));
  assertThrows(() => left.sendSync("text" as unknown as Uint8Array), TypeError);
  left.close(), left.close(), right.close();
});

test("Loans are filled in place, borrowed messages are read in place", async () => {
  const [left, right] = bytesDuplex({ capacity: 1 << 20 });
  for (const reserve of [() => left.reserve(5000), () => left.reserveSync(5000), () => left.tryReserve(5000)!]) {
    using loan = await reserve();
    loan.bytes.fill(9);
    loan.commit(4000);
  }
  {
    using first = await right.borrow(), second = right.borrowSync(), third = right.tryBorrow()!;
    for (const { value } of [first, second, third]) assertEquals([value.length, value[3999]], [4000, 9]);
  }
  {
    using _given = left.reserveSync(10);
  }
  assertEquals(right.tryBorrow(), undefined);
  left.close(), right.close();
});

test("run() answers bytes, and the loop and the streams end with the other side", async () => {
  const [left, right] = bytesDuplex();
  const running = right.run((request) => request[0] === 0 ? undefined : bytes(...request, 1));
  left.sendSync(bytes(0)), left.sendSync(bytes(5));
  assertEquals(await soon(left.recv()), bytes(5, 1));
  left.close();
  await soon(running);
  right.close();
  const [here, there] = bytesDuplex();
  const piping = ReadableStream.from([bytes(1), bytes(2)]).pipeTo(here.writable);
  assertEquals(await soon(Array.fromAsync(there.readable)), [bytes(1), bytes(2)]);
  await soon(piping);
  here.close(), there.close();
});

test("When one end closes the other gets what was sent, then Disconnected", async () => {
  const [left, right] = bytesDuplex();
  left.sendSync(bytes(1));
  left.close();
  assertIpcErrorSync("Disconnected", () => right.sendSync(bytes(2)));
  assertEquals(await Array.fromAsync(right), [bytes(1)]);
  await assertIpcError("Disconnected", () => right.recv());
  right.close();
  assertIpcErrorSync("Closed", () => left.sendSync(bytes(1)));
});

test("split() takes the halves, which live on; a duplex is made of a sender and a receiver of bytes", () => {
  const [left, right] = bytesDuplex();
  right.sendSync(bytes(1));
  const [sender, receiver] = left.split();
  assert(left.closed);
  assertIpcErrorSync("Closed", () => left.split());
  assertEquals(receiver.recvSync({ timeout: 0 }), bytes(1));
  const again = new IpcBytesDuplex(sender, receiver);
  again.sendSync(bytes(2));
  assertEquals(right.recvSync({ timeout: 0 }), bytes(2));
  again.close(), right.close();
  const [values, from] = channel<number>(), [, other] = bytesChannel();
  assertThrows(() => new IpcBytesDuplex(values as never, from as never), TypeError, "an IpcBytesSender");
  values.close(), from.close(), other.close();
});

test("A duplex for bytes travels in a message, with its backlog", () => {
  const [carrier, arrivals] = channel<{ line: IpcBytesDuplex }>();
  const [left, right] = bytesDuplex();
  left.sendSync(bytes(1));
  carrier.sendSync({ line: right });
  assert(right.closed);
  const { line } = arrivals.recvSync({ timeout: 0 });
  assert(line instanceof IpcBytesDuplex);
  assertEquals(line.recvSync({ timeout: 0 }), bytes(1));
  line.sendSync(bytes(2));
  assertEquals(left.recvSync({ timeout: 0 }), bytes(2));
  for (const end of [carrier, arrivals, left, line]) end.close();
});

test("A duplex for bytes in a message that cannot be sent stays", () => {
  const [carrier, arrivals] = channel<unknown>();
  const [left, right] = bytesDuplex();
  assertIpcErrorSync("Serialization", () => carrier.sendSync([right, () => {}]));
  left.sendSync(bytes(1));
  assertEquals(right.recvSync({ timeout: 0 }), bytes(1));
  for (const end of [carrier, arrivals, left, right]) end.close();
});

test("A server for bytes gives each client a duplex of its own, by every way of accepting", async () => {
  using server = new IpcBytesServer({ capacity: 65_536, maxMessageBytes: 1000 });
  const clients = Array.from({ length: 3 }, (_, n) => {
    const client = IpcBytesServer.connect(server.name);
    client.sendSync(bytes(n));
    return client;
  });
  const served = [await soon(server.accept()), server.acceptSync({ timeout: 1000 }), server.tryAccept()!];
  for (const [n, end] of served.entries()) {
    assert(end instanceof IpcBytesDuplex);
    assertEquals(end.peer?.pid, Deno.pid);
    assertEquals(await soon(end.recv()), bytes(n));
    end.sendSync(bytes(n, n));
    assertEquals(await soon(clients[n]!.recv()), bytes(n, n));
  }
  clients[0]!.sendSync(new Uint8Array(2000));
  await assertIpcError("TooLarge", () => soon(served[0]!.recv()));
  assertEquals(server.tryAccept(), undefined);
  for (const end of [...clients, ...served]) end.close();
  server.close();
  await assertIpcError("Closed", () => server.accept());
});

test("The names of servers for values and for bytes cannot be confused", async () => {
  using values = new IpcServer(), byteStrings = new IpcBytesServer();
  assertIpcErrorSync("Incompatible", () => IpcServer.connect(byteStrings.name));
  assertIpcErrorSync("Incompatible", () => IpcBytesServer.connect(values.name));
  await assertRejects(() => values.accept({ timeout: 1 }));
});

/** Sends back what it gets in place, until the other end closes. */
export async function mirror({ name }: { name: string }, self: Self): Promise<void> {
  using line = IpcBytesServer.connect(name);
  self.say("here");
  for (;;) {
    try {
      using request = await line.borrow();
      using answer = await line.reserve(request.value.length);
      answer.bytes.set(request.value);
      answer.commit();
    } catch {
      return;
    }
  }
}

processTest("Bytes between processes, filled and read in place, until one side dies", async ({ start }) => {
  using server = new IpcBytesServer();
  const child = await start(import.meta.url, mirror, { name: server.name });
  using line = await soon(server.accept());
  for (const length of [0, 1, 1000, 100_000]) {
    await line.send(new Uint8Array(length).fill(length));
    using answer = await soon(line.borrow());
    assertEquals([answer.value.length, answer.value.every((byte) => byte === (length & 255))], [length, true]);
  }
  const waiting = assertIpcError("Disconnected", () => soon(line.recv()));
  await child.kill();
  await waiting;
});
