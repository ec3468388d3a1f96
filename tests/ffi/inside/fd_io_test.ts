// Reading and writing through descriptors, and passing them, with time-outs and signals.
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { channel, IpcError, IpcFd, recvFds, recvFdsSync, sendFds, sendFdsSync, UnixSocket } from "../../../mod.ts";
import { createDoorbell } from "../../../ffi/event/doorbell.ts";
import { assertIpcError, assertIpcErrorSync, soon } from "../../support/assert_ipc.ts";
import { Folder } from "../../support/folder.ts";
import { test } from "../../support/test.ts";

const text = (bytes: Uint8Array | null) => bytes === null ? null : new TextDecoder().decode(bytes);
const bytes = (of: string) => new TextEncoder().encode(of);
const turn = () => new Promise((resolve) => setTimeout(resolve, 1));

/** Pairs of connected descriptors, to read from and to write to. */
const PAIRS: Record<string, () => [IpcFd, IpcFd]> = {
  "a pipe": createDoorbell,
  "a stream socket": () => UnixSocket.pair().map((end) => new IpcFd(end.takeFd())) as [IpcFd, IpcFd],
  "a packet socket": () =>
    UnixSocket.pair({ type: "seqpacket" }).map((end) => new IpcFd(end.takeFd())) as [IpcFd, IpcFd],
};

for (const [name, pair] of Object.entries(PAIRS)) {
  test(`What is written to ${name} is read from it, in both forms, with time-outs and signals`, async () => {
    const [from, to] = pair();
    const buffer = new Uint8Array(100);
    assertEquals(to.writeSync(bytes("one")), 3);
    assertEquals(from.readSync(buffer), 3);
    assertEquals(text(buffer.subarray(0, 3)), "one");
    const reading = from.read(buffer);
    await turn();
    assertEquals(await soon(to.write(bytes("two"))), 3);
    assertEquals(await soon(reading), 3);
    assertEquals(text(buffer.subarray(0, 3)), "two");

    const late = await assertIpcError("Timeout", () => from.read(buffer, { timeout: 5 }));
    assertStringIncludes(late.message, "timed out after");
    assertIpcErrorSync("Timeout", () => from.readSync(buffer, { timeout: 5 }));
    assertIpcErrorSync("Timeout", () => from.readSync(buffer, { timeout: 0 }));
    const stop = new AbortController();
    const stopped = from.read(buffer, { signal: stop.signal });
    const reason = new Error("enough");
    await turn();
    stop.abort(reason);
    assert(await stopped.catch((error) => error) === reason);

    // Full: nothing is lost, and it goes on when there is room.
    const piece = new Uint8Array(3000);
    let written = 0;
    for (;;) {
      try {
        written += to.writeSync(piece, { timeout: 0 });
      } catch (error) {
        assert(error instanceof IpcError && error.code === "Timeout");
        break;
      }
    }
    const more = to.write(piece);
    const room = new Uint8Array(piece.length); // a packet that is longer is cut off
    let seen = 0;
    while (seen < written) seen += (await soon(from.read(room)))!;
    written += await soon(more);
    while (seen < written) seen += (await soon(from.read(room)))!;

    to.close();
    assertEquals(await soon(from.read(buffer)), null);
    assertEquals(from.readSync(buffer), null);
    from.close();
    await assertIpcError("Closed", () => from.read(buffer));
    assertIpcErrorSync("Closed", () => from.readSync(buffer));
  });

  test(`Closing ${name} ends a wait for it with Closed, and the other end is Disconnected for writing`, async () => {
    const [from, to] = pair();
    const reading = from.read(new Uint8Array(10));
    await turn();
    from.close();
    await soon(assertIpcError("Closed", () => reading));
    await soon(assertIpcError("Disconnected", () => to.write(bytes("x"))));
    assertIpcErrorSync("Disconnected", () => to.writeSync(bytes("x")));
    to.close();
  });
}

test("Streams read and write all, through a message too, and close their descriptor at the end", async () => {
  const [from, to] = PAIRS["a pipe"]!();
  const [sender, receiver] = channel<{ from: IpcFd; to: IpcFd }>();
  await sender.send({ from, to });
  from.close(), to.close();
  const received = await receiver.recv();
  const much = new Uint8Array(1 << 20).map((_, i) => i * 7);
  const writing = (async () => {
    const writer = received.to.writable.getWriter();
    await writer.write(much);
    await writer.close();
  })();
  const copy: Uint8Array<ArrayBuffer> = new Uint8Array(await soon(new Response(received.from.readable).arrayBuffer()));
  await soon(writing);
  assertEquals(copy.length, much.length);
  assert(copy.every((byte, i) => byte === much[i]));
  assertEquals([received.from.closed, received.to.closed], [true, true]);

  const [more, ring] = PAIRS["a pipe"]!();
  const reader = more.readable.getReader();
  const reading = reader.read().catch(() => ({ done: true }));
  await turn();
  await soon(reader.cancel());
  assertEquals((await soon(reading)).done, true);
  assertEquals(more.closed, true);
  ring.close(), sender.close(), receiver.close();
});

