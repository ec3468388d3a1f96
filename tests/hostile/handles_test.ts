import { assert, assertEquals } from "@std/assert";
import { channel, IpcError, type IpcReceiver, type IpcSender } from "../../mod.ts";
import { closeHandle, createChannel, type Handle } from "../../channel/ring/handle.ts";
import { RingConsumer } from "../../channel/ring/consumer.ts";
import { RingProducer } from "../../channel/ring/producer.ts";
import {
  dataOffset,
  FORMAT_VERSION,
  ringSize,
  W_BELL,
  W_BLOCKS,
  W_MAGIC,
  W_VERSION,
} from "../../channel/ring/layout.ts";
import { encodeCbor } from "../../cbor/mod.ts";
import { createDoorbell } from "../../ffi/event/doorbell.ts";
import { IpcFd } from "../../ffi/file/fd.ts";
import { libc } from "../../ffi/libc/libc.ts";
import { Mapping } from "../../ffi/memory/mapping.ts";
import { sealedMemory } from "../../ffi/memory/sealed_memory.ts";
import { writeMemoryFile } from "../../ffi/memory/memory_file.ts";
import { F_ADD_SEALS, F_GETFL, F_SETFL, MFD_ALLOW_SEALING, MFD_CLOEXEC, O_NONBLOCK } from "../../ffi/libc/platform.ts";
import { sendMessage } from "../../ffi/socket/socket_message.ts";
import { socketPair } from "../../ffi/socket/new_socket.ts";
import type { Self } from "../support/actor.ts";
import { assertIpcErrorSync, soon } from "../support/assert_ipc.ts";
import { openChannel } from "../support/open_channel.ts";
import { processTest, test } from "../support/test.ts";
import { Message } from "../../channel/message/outgoing.ts";

const BLOCKS = 1024;

/** The other two descriptors of a handle, sound ones. */
function handleWith(memory: IpcFd): Handle & { rest(): void } {
  const [listen, ring] = createDoorbell();
  const [a, b] = socketPair("stream");
  return { memory, bell: listen, descriptors: a, rest: () => (ring.close(), b.close()) };
}

