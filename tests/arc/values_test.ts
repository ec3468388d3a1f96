// The values of cells: what they may be, and how they are changed.
import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { IpcArc, IpcError } from "../../arc/mod.ts";
import { channel, IpcSharedMemory, OpaqueIpcSender } from "../../channel/mod.ts";
import { assertIpcErrorSync } from "../support/assert_ipc.ts";
import { arcTest, codeOf } from "../support/arc_processes.ts";

arcTest("Values are what structuredClone takes", (cell) => {
  const value = {
    text: "ü⸗",
    big: 1n << 70n,
    date: new Date(0),
    map: new Map([["a", [1, 2.5, null, undefined]]]),
    set: new Set([true]),
    bytes: new Uint8Array([1, 2, 3]),
    floats: new Float32Array([0.5]),
  };
  using arc = IpcArc.create<unknown>(cell, value);
  assertEquals(arc.read(), value);
  {
    using guard = arc.acquireSync();
    guard.value = [value, value];
  }
  assertEquals(arc.read(), [value, value]);
  assertEquals(codeOf(() => arc.updateSync(() => () => {})), "Serialization");
  assertEquals(arc.read(), [value, value]);
});

arcTest("A change made inside guard.value counts, in every way it can be made", (cell) => {
  interface Shape {
    list: number[];
    inner: { n: number };
    set: Set<string>;
  }
  using arc = IpcArc.create<Shape>(cell, { list: [1], inner: { n: 1 }, set: new Set() });
  {
    using guard = arc.acquireSync();
    guard.value.list.push(2);
    guard.value.inner.n++;
    guard.value.set.add("x");
  }
  assertEquals(arc.read(), { list: [1, 2], inner: { n: 2 }, set: new Set(["x"]) });
  {
    using guard = arc.acquireSync();
    const mine: Shape = { list: [], inner: { n: 0 }, set: new Set() };
    guard.value = mine;
    mine.inner.n = 9;
    assertEquals(guard.value, mine);
  }
  assertEquals(arc.read().inner.n, 9);
});

arcTest("What a guard changes is visible when it is released, not before", (cell) => {
  using arc = IpcArc.create(cell, { n: 1 });
  const guard = arc.acquireSync();
  guard.value.n = 2;
  assertEquals(arc.read(), { n: 1 });
  guard.release();
  guard.release();
  assertEquals(arc.read(), { n: 2 });
  assertEquals(codeOf(() => guard.value), "Closed");
  assertEquals(codeOf(() => (guard.value = { n: 3 })), "Closed");
});

arcTest("A value larger than the capacity is TooLarge with both numbers, and the old value stays", (cell) => {
  assertEquals(codeOf(() => IpcArc.create(cell, "x".repeat(100), { capacity: 50 })), "TooLarge");
  using arc = IpcArc.create(cell, ["old"], { capacity: 100 });
  const error = assertThrows(() => arc.updateSync(() => ["x".repeat(200)]), IpcError);
  assertEquals(error.code, "TooLarge");
  assertStringIncludes(error.message, "203 bytes");
  assertStringIncludes(error.message, "100 bytes");
  {
    using guard = arc.acquireSync();
    assertEquals(codeOf(() => (guard.value = ["x".repeat(200)])), "TooLarge");
  }
  assertEquals(arc.read(), ["old"]);
  const guard = arc.acquireSync();
  guard.value.push("x".repeat(200));
  assertEquals(codeOf(() => guard.release()), "TooLarge");
  assertEquals(arc.read(), ["old"]);
  // The lock was given back all the same.
  arc.updateSync(() => ["new"]);
  assertEquals(arc.read(), ["new"]);
});

arcTest("update() keeps the old value if its function throws", async (cell) => {
  using arc = IpcArc.create(cell, 1);
  assertEquals(await arc.update((n) => n + 1), 2);
  assertEquals(arc.updateSync((n) => n + 1), 3);
  await assertRejects(
    () =>
      arc.update(() => {
        throw new Error("changed my mind");
      }),
    Error,
    "changed my mind",
  );
  assertThrows(
    () =>
      arc.updateSync(() => {
        throw new Error("changed my mind");
      }),
    Error,
    "changed my mind",
  );
  assertEquals(await arc.update((n) => n + 1), 4);
});

arcTest("What travels only in a message is refused by a cell, by its path, and the cell keeps its value", (name) => {
  using cell = IpcArc.create<unknown>(name, 1);
  const [sender, receiver] = channel<number>();
  using memory = IpcSharedMemory.filled(1, 8);
  for (const traveller of [sender, receiver, memory, sender.clone().toOpaque()]) {
    const error = assertIpcErrorSync("Serialization", () => cell.updateSync(() => ({ reply: [traveller] })));
    assert(error.message.includes("value.reply[0]"), error.message);
    assertEquals(cell.read(), 1);
    if (traveller instanceof OpaqueIpcSender) traveller.close();
  }
  sender.close(), receiver.close();
});
