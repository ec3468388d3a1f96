// What the mutex of a cell must do.
import { assertEquals } from "@std/assert";
import type { IpcFd } from "../../../mod.ts";
import type { CellMutex } from "../../../ffi/contract/mutex.ts";
import type { MappedMemory } from "../../../ffi/contract/memory.ts";
import type { Self } from "../../support/actor.ts";
import { assertIpcErrorSync } from "../../support/assert_ipc.ts";
import { patience } from "../../support/patience.ts";
import { processTest, test } from "../../support/test.ts";
import { backendOf } from "./backends.ts";

const SIZE = 4096, AT = 64, WORD = 512, COUNT = 20_000;

interface Job {
  backend: string;
  memory: IpcFd;
}

function mutexIn({ backend, memory }: Job): { mapped: MappedMemory; mutex: CellMutex } {
  const { memory: system, mutexes } = backendOf(backend);
  const mapped = system.map(memory.fd, SIZE);
  return { mapped, mutex: mutexes.at(mapped, AT) };
}

/** Takes the lock and keeps it. */
export function lockThere(job: Job, self: Self): void {
  self.say(mutexIn(job).mutex.lock());
  self.hear();
}

/** Counts under the lock, without atomics. */
export function countThere(job: Job): void {
  const { mapped, mutex } = mutexIn(job);
  const words = new Int32Array(mapped.buffer);
  for (let n = 0; n < COUNT; n++) {
    if (mutex.lock(patience(30_000)) !== "locked") throw new Error("not locked");
    words[0]!++;
    mutex.unlock();
  }
}

/** Sleeps at a word until it has another value. */
export function sleepThere({ backend, memory }: Job, self: Self): void {
  const mapped = backendOf(backend).memory.map(memory.fd, SIZE), words = new Int32Array(mapped.buffer);
  const word = backendOf(backend).mutexes.word(mapped, WORD);
  Atomics.store(words, WORD / 4, 1);
  while (Atomics.load(words, WORD / 4) === 1) word.sleep(1, 900);
  self.say(words[WORD / 4]);
}

/** Registers the tests for one back end. */
export function conformance(backend: string): void {
  const { memory: system, mutexes } = backendOf(backend);
  const made = () => {
    const memory = system.create("test", SIZE);
    const { mapped, mutex } = mutexIn({ backend, memory });
    mutex.initialize();
    const ownerOf = () => mutexes.ownerOf(new Int32Array(mapped.buffer, AT, 1)[0]!);
    return { memory, mapped, mutex, ownerOf, job: () => ({ backend, memory }) };
  };

  test(`${backend}: a mutex is taken once, given back, and says who has it`, () => {
    const { memory, mapped, mutex, ownerOf } = made();
    assertEquals(ownerOf(), undefined);
    assertEquals(mutex.tryLock(), "locked");
    assertEquals(ownerOf(), backendOf(backend).identities.own().tid);
    assertEquals([mutex.tryLock(), mutex.lock(5), mutex.lock()], ["busy", "deadlock", "deadlock"]);
    mutex.unlock();
    assertEquals([ownerOf(), mutex.lock(0)], [undefined, "locked"]);
    mutex.unlock();
    mutex.close();
    assertIpcErrorSync("Closed", () => mutex.tryLock());
    assertEquals(mutexes.mark(), mutexes.mark());
    mapped.unmap(), memory.close();
  });

  processTest(`${backend}: who sleeps at a word is woken, and not put to sleep by another value`, async ({ start }) => {
    const { memory, mapped, mutex, job } = made();
    const word = mutexes.word(mapped, WORD), words = new Int32Array(mapped.buffer);
    word.sleep(1, 900); // the word is 0
    const child = await start(import.meta.url, sleepThere, job());
    while (Atomics.load(words, WORD / 4) === 0);
    Atomics.store(words, WORD / 4, 2);
    word.wakeOne();
    assertEquals(await child.said(), 2);
    mutex.close(), mapped.unmap(), memory.close();
  });

  processTest(`${backend}: a mutex keeps processes apart`, async ({ start }) => {
    const { memory, mapped, mutex, job } = made();
    const children = [];
    for (let n = 0; n < 2; n++) children.push(await start(import.meta.url, countThere, job()));
    for (const child of children) assertEquals((await child.status).code, 0);
    assertEquals(new Int32Array(mapped.buffer)[0], 2 * COUNT);
    mutex.close(), mapped.unmap(), memory.close();
  });

  processTest(`${backend}: a stopped owner keeps a mutex, a killed one's goes on, marked`, async ({ start }) => {
    const { memory, mapped, mutex, job } = made();
    const child = await start(import.meta.url, lockThere, job());
    assertEquals(await child.said(), "locked");
    child.signal("SIGSTOP");
    await child.stopped();
    assertEquals([mutex.tryLock(), mutex.lock(20)], ["busy", "timeout"]);
    await child.kill();
    assertEquals(mutex.lock(patience(10_000)), "owner-died");
    mutex.consistent();
    mutex.unlock();
    assertEquals(mutex.tryLock(), "locked");
    mutex.unlock();
    mutex.close(), mapped.unmap(), memory.close();
  });

  processTest(`${backend}: what is not repaired can never be locked again`, async ({ start }) => {
    const { memory, mapped, mutex, job } = made();
    const child = await start(import.meta.url, lockThere, job());
    await child.said();
    await child.kill();
    assertEquals(mutex.lock(patience(10_000)), "owner-died");
    mutex.unlock();
    assertIpcErrorSync("Corrupt", () => mutex.lock(patience(10_000)));
    mutex.close(), mapped.unmap(), memory.close();
  });
}
