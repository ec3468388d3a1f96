import { assert, assertEquals } from "@std/assert";
import { channel, type IpcFd, type IpcSender } from "../../../mod.ts";
import { IpcFd as Fd } from "../../../ffi/file/fd.ts";
import { libc } from "../../../ffi/libc/libc.ts";
import { Mapping } from "../../../ffi/memory/mapping.ts";
import { checkSealed, sealedMemory } from "../../../ffi/memory/sealed_memory.ts";
import { fileSize } from "../../../ffi/memory/storage.ts";
import { writeMemoryFile } from "../../../ffi/memory/memory_file.ts";
import { MFD_ALLOW_SEALING, MFD_CLOEXEC } from "../../../ffi/libc/platform.ts";
import { RobustMutex } from "../../../ffi/memory/robust_mutex.ts";
import type { Self } from "../../support/actor.ts";
import { assertIpcErrorSync, soon } from "../../support/assert_ipc.ts";
import { patience } from "../../support/patience.ts";
import { processTest, test } from "../../support/test.ts";

const SIZE = 8192;

test("Sealed memory can neither shrink nor grow, nor lose its seals", () => {
  const { c } = libc();
  using fd = sealedMemory("test", SIZE);
  assertEquals(checkSealed(fd.fd), SIZE);
  assert(c.ftruncate(fd.fd, 0n) < 0);
  assert(c.ftruncate(fd.fd, BigInt(SIZE * 2)) < 0);
  assert(c.fcntl(fd.fd, 1033, /* F_ADD_SEALS */ 8) < 0);
  assertEquals(fileSize(fd.fd), SIZE);
});

