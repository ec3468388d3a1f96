// Bodies of messages that do not fit into the ring travel in files that a peer has made: none is believed.
import { assert, assertEquals, assertThrows } from "@std/assert";
import { bytesChannel, channel, IpcError, type IpcReceiver, IpcServer } from "../../mod.ts";
import { IpcFd } from "../../ffi/file/fd.ts";
import { libc } from "../../ffi/libc/libc.ts";
import { O_CLOEXEC, O_RDONLY, O_RDWR, O_WRONLY } from "../../ffi/libc/platform.ts";
import { createDoorbell } from "../../ffi/event/doorbell.ts";
import { writeMemoryFile } from "../../ffi/memory/memory_file.ts";
import type { Self } from "../support/actor.ts";
import { assertIpcError, assertIpcErrorSync } from "../support/assert_ipc.ts";
import { patience } from "../support/patience.ts";
import { processTest, test } from "../support/test.ts";
import {
  BODY_SEALS,
  GROW,
  HostilePeer,
  memoryFile,
  type RawChannel,
  RING_SEALS,
  SHRINK,
  victim,
  WRITE,
} from "./forge.ts";

const GB = 2 ** 30, MB = 2 ** 20;

/** What the record says, and the file that comes with it. */
const BODIES: Record<string, { length: number; make: () => IpcFd | number }> = {
  "an empty sparse file of 1 GB": { length: GB, make: () => memoryFile(GB, BODY_SEALS) },
  "a sparse file of 12 GB": { length: 12 * GB, make: () => memoryFile(12 * GB, BODY_SEALS) },
  "a sparse file that is written at its beginning": {
    length: 64 * MB,
    make: () => memoryFile(64 * MB, BODY_SEALS, new Uint8Array(MB)),
  },
  "a file of the largest size there is": { length: 2 ** 62, make: () => memoryFile(2 ** 62, BODY_SEALS) },
  "a file without seals": { length: 100_000, make: () => memoryFile(100_000, 0, new Uint8Array(100_000)) },
  "a file that may be written": {
    length: 100_000,
    make: () => memoryFile(100_000, RING_SEALS, new Uint8Array(100_000)),
  },
  "a file that may get more seals": {
    length: 100_000,
    make: () => memoryFile(100_000, SHRINK | GROW | WRITE, new Uint8Array(100_000)),
  },
  "a longer file": { length: 100_000, make: () => writeMemoryFile("body", [new Uint8Array(100_001)], 100_001) },
  "a shorter file": { length: 100_000, make: () => writeMemoryFile("body", [new Uint8Array(99_999)], 99_999) },
  "a small file, beside a claim that no machine has memory for": {
    length: 2 ** 52,
    make: () => writeMemoryFile("body", [new Uint8Array(1000)], 1000),
  },
  "a file that cannot be read": {
    length: 100_000,
    make: () => {
      using body = writeMemoryFile("body", [new Uint8Array(100_000)], 100_000);
      return open(`/proc/self/fd/${body.fd}`, O_WRONLY);
    },
  },
  "a device": { length: 100_000, make: () => open("/dev/zero", O_RDONLY) },
  "a pipe that nobody writes to": { length: 100_000, make: () => createDoorbell()[0].take() },
  "a terminal": { length: 100_000, make: () => open("/dev/ptmx", O_RDWR) },
  "a file of the disk": { length: 1000, make: () => open(import.meta.filename!, O_RDONLY) },
};

function open(path: string, flags: number): number {
  return libc().c.open(new TextEncoder().encode(path + "\0"), flags | O_CLOEXEC, 0);
}

/** Sends one of these bodies whenever it is told. */
export function sendBodies({ raw }: { raw: RawChannel }, self: Self): void {
  const peer = new HostilePeer(raw);
  for (let what = self.hear<string>(); what !== ""; what = self.hear<string>()) {
    const { length, make } = BODIES[what]!;
    const made = make();
    using body = typeof made === "number" ? new IpcFd(made) : made;
    peer.outOfLine(body.fd, length);
    self.say();
  }
  peer.close();
}

const WAYS: Record<string, (receiver: IpcReceiver<unknown>) => unknown> = {
  "recvSync()": (receiver) => receiver.recvSync({ timeout: 100 }),
  "recv()": (receiver) => receiver.recv({ timeout: 100 }),
  "tryRecv()": (receiver) => receiver.tryRecv(),
  "borrowSync()": (receiver) => receiver.borrowSync({ timeout: 100 }),
};

processTest("A body that is no sealed, written memory file of its length is refused at once", async ({ start }) => {
  const { sender, receiver, raw, close } = victim<unknown>();
  const child = await start(import.meta.url, sendBodies, { raw });
  for (const what of Object.keys(BODIES)) {
    for (const [way, receive] of Object.entries(WAYS)) {
      await child.tell(what);
      await child.said();
      sender.sendSync("next");
      const before = Deno.memoryUsage().rss, began = performance.now();
      const error = await receivesError(() => receive(receiver), `${what}, ${way}`);
      // A claim that is not true is damage, however much it is: it is no question of room.
      if (what.includes("claim")) assertEquals(error.code, "Corrupt", error.message);
      const took = performance.now() - began, grown = (Deno.memoryUsage().rss - before) / MB;
      assert(["Incompatible", "Corrupt", "TooLarge"].includes(error.code), `${what}, ${way}: ${error.message}`);
      assert(took < patience(1000) && grown < 100, `${what}, ${way}: ${took} ms, ${grown} MiB`);
      assertEquals(receiver.recvSync({ timeout: 0 }), "next", `${what}, ${way}`);
    }
  }
  await child.tell("");
  assert((await child.status).success);
  close();
});

