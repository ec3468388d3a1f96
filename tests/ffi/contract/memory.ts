// What memory that cannot change its size must do.
import { assert, assertEquals } from "@std/assert";
import type { IpcFd } from "../../../mod.ts";
import type { Self } from "../../support/actor.ts";
import { assertIpcErrorSync } from "../../support/assert_ipc.ts";
import { processTest, test } from "../../support/test.ts";
import { backendOf } from "./backends.ts";

const SIZE = 65_536;

/** Writes to memory that it was given. */
export function writeThere({ backend, memory }: { backend: string; memory: IpcFd }, self: Self): void {
  const system = backendOf(backend).memory;
  const length = system.accept(memory.fd);
  const mapped = system.map(memory.fd, length);
  new Int32Array(mapped.buffer)[3] = 4711;
  self.say(length);
}

/** Registers the tests for one back end. */
export function conformance(backend: string): void {
  const { memory: system } = backendOf(backend);

  test(`${backend}: memory is made with zeros, and accepted with its length`, () => {
    using memory = system.create("test", SIZE);
    assertEquals(system.accept(memory.fd), SIZE);
    const mapped = system.map(memory.fd, SIZE);
    assertEquals(mapped.length, SIZE);
    assert(new Uint8Array(mapped.buffer).every((byte) => byte === 0));
    mapped.unmap();
  });

  test(`${backend}: what is no such memory is refused, also the end of a pipe and of a socket`, () => {
    const { doorbells, carrier } = backendOf(backend);
    for (const ends of [doorbells.create(), carrier.pair()]) {
      for (const end of ends) {
        assertIpcErrorSync("Incompatible", () => system.accept(end.fd));
        end.close();
      }
    }
  });

  test(`${backend}: two mappings are the same memory, and a mirrored one goes on at its beginning`, () => {
    using memory = system.create("test", 2 * SIZE);
    const plain = system.map(memory.fd, 2 * SIZE), twice = system.mapMirrored(memory.fd, SIZE, SIZE);
    const bytes = new Uint8Array(plain.buffer), mirrored = new Uint8Array(twice.buffer);
    assertEquals(twice.length, 3 * SIZE);
    mirrored.set([1, 2, 3, 4], 2 * SIZE - 2);
    assertEquals([...bytes.subarray(2 * SIZE - 2)], [1, 2]);
    assertEquals([...bytes.subarray(SIZE, SIZE + 2)], [3, 4]);
    plain.unmap(), twice.unmap();
  });

  test(`${backend}: unmapping empties every view, and twice is harmless`, () => {
    using memory = system.create("test", SIZE);
    const mapped = system.map(memory.fd, SIZE);
    const view = new Uint8Array(mapped.buffer);
    mapped.unmap();
    mapped.unmap();
    assertEquals(view.length, 0);
    assertIpcErrorSync("Closed", () => mapped.pointerAt(0));
  });

  test(`${backend}: memory is taken as it is written to, and given back`, () => {
    const length = 16 * SIZE;
    using memory = system.create("test", length);
    const mapped = system.map(memory.fd, length);
    const before = system.used(memory.fd);
    assert(before < length);
    const bytes = new Uint8Array(mapped.buffer).fill(1);
    const full = system.used(memory.fd);
    assert(full >= length);
    system.giveBack(memory.fd, SIZE, length - SIZE);
    assert(system.used(memory.fd) < full);
    assertEquals([bytes[SIZE - 1], bytes[SIZE], bytes[length - 1]], [1, 0, 0]);
    mapped.unmap();
  });

  test(`${backend}: memory that is final is read as it was written, and only that`, () => {
    const parts = [new Uint8Array([1, 2, 3]), new Uint8Array(100_000).fill(4)], length = 100_003;
    using memory = system.createFinal("test", parts, length);
    const bytes = system.readFinal(memory.fd, length, () => {}).read(memory.fd, Infinity)!;
    assertEquals([bytes.length, ...bytes.subarray(0, 5)], [length, 1, 2, 3, 4, 4]);
    assertIpcErrorSync("Corrupt", () => system.readFinal(memory.fd, length - 1, () => {}));
    assertIpcErrorSync("Incompatible", () => system.accept(memory.fd));
    using other = system.create("test", length);
    assertIpcErrorSync("Incompatible", () => system.readFinal(other.fd, length, () => {}));
  });

  processTest(`${backend}: memory that another process got is the same`, async ({ start }) => {
    using memory = system.create("test", SIZE);
    const mapped = system.map(memory.fd, SIZE);
    const child = await start(import.meta.url, writeThere, { backend, memory });
    assertEquals(await child.said(), SIZE);
    assertEquals(new Int32Array(mapped.buffer)[3], 4711);
    mapped.unmap();
  });
}