test("Memory without every seal is refused, whatever else it is", () => {
  const { c } = libc();
  for (const seals of [0, 1, 2, 4, 3, 5, 6]) {
    using fd = new Fd(c.memfd_create(new Uint8Array([120, 0]), MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (seals !== 0) c.fcntl(fd.fd, 1033, seals);
    assertIpcErrorSync("Incompatible", () => checkSealed(fd.fd));
  }
  using plain = writeMemoryFile("test", [new Uint8Array(10)], 10);
  assertIpcErrorSync("Incompatible", () => checkSealed(plain.fd));
});

test("Two mappings of one memory see each other's writes; a mirrored one goes on at its end", () => {
  using fd = sealedMemory("test", 2 * 65_536);
  const a = Mapping.shared(fd.fd, 2 * 65_536);
  const b = Mapping.mirrored(fd.fd, 65_536, 65_536);
  const bytes = new Uint8Array(a.buffer), mirrored = new Uint8Array(b.buffer);
  assertEquals(mirrored.length, 3 * 65_536);
  bytes[65_536] = 7;
  assertEquals([mirrored[65_536], mirrored[2 * 65_536]], [7, 7]);
  mirrored[2 * 65_536 + 1] = 8;
  assertEquals(bytes[65_537], 8);
  a.unmap(), b.unmap();
});

test("Unmapping empties every view first, so that a stale one is harmless", () => {
  using fd = sealedMemory("test", SIZE);
  const mapping = Mapping.shared(fd.fd, SIZE);
  const { buffer } = mapping;
  const view = new Int32Array(buffer);
  view[0] = 42;
  mapping.unmap();
  mapping.unmap();
  assert(buffer.detached);
  assertEquals([view.length, view[0]], [0, undefined]);
  assertIpcErrorSync("Closed", () => mapping.pointerAt(0));
});

// --- The mutex -------------------------------------------------------------------------------------------------------

interface Job {
  readonly memory: IpcFd;
  readonly count: number;
}

test("A mutex that this thread holds is a deadlock to lock, and busy for nobody else", () => {
  using fd = sealedMemory("test", SIZE);
  const mapping = Mapping.shared(fd.fd, SIZE);
  const mutex = new RobustMutex(mapping, 64);
  mutex.initialize();
  assertEquals(mutex.tryLock(), "locked");
  assertEquals(mutex.lock(), "deadlock");
  mutex.unlock();
  assertIpcErrorSync("Permission", () => mutex.unlock());
  mapping.unmap();
});

/** Locks, says so, and waits for its end. */
export function lockAndWait({ memory }: Job, self: Self): void {
  const mutex = new RobustMutex(Mapping.shared(memory.fd, SIZE), 64);
  self.say(mutex.lock());
  self.hear();
  mutex.unlock();
  self.say("unlocked");
}

/** Increments under the lock, without atomics. */
export function increment({ memory, count }: Job): void {
  const mapping = Mapping.shared(memory.fd, SIZE);
  const mutex = new RobustMutex(mapping, 64);
  const words = new Int32Array(mapping.buffer);
  for (let i = 0; i < count; i++) {
    if (mutex.lock() !== "locked") throw new Error("not locked");
    words[0]!++;
    mutex.unlock();
  }
}

processTest("A mutex keeps processes apart: 3 × 50,000 increments are all there", async ({ start }) => {
  using memory = sealedMemory("test", SIZE);
  const mapping = Mapping.shared(memory.fd, SIZE);
  new RobustMutex(mapping, 64).initialize();
  const children = [];
  for (let i = 0; i < 3; i++) children.push(await start(import.meta.url, increment, { memory, count: 50_000 }));
  for (const child of children) assertEquals((await child.status).code, 0);
  assertEquals(new Int32Array(mapping.buffer)[0], 150_000);
  mapping.unmap();
});

processTest(
  "A mutex whose owner was killed is handed over, marked, and usable after consistent()",
  async ({ start }) => {
    using memory = sealedMemory("test", SIZE);
    const mapping = Mapping.shared(memory.fd, SIZE);
    const mutex = new RobustMutex(mapping, 64);
    mutex.initialize();
    const child = await start(import.meta.url, lockAndWait, { memory, count: 0 });
    assertEquals(await child.said(), "locked");
    assertEquals(mutex.tryLock(), "busy");
    assertEquals(mutex.lock(20), "timeout");
    await child.kill();
    assertEquals(mutex.lock(patience(10_000)), "owner-died");
    mutex.consistent();
    mutex.unlock();
    assertEquals(mutex.tryLock(), "locked");
    mutex.unlock();

    // Not repaired, it is lost for good.
    const other = await start(import.meta.url, lockAndWait, { memory, count: 0 });
    await other.said();
    await other.kill();
    assertEquals(mutex.lock(patience(10_000)), "owner-died");
    mutex.unlock();
    assertIpcErrorSync("Corrupt", () => mutex.lock(patience(10_000)));
    mapping.unmap();
  },
);

processTest("A mutex of a stopped process is not taken from it", async ({ start }) => {
  using memory = sealedMemory("test", SIZE);
  const mapping = Mapping.shared(memory.fd, SIZE);
  const mutex = new RobustMutex(mapping, 64);
  mutex.initialize();
  const child = await start(import.meta.url, lockAndWait, { memory, count: 0 });
  await child.said();
  child.signal("SIGSTOP");
  await child.stopped();
  assertEquals(mutex.lock(100), "timeout");
  child.signal("SIGCONT");
  await child.tell();
  assertEquals(await soon(child.said()), "unlocked");
  assertEquals(mutex.lock(patience(10_000)), "locked");
  mutex.unlock();
  mapping.unmap();
});

/** Shares memory of its own. */
export async function shareMemory({ to }: { to: IpcSender<Fd> }, self: Self): Promise<void> {
  using fd = sealedMemory("test", SIZE);
  const mapping = Mapping.shared(fd.fd, SIZE);
  await to.send(fd);
  self.hear();
  self.say(new Int32Array(mapping.buffer)[0]);
}

processTest("Sealed memory from another process is the same memory", async ({ start }) => {
  const [to, from] = channel<Fd>();
  const child = await start(import.meta.url, shareMemory, { to });
  to.close();
  using fd = await soon(from.recv());
  assertEquals(checkSealed(fd.fd), SIZE);
  const mapping = Mapping.shared(fd.fd, SIZE);
  new Int32Array(mapping.buffer)[0] = 4711;
  await child.tell();
  assertEquals(await child.said(), 4711);
  mapping.unmap(), from.close();
});