/** A memory file with these seals and size, filled as a ring, and then changed. */
function ringFile(size: number, seals: number, change: (words: Int32Array) => void = () => {}): IpcFd {
  const { c } = libc();
  const fd = new IpcFd(c.memfd_create(new TextEncoder().encode("hostile\0"), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  c.ftruncate(fd.fd, BigInt(size));
  const mapping = Mapping.shared(fd.fd, 4096);
  const words = new Int32Array(mapping.buffer);
  words[W_MAGIC] = 0x48545349,
    words[W_MAGIC + 1] = 0x474e4952,
    words[W_VERSION] = FORMAT_VERSION,
    words[W_BLOCKS] = BLOCKS;
  change(words);
  mapping.unmap();
  if (seals !== 0) assertEquals(c.fcntl(fd.fd, F_ADD_SEALS, seals), 0);
  return fd;
}

function halfAPipe(): IpcFd {
  const [listen, ring] = createDoorbell();
  ring.close();
  return listen;
}

const SEALED = 1 | 2 | 4; // SEAL, SHRINK, GROW
const SIZE = ringSize(BLOCKS);

const HANDLES: readonly { what: string; make: () => IpcFd; code: "Corrupt" | "Incompatible" }[] = [
  { what: "a memory file without seals", make: () => ringFile(SIZE, 0), code: "Incompatible" },
  { what: "a memory file that may shrink", make: () => ringFile(SIZE, 1 | 4), code: "Incompatible" },
  { what: "a memory file whose seals may change", make: () => ringFile(SIZE, 2 | 4), code: "Incompatible" },
  { what: "a memory file one byte too long", make: () => ringFile(SIZE + 1, SEALED), code: "Corrupt" },
  { what: "a memory file one page too short", make: () => ringFile(SIZE - 4096, SEALED), code: "Corrupt" },
  { what: "an empty header", make: () => ringFile(SIZE, SEALED, (words) => words.fill(0)), code: "Corrupt" },
  { what: "a wrong magic", make: () => ringFile(SIZE, SEALED, (words) => words[W_MAGIC]! ^= 1), code: "Corrupt" },
  { what: "another half magic", make: () => ringFile(SIZE, SEALED, (words) => words[1] = 0), code: "Corrupt" },
  {
    what: "a later version",
    make: () => ringFile(SIZE, SEALED, (words) => words[W_VERSION] = FORMAT_VERSION + 1),
    code: "Incompatible",
  },
  { what: "version 0", make: () => ringFile(SIZE, SEALED, (words) => words[W_VERSION] = 0), code: "Incompatible" },
  { what: "another number of blocks", make: () => ringFile(SIZE, SEALED, (w) => w[W_BLOCKS] = 2048), code: "Corrupt" },
  { what: "a pipe for memory", make: halfAPipe, code: "Incompatible" },
];

for (const { what, make, code } of HANDLES) {
  test(`A handle with ${what} is ${code} for both ends, and its descriptors are closed`, () => {
    for (const attach of [RingConsumer.attach, RingProducer.attach]) {
      const handle = handleWith(make());
      assertIpcErrorSync(code, () => attach(handle));
      assert(handle.memory.closed && handle.bell.closed && handle.descriptors.closed);
      handle.rest();
    }
  });
}

test("The size of a ring's memory leaves no byte of it unmapped", () => {
  // Every size that attach() takes: mapping must not go beyond the file, or a peer causes a SIGBUS.
  for (let blocks = 1024; blocks <= 1 << 20; blocks *= 2) {
    assertEquals(dataOffset(blocks) % 65_536, 0);
    assert(dataOffset(blocks) + blocks * 64 <= ringSize(blocks));
  }
});

// --- What comes over the socket of descriptors -----------------------------------------------------------------------

const words = (...all: number[]) => new Uint8Array(new Int32Array(all).buffer);

const PACKETS: readonly { what: string; data: Uint8Array; fds: number }[] = [
  { what: "one byte", data: new Uint8Array(1), fds: 0 },
  { what: "a packet of an unknown kind", data: words(77, 0, 0, 1), fds: 1 },
  { what: "a packet with more descriptors than it says", data: words(1, 1024, 0, 1), fds: 5 },
  { what: "a packet with fewer descriptors than it says", data: words(1, 1024, 0, 3), fds: 1 },
  { what: "a bell of two descriptors", data: words(2, 0, 0, 1), fds: 2 },
  { what: "a bundle that is none", data: words(3, 1024, 0, 500), fds: 1 },
  { what: "a bundle of two billion", data: words(3, 1024, 0, 0x7fffffff), fds: 1 },
  { what: "253 descriptors in a packet of 15 bytes", data: new Uint8Array(15), fds: 253 },
  { what: "text", data: new TextEncoder().encode("hello, are you a ring? ".repeat(50)), fds: 0 },
];

for (const { what, data, fds } of PACKETS) {
  test(`On its socket ${what} is an IpcError for the receiver, costs no descriptor, and other messages arrive`, () => {
    const { sender, receiver, socket, close } = openChannel<unknown>();
    const [inner, other] = channel<number>();
    sendMessage(socket.fd, data, new Array(fds).fill(socket.fd));
    sender.sendSync(1);
    assertEquals(receiver.recvSync({ timeout: 0 }), 1, "without descriptors it does not matter");
    sender.sendSync({ inner });
    sender.sendSync(2);
    for (let i = 0;; i++) {
      try {
        const value = receiver.recvSync({ timeout: 0 });
        if (value === 2) break;
        (value as { inner: IpcSender<number> }).inner.close();
      } catch (error) {
        assert(error instanceof IpcError && error.code === "Corrupt", String(error));
        assert(i < 3, "each message is reported once");
      }
    }
    close(), inner.close(), other.close();
  });
}

/** Receives what there is, and once more in vain, and says so. */
export async function receiveTwice(
  { receiver, blocking }: { receiver: IpcReceiver<unknown>; blocking: boolean },
  self: Self,
): Promise<void> {
  self.say(self.hear());
  const receive = () => blocking ? receiver.recvSync({ timeout: 50 }) : receiver.recv({ timeout: 50 });
  try {
    for (;;) await receive();
  } catch (error) {
    self.say((error as IpcError).code);
  }
}

/** Takes O_NONBLOCK away, for all who share the open file. */
function makeBlocking(fd: IpcFd): void {
  const { c } = libc();
  assert(c.fcntl(fd.fd, F_SETFL, c.fcntl(fd.fd, F_GETFL, 0) & ~O_NONBLOCK) === 0);
}

for (const blocking of [true, false]) {
  const way = blocking ? "recvSync()" : "recv()";

  processTest(`A space bell that is a blocking, full pipe does not hang ${way}`, async ({ start }) => {
    const { sender, receiver, socket, close } = openChannel<unknown>();
    const [listen, bell] = createDoorbell();
    while (libc().c.write(bell.fd, new Uint8Array(4096), 4096n) > 0);
    makeBlocking(bell);
    sendMessage(socket.fd, words(2, 0, 0, 1), [bell.fd]);
    const child = await start(import.meta.url, receiveTwice, { receiver, blocking });
    while (sender.trySend(0));
    const waiting = sender.send(1); // which makes the receiver ring all bells
    await child.tell();
    await soon(waiting);
    await child.said();
    assertEquals(await soon(child.said()), "Timeout");
    close(), listen.close(), bell.close();
  });

  processTest(`A doorbell that a peer has made blocking does not hang ${way}`, async ({ start }) => {
    const { sender, receiver, listen, bell, close } = openChannel<unknown>();
    const child = await start(import.meta.url, receiveTwice, { receiver, blocking });
    makeBlocking(listen);
    libc().c.write(bell.fd, new Uint8Array(4096), 4096n); // as much as is read at once
    sender.sendSync(1);
    await child.tell();
    await child.said();
    assertEquals(await soon(child.said()), "Timeout");
    close();
  });
}

/** Sends until it fails, and says why. */
export function sendMany({ sender }: { sender: IpcSender<unknown> }, self: Self): void {
  self.say(self.hear());
  try {
    for (let n = 0; n < 100; n++) sender.sendSync(n, { timeout: 50 });
    self.say("sent");
  } catch (error) {
    self.say((error as IpcError).code);
  }
}

processTest("A doorbell that is a blocking, full pipe does not hang sendSync()", async ({ start }) => {
  const { sender, memory, bell, close } = openChannel<unknown>();
  const child = await start(import.meta.url, sendMany, { sender });
  while (libc().c.write(bell.fd, new Uint8Array(4096), 4096n) > 0);
  makeBlocking(bell);
  Atomics.store(memory.words, W_BELL, 5); // a receiver that claims to sleep
  await child.tell();
  await child.said();
  assertEquals(await soon(child.said()), "sent");
  close();
});

// --- What stands in messages -----------------------------------------------------------------------------------------

const tag27 = (...content: unknown[]) => {
  // 27([...]), by hand: an array of text and numbers.
  const inner = encodeCbor(content);
  return Uint8Array.of(0xd8, 27, ...inner);
};

const TRAVELLERS: readonly { what: string; content: unknown[]; fds: number }[] = [
  { what: "descriptors that are not there", content: ["isthmus", "sender", 7], fds: 3 },
  { what: "fewer descriptors than a handle has", content: ["isthmus", "sender", 1], fds: 3 },
  { what: "a negative descriptor", content: ["isthmus", "receiver", -1], fds: 3 },
  { what: "a text for a descriptor", content: ["isthmus", "receiver", "0"], fds: 3 },
  { what: "a kind that nobody knows", content: ["isthmus", "spaceship", 0], fds: 3 },
  { what: "no kind", content: ["isthmus"], fds: 3 },
  { what: "early descriptors that are not there", content: ["isthmus", "receiver", 0, [0, 0, 5]], fds: 4 },
  { what: "two billion early descriptors", content: ["isthmus", "receiver", 0, [0, 0, 0x7fffffff]], fds: 4 },
  { what: "a negative number of early descriptors", content: ["isthmus", "receiver", 0, [0, 0, -5]], fds: 4 },
];

for (const { what, content, fds } of TRAVELLERS) {
  test(`A message with an endpoint of ${what} fails, costs no descriptor, and the next arrives`, () => {
    const { sender, receiver, ring, memory, close } = openChannel<unknown>();
    const message = tag27(...content);
    assert(ring.trySend(Message.of(message), new Array(fds).fill(memory.fd.fd)));
    sender.sendSync("next");
    let value: unknown;
    try {
      value = receiver.recvSync({ timeout: 0 });
      (value as Disposable)[Symbol.dispose]?.();
    } catch (error) {
      assert(error instanceof IpcError && ["Serialization", "Incompatible"].includes(error.code), String(error));
    }
    assertEquals(receiver.recvSync({ timeout: 0 }), "next");
    close();
  });
}

test("An endpoint whose descriptors are something else fails at its first use, and is closed by it", () => {
  const { receiver, ring, memory, close } = openChannel<unknown>();
  for (const kind of ["sender", "receiver"]) {
    const message = tag27("isthmus", kind, 0);
    const file = writeMemoryFile("something else", [new Uint8Array(100)], 100);
    ring.trySend(Message.of(message), [file.fd, file.fd, memory.fd.fd]);
    file.close();
    const end = receiver.recvSync({ timeout: 0 }) as IpcSender<number> & IpcReceiver<number>;
    assertIpcErrorSync("Incompatible", () => kind === "sender" ? end.sendSync(1) : end.recvSync({ timeout: 0 }));
    assert(end.closed);
    end.close();
  }
  close();
});

test("A receiver whose doorbell is no pipe fails with an IpcError, awaiting and blocking", async () => {
  for (const blocking of [true, false]) {
    const { receiver, ring, close } = openChannel<unknown>();
    const parts = createChannel(65_536);
    const file = sealedMemory("not a pipe", 4096);
    const message = tag27("isthmus", "receiver", 0);
    ring.trySend(Message.of(message), [parts.memory.fd.fd, file.fd, parts.receiverSocket.fd]);
    const end = receiver.recvSync({ timeout: 0 }) as IpcReceiver<number>;
    try {
      if (blocking) end.recvSync({ timeout: 50 });
      else await soon(end.recv({ timeout: 50 }));
      throw new Error("nothing can come");
    } catch (error) {
      assert(error instanceof IpcError, String(error));
    }
    end.close(), file.close(), close();
    closeHandle({ memory: parts.senderBell, bell: parts.receiverBell, descriptors: parts.senderSocket });
    parts.receiverSocket.close(), parts.memory.release(), parts.memory.release();
  }
});

test("A message beside the ring that is shorter than it says, or no memory, is an IpcError, and the next arrives", () => {
  const { sender, receiver, memory, close } = openChannel<unknown>();
  for (const damage of [1, 1000, 0x7fffffff]) {
    sender.sendSync(new Uint8Array(70_000));
    const before = Atomics.load(memory.words, 32); // HEAD
    const header = ((before & (BLOCKS - 1)) * 64) >>> 2;
    memory.dataWords[header + 4]! += damage;
    sender.sendSync("next");
    assertIpcErrorSync("Corrupt", () => receiver.recvSync({ timeout: 0 }));
    assertEquals(receiver.recvSync({ timeout: 0 }), "next");
  }
  close();
});
