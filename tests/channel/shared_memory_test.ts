import { assert, assertEquals, assertThrows } from "@std/assert";
import { channel, type IpcReceiver, type IpcSender, IpcSharedMemory } from "../../mod.ts";
import type { Self } from "../support/actor.ts";
import { assertIpcErrorSync, soon } from "../support/assert_ipc.ts";
import { processTest, test } from "../support/test.ts";

const SIZES = [0, 3, 1 << 20];

for (const size of SIZES) {
  test(`Shared memory of ${size} bytes goes through a channel without a copy`, () => {
    const [sender, receiver] = channel<IpcSharedMemory>();
    const bytes = Uint8Array.from({ length: size }, (_, at) => at * 7);
    using memory = IpcSharedMemory.from(bytes);
    assertEquals(memory.length, size);
    assertEquals(memory.bytes, bytes);
    sender.sendSync(memory);
    assert(!memory.closed, "shared, not moved");
    using other = receiver.recvSync({ timeout: 0 });
    assertEquals(other.length, size);
    assertEquals(other.bytes, bytes);
    assert(memory.equals(other) && other.equals(memory));
    if (size > 0) {
      memory.bytes[size - 1] = 1, other.bytes[0] = 2;
      assertEquals([other.bytes[size - 1], memory.bytes[0]], [1, 2]);
      assert(memory.equals(other));
    }
    sender.close(), receiver.close();
  });

  test(`filled(), clone(), equals() and take() with ${size} bytes`, () => {
    using memory = IpcSharedMemory.filled(0xab, size);
    assert(memory.bytes.every((byte) => byte === 0xab));
    using same = IpcSharedMemory.from(new Uint8Array(size).fill(0xab));
    assert(memory.equals(same));
    assert(memory.equals(memory));
    const clone = memory.clone();
    if (size > 0) {
      clone.bytes[size - 1] = 1; // a view of the same memory
      assertEquals(memory.bytes[size - 1], 1);
      assertEquals(memory.equals(same), false);
    }
    const taken = clone.take();
    assertEquals(taken, memory.bytes);
    assert(clone.closed && !memory.closed);
    if (size > 0) {
      taken[0] = 99; // a copy of its own
      assert(memory.bytes[0] !== 99);
    }
    assertIpcErrorSync("Closed", () => clone.bytes);
    assertIpcErrorSync("Closed", () => clone.take());
    assertIpcErrorSync("Closed", () => clone.clone());
  });
}

test("equals() tells different bytes and different lengths apart, wherever the difference is", () => {
  using memory = IpcSharedMemory.from(new Uint8Array([1, 2, 3, 4, 5, 6, 7]));
  for (let at = 0; at < 7; at++) {
    const bytes = new Uint8Array([1, 2, 3, 4, 5, 6, 7]);
    bytes[at]! ^= 0x80;
    using other = IpcSharedMemory.from(bytes);
    assertEquals(memory.equals(other), false, `byte ${at}`);
  }
  using shorter = IpcSharedMemory.from(new Uint8Array([1, 2, 3, 4, 5, 6]));
  assertEquals(memory.equals(shorter), false);
});

test("close() empties the views here, and the others keep the memory; closing twice is harmless", () => {
  const memory = IpcSharedMemory.filled(1, 100);
  const clone = memory.clone();
  const view = memory.bytes;
  memory.close();
  memory.close();
  assertEquals(view.length, 0);
  assertIpcErrorSync("Closed", () => memory.bytes);
  assertIpcErrorSync("Closed", () => memory.equals(clone));
  assertEquals(clone.bytes[99], 1);
  assertEquals(memory.length, 100);
  clone.close();
});

test("The same memory twice in a value is one object; a closed one is refused with Closed", () => {
  const [sender, receiver] = channel<unknown>();
  const memory = IpcSharedMemory.filled(1, 10);
  sender.sendSync([memory, { memory }]);
  const [one, { memory: two }] = receiver.recvSync({ timeout: 0 }) as [IpcSharedMemory, { memory: IpcSharedMemory }];
  assert(one === two);
  memory.close();
  assertIpcErrorSync("Closed", () => sender.sendSync(memory));
  assertEquals(receiver.tryRecv(), { state: "empty" });
  for (const end of [one, sender, receiver]) end.close();
});

