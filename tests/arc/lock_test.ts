// The lock of a cell within one process, and what closing does to those who wait for it.
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { IpcArc, IpcError, u32 } from "../../arc/mod.ts";
import { arcTest, codeOf } from "../support/arc_processes.ts";

arcTest("acquireSync() while this isolate holds the lock is a Deadlock, also by another object", (cell) => {
  using first = IpcArc.create(cell, 1);
  using second = IpcArc.load<number>(cell);
  const guard = first.acquireSync();
  for (const arc of [first, second]) {
    assertEquals(codeOf(() => arc.acquireSync()), "Deadlock");
    assertEquals(codeOf(() => arc.acquireSync({ timeout: 10 })), "Deadlock");
    assertEquals(codeOf(() => arc.updateSync((n) => n)), "Deadlock");
    assertEquals(arc.tryAcquire(), undefined);
  }
  guard.release();
  second.acquireSync().release();
  second.tryAcquire()!.release();
});

arcTest("acquire() serves first come, first served within the isolate, across objects", async (cell) => {
  using first = IpcArc.create(cell, 1);
  using second = IpcArc.load<number>(cell);
  const held = await first.acquire();
  const order: number[] = [];
  const all = Array.from({ length: 10 }, async (_, i) => {
    using _guard = await (i % 2 ? first : second).acquire();
    order.push(i);
    await Promise.resolve();
  });
  await new Promise((resolve) => setTimeout(resolve, 1));
  assertEquals(order, []);
  held.release();
  await Promise.all(all);
  assertEquals(order, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

arcTest("acquire() obeys timeout and signal, and a waiter that gave up is passed over", async (cell) => {
  using arc = IpcArc.create(cell, 1);
  const held = await arc.acquire();
  await assertRejects(() => arc.acquire({ timeout: 0 }), IpcError, "timed out after 0 ms");
  await assertRejects(() => arc.acquire({ timeout: 5 }), IpcError, "timed out after 5 ms");
  const controller = new AbortController();
  const aborted = arc.acquire({ signal: controller.signal });
  const next = arc.acquire();
  const reason = new Error("not today");
  controller.abort(reason);
  assertEquals(await aborted.catch((error) => error), reason);
  assertEquals(await arc.acquire({ signal: AbortSignal.abort(reason) }).catch((error) => error), reason);
  held.release();
  (await next).release();
  await assertRejects(() => arc.acquire({ timeout: -1 }), TypeError);
  arc.acquireSync({ timeout: 0 }).release();
});

arcTest("close() rejects pending waits, releases a guard and ends watches", async (cell) => {
  using other = IpcArc.create(cell, 1);
  const arc = other.clone();
  const guard = arc.acquireSync();
  guard.value = 2;
  const pending = arc.acquire();
  const pendingElsewhere = other.acquire();
  const watched = arc.watch()[Symbol.asyncIterator]().next();
  arc.close();
  assertEquals(await pending.catch((error) => error.code), "Closed");
  assertEquals((await watched).done, true);
  (await pendingElsewhere).release();
  assertEquals(other.read(), 2);
  for (
    const use of [
      () => arc.read(),
      () => arc.acquireSync(),
      () => arc.tryAcquire(),
      () => arc.refCount,
      () => arc.watch(),
      () => arc.updateSync((n) => n),
    ]
  ) {
    assertEquals(codeOf(use), "Closed");
  }
  assertEquals(await arc.acquire().catch((error) => error.code), "Closed");
  assertEquals(codeOf(() => guard.value), "Closed");
});

arcTest(
  "Cells, guards and atomics are not made by their constructors, but still by the functions that make them",
  (cell) => {
    using arc = IpcArc.create(cell, 0, { layout: u32 });
    const guard = arc.acquireSync();
    for (const made of [arc, guard, arc.atomic]) {
      const Class = made.constructor as new () => unknown;
      assertThrows(() => new Class(), TypeError, "Cannot construct");
      assertThrows(() => Reflect.construct(Class, [arc, guard]), TypeError, "Cannot construct");
    }
    guard.release();
    using again = arc.acquireSync();
    assertEquals(again.value, 0);
  },
);