async function receivesError(receive: () => unknown, what: string): Promise<IpcError> {
  try {
    await receive();
  } catch (error) {
    if (error instanceof IpcError) return error;
    throw error;
  }
  throw new Error(`${what}: was received`);
}

test("A record of the ring that claims more than anybody wrote is Corrupt, and takes no memory", () => {
  const { sender, receiver, raw, close } = victim<unknown>(2 ** 30);
  const peer = new HostilePeer({
    ring: raw.ring.clone(),
    bell: raw.bell.clone(),
    listen: raw.listen.clone(),
    socket: raw.socket.clone(),
  });
  const length = 900 * MB;
  peer.commit(peer.claim(length / 64), length + 1);
  sender.sendSync("next");
  const before = Deno.memoryUsage().rss;
  assertIpcErrorSync("Corrupt", () => receiver.recvSync({ timeout: 100 }));
  assert(Deno.memoryUsage().rss - before < 100 * MB);
  assertEquals(receiver.recvSync({ timeout: 0 }), "next");
  peer.close(), close();
});

test("A limit holds for messages in the ring and beside it; what is within arrives", async () => {
  const [sender, receiver] = bytesChannel({ capacity: 1 << 20 });
  receiver.limitMessages(3 * MB);
  for (const length of [3 * MB, 3 * MB + 1, 10, 4 * MB]) sender.sendSync(new Uint8Array(length));
  assertEquals(receiver.recvSync().length, 3 * MB);
  assertIpcErrorSync("TooLarge", () => receiver.recvSync());
  assertEquals((await receiver.recv()).length, 10);
  await assertIpcError("TooLarge", () => receiver.recv());
  receiver.limitMessages(100);
  sender.sendSync(new Uint8Array(101)), sender.sendSync(new Uint8Array(100));
  assertIpcErrorSync("TooLarge", () => receiver.tryRecv());
  assertEquals(receiver.recvMany().map(({ length }) => length), [100]);
  sender.close(), receiver.close();
});

test("A time-out holds while a large body is read; the next calls go on with it, and lose nothing", async () => {
  const [sender, receiver] = bytesChannel({ capacity: 65_536 });
  const body = new Uint8Array(300 * MB);
  body[0] = 1, body[body.length - 1] = 2;
  for (const wait of [() => receiver.recvSync({ timeout: 1 }), () => receiver.recv({ timeout: 1 })]) {
    sender.sendSync(body), sender.sendSync(new Uint8Array(5));
    let timeouts = 0, received: Uint8Array | undefined;
    while (received === undefined) {
      const began = performance.now();
      try {
        received = await wait();
      } catch (error) {
        assert(error instanceof IpcError && error.code === "Timeout", String(error));
        assert(performance.now() - began < patience(1000));
        timeouts++;
      }
    }
    assert(timeouts > 2, `${timeouts}`);
    assertEquals([received.length, received[0], received.at(-1)], [body.length, 1, 2]);
    assertEquals((await receiver.recv()).length, 5);
  }
  sender.sendSync(body);
  assertIpcErrorSync("Timeout", () => receiver.recvSync({ timeout: 1 }));
  assertEquals((await receiver.recv()).length, body.length); // without a limit
  sender.sendSync(body);
  assertIpcErrorSync("Timeout", () => receiver.recvSync({ timeout: 1 }));
  // What was read of it stays here when the receiver moves; the message goes along.
  const [mover, moved] = channel<typeof receiver>();
  mover.sendSync(receiver);
  const there = moved.recvSync();
  assertEquals(there.recvSync().length, body.length);
  for (const end of [sender, there, mover, moved]) end.close();
});

test("The limit is an option of channels, servers and clients", async () => {
  const [bytes, byteReceiver] = bytesChannel({ maxMessageBytes: 10 });
  bytes.sendSync(new Uint8Array(11)), bytes.sendSync(new Uint8Array(10));
  assertIpcErrorSync("TooLarge", () => byteReceiver.recvSync());
  assertEquals(byteReceiver.recvSync().length, 10);
  const [values, valueReceiver] = channel<string>({ maxMessageBytes: 100 });
  values.sendSync("x".repeat(200));
  assertIpcErrorSync("TooLarge", () => valueReceiver.recvSync());
  using server = new IpcServer<string, string>({ maxMessageBytes: 100 });
  using client = IpcServer.connect<string, string>(server.name, { maxMessageBytes: 300 });
  using served = await server.accept();
  client.sendSync("x".repeat(200)), served.sendSync("x".repeat(200)), served.sendSync("x".repeat(400));
  assertIpcErrorSync("TooLarge", () => served.recvSync());
  assertEquals(client.recvSync().length, 200);
  assertIpcErrorSync("TooLarge", () => client.recvSync());
  for (const wrong of [-1, 1.5, NaN]) {
    assertThrows(() => channel({ maxMessageBytes: wrong }), RangeError);
    assertThrows(() => new IpcServer({ maxMessageBytes: wrong }), RangeError);
    assertThrows(() => IpcServer.connect(server.name, { maxMessageBytes: wrong }), RangeError);
    assertThrows(() => client.limitMessages(wrong), RangeError);
  }
  for (const end of [bytes, byteReceiver, values, valueReceiver]) end.close();
});