test("What is no byte and what is no length is a RangeError, and no byte string a TypeError", () => {
  for (const bytes of ["text", [1, 2], new Uint16Array(2), undefined]) {
    assertThrows(() => IpcSharedMemory.from(bytes as unknown as Uint8Array), TypeError, "give a Uint8Array");
  }
  for (const byte of [-1, 256, 1.5, NaN]) assertThrows(() => IpcSharedMemory.filled(byte, 1), RangeError);
  for (const length of [-1, 0.5, NaN, Infinity]) assertThrows(() => IpcSharedMemory.filled(0, length), RangeError);
});

test("More memory than the machine has is an error at once, and not a fault later", () => {
  const error = assertIpcErrorSync("System", () => IpcSharedMemory.filled(0, 2 ** 50));
  assert(error.message.includes("1125899906842624 bytes"), error.message);
});

/** Where the descriptors of shared memory lead, as a path that can be opened. */
function memoryPaths(): string[] {
  return [...Deno.readDirSync("/proc/self/fd")].map(({ name }) => `/proc/self/fd/${name}`).filter((path) => {
    try {
      return Deno.readLinkSync(path).startsWith("/memfd:isthmus-memory");
    } catch {
      return false;
    }
  });
}

processTest("The size is sealed: nobody can cut the memory short, or lengthen it", () => {
  using memory = IpcSharedMemory.filled(5, 8192);
  const [path] = memoryPaths();
  for (const size of [0, 4096, 16_384]) assertThrows(() => Deno.truncateSync(path!, size));
  assertEquals(Deno.statSync(path!).size, 8192);
  assert(memory.bytes.every((byte) => byte === 5));
});

// --- Between processes -----------------------------------------------------------------------------------------------

interface Station {
  readonly from: IpcReceiver<IpcSharedMemory>;
  readonly to: IpcSender<IpcSharedMemory>;
}

/** Adds one to every byte, tries to truncate the memory, and passes it on. */
export async function increment({ from, to }: Station, self: Self): Promise<void> {
  for await (const memory of from) {
    using _memory = memory;
    const { bytes } = memory;
    for (let i = 0; i < bytes.length; i++) bytes[i]! += 1;
    let refused = 0;
    for (const path of memoryPaths()) {
      try {
        Deno.truncateSync(path, 0);
      } catch {
        refused++;
      }
    }
    self.say(refused);
    await to.send(memory);
  }
}

processTest("Shared memory goes through two processes and back, and nobody can truncate it", async ({ start }) => {
  const [one, first] = channel<IpcSharedMemory>();
  const [two, second] = channel<IpcSharedMemory>();
  const [three, third] = channel<IpcSharedMemory>();
  const children = [
    await start(import.meta.url, increment, { from: first, to: two }),
    await start(import.meta.url, increment, { from: second, to: three }),
  ];
  two.close(), three.close();
  for (const size of SIZES) {
    using memory = IpcSharedMemory.filled(40, size);
    await one.send(memory);
    using back = await soon(third.recv());
    assertEquals(back.length, size);
    assert(memory.bytes.every((byte) => byte === 42), "changes made by both are seen here");
    assert(back.equals(memory));
    for (const child of children) assert(await child.said<number>() >= 1, "the truncation was refused");
  }
  one.close();
  for (const child of children) assertEquals((await soon(child.status)).code, 0);
  third.close();
});

/** Keeps what it receives until it is killed. */
export async function keep({ from }: Station, self: Self): Promise<void> {
  const memory = await from.recv();
  memory.bytes[0] = 1;
  self.say();
  self.hear();
}

processTest("Shared memory outlives a process that is killed with it", async ({ start }) => {
  const [sender, receiver] = channel<IpcSharedMemory>();
  const [back, unused] = channel<IpcSharedMemory>();
  const child = await start(import.meta.url, keep, { from: receiver, to: back });
  using memory = IpcSharedMemory.filled(0, 100);
  sender.sendSync(memory);
  await child.said();
  await child.kill();
  assertEquals(memory.bytes[0], 1);
  for (const end of [sender, back, unused]) end.close();
});