if (Deno.permissions.querySync({ name: "write" }).state === "granted") {
  test("A regular file is read and written at its offset", async () => {
    using folder = new Folder();
    const path = `${folder.path}/file`;
    Deno.writeTextFileSync(path, "hello");
    const file = new IpcFd(await opened(path));
    const buffer = new Uint8Array(4);
    assertEquals([file.readSync(buffer), text(buffer)], [4, "hell"]);
    assertEquals([await file.read(buffer), text(buffer.subarray(0, 1))], [1, "o"]);
    assertEquals(await file.read(buffer), null);
    assertEquals(await file.write(bytes(" again")), 6);
    assertEquals(Deno.readTextFileSync(path), "hello again");
    file.close();
  });
}

/** A descriptor of a file that Deno does not know. */
async function opened(path: string): Promise<number> {
  const { libc, cString } = await import("../../../ffi/libc/libc.ts");
  return libc().c.open(cString(path), 2 | 0o2000000, 0);
}

test("recvFds, sendFds and accept obey time-outs and signals in all forms", async () => {
  for (const type of ["stream", "seqpacket"] as const) {
    const [here, there] = UnixSocket.pair({ type });
    const name = `@isthmus-test-${crypto.randomUUID()}`;
    using listening = UnixSocket.listen(name, { type });
    const timeout = 5;
    for (
      const wait of [
        () => recvFds(here, 10, { timeout }),
        () => recvFds(here, 10, 1, { timeout }),
        () => recvFds(here, 10, { timeout: 0 }),
        () => listening.accept({ timeout }),
      ]
    ) assertStringIncludes((await soon(assertIpcError("Timeout", wait))).message, "timed out after");
    assertIpcErrorSync("Timeout", () => recvFdsSync(here, 10, { timeout }));
    assertIpcErrorSync("Timeout", () => recvFdsSync(here, 10, 1, { timeout }));
    assertIpcErrorSync("Timeout", () => listening.acceptSync({ timeout }));
    for (
      const wait of [
        (signal: AbortSignal) => recvFds(here, 10, { signal }),
        (signal: AbortSignal) => listening.accept({ signal }),
      ]
    ) {
      const stop = new AbortController();
      const waiting: Promise<unknown> = wait(stop.signal);
      await turn();
      stop.abort(new Error("enough"));
      await assertRejects(() => soon(waiting), Error, "enough");
      await assertRejects(() => wait(AbortSignal.abort(new Error("before"))), Error, "before");
    }
    const received = recvFds(here, 10), accepted = listening.accept();
    await turn();
    await sendFds(there, bytes("x"), [there.fd], { timeout: 1000 });
    const { data, fds } = await soon(received);
    assertEquals([text(data), fds.length], ["x", 1]);
    fds[0]!.close();
    const client = UnixSocket.connect(name, { type });
    (await soon(accepted)).close();
    client.close();

    // A socket that is full.
    const packet = new Uint8Array(4000);
    for (;;) {
      try {
        sendFdsSync(there, packet, [], { timeout: 0 });
      } catch (error) {
        assert(error instanceof IpcError && error.code === "Timeout", String(error));
        break;
      }
    }
    await soon(assertIpcError("Timeout", () => sendFds(there, packet, [], { timeout })));
    const pending = recvFds(there, 10);
    await turn();
    there.close();
    await soon(assertIpcError("Closed", () => pending));
    here.close();
  }
});

test("Waits for descriptors ask nothing of the processor while nothing happens", async () => {
  const sockets = Array.from({ length: 20 }, () => UnixSocket.pair());
  const stop = new AbortController();
  const waits = sockets.map(([here]) => recvFds(here, 1, { signal: stop.signal }).catch(() => {}));
  await new Promise((resolve) => setTimeout(resolve, 50));
  const switches = () =>
    Number(/^voluntary_ctxt_switches:\s*(\d+)/m.exec(Deno.readTextFileSync("/proc/self/status"))![1]);
  if (Deno.permissions.querySync({ name: "read" }).state === "granted") {
    const before = switches();
    await new Promise((resolve) => setTimeout(resolve, 400));
    assert(switches() - before < 40, `${switches() - before} times awake`); // 50 with a look every 8 ms
  }
  stop.abort();
  await soon(Promise.all(waits));
  for (const [here, there] of sockets) here.close(), there.close();
});
