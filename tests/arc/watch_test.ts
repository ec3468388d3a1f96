// Following a value, within a process and across processes.
import { assert, assertEquals } from "@std/assert";
import { f64, IpcArc, struct, u32, u64 } from "../../arc/mod.ts";
import { arcTest, child } from "../support/arc_processes.ts";

arcTest("watch() yields changes from the call on, not the value that is there", async (cell) => {
  using arc = IpcArc.create(cell, "first");
  arc.updateSync(() => "before");
  const watch = arc.watch()[Symbol.asyncIterator]();
  arc.updateSync(() => "after");
  assertEquals(await watch.next(), { done: false, value: "after" });
  const next = watch.next();
  arc.updateSync(() => "later");
  assertEquals(await next, { done: false, value: "later" });
  await watch.return!();
  assertEquals((await watch.next()).done, true);
});

arcTest("watch() does not repeat a value that is written again", async (cell) => {
  using arc = IpcArc.create(cell, { n: 1 });
  using pod = IpcArc.create(`${cell}-pod`, { n: 1 }, { layout: struct({ n: u32 }) });
  for (const watched of [arc, pod]) {
    const watch = watched.watch()[Symbol.asyncIterator]();
    watched.updateSync(() => ({ n: 1 }));
    {
      using guard = watched.acquireSync();
      guard.value.n = 2;
      guard.value.n = 1;
    }
    const next = watch.next();
    watched.updateSync(() => ({ n: 3 }));
    assertEquals((await next).value, { n: 3 });
    await watch.return!();
  }
});

arcTest("Changes made through other objects, guards and atomic operations are all seen", async (cell) => {
  using arc = IpcArc.create(cell, 0n, { layout: u64 });
  using other = arc.clone();
  const watch = arc.watch()[Symbol.asyncIterator]();
  let next = watch.next();
  other.atomic.add(1n);
  assertEquals((await next).value, 1n);
  next = watch.next();
  other.atomic.store(2n);
  assertEquals((await next).value, 2n);
  next = watch.next();
  {
    using guard = arc.acquireSync();
    guard.value = 3n;
  }
  assertEquals((await next).value, 3n);
  next = watch.next();
  assertEquals(other.atomic.compareExchange(3n, 4n), 3n);
  assertEquals((await next).value, 4n);
  await watch.return!();
});

arcTest("watch() ends on abort and on close, also while it is awaited", async (cell) => {
  using keeper = IpcArc.create(cell, 1);
  const arc = keeper.clone();
  const controller = new AbortController();
  const seen: number[] = [];
  const loop = (async () => {
    for await (const value of arc.watch({ signal: controller.signal })) seen.push(value);
    return "ended";
  })();
  await Promise.resolve();
  controller.abort();
  assertEquals(await loop, "ended");
  const second = (async () => {
    for await (const value of arc.watch()) seen.push(value);
    return "ended";
  })();
  await Promise.resolve();
  arc.close();
  assertEquals(await second, "ended");
  for await (const _ of keeper.watch({ signal: AbortSignal.abort() })) seen.push(-1);
  assertEquals(seen, []);
});

arcTest("Several watchers of one cell each see the last value", async (cell) => {
  using arc = IpcArc.create(cell, 0);
  const last = async () => {
    for await (const value of arc.watch()) if (value === 100) return value;
  };
  const all = Promise.all([last(), last(), last()]);
  for (let i = 1; i <= 100; i++) await arc.update(() => i);
  assertEquals(await all, [100, 100, 100]);
});

arcTest("A watcher in another process is rung for a change, and never misses the last", async (cell) => {
  using arc = IpcArc.create(cell, { round: 0, n: 0 });
  await using other = child(async (io, { IpcArc }, cell) => {
    using arc = IpcArc.load<{ round: number; n: number }>(cell);
    const { setInterval } = globalThis;
    const alive = setInterval(() => {}, 1 << 30);
    globalThis.setInterval = (() => 0) as unknown as typeof setInterval; // a change that is not rung is not seen
    const changes = arc.watch();
    io.say("watching");
    let before = { round: 0, n: 0 }, seen = 0;
    for await (const value of changes) {
      if (value.round < before.round || (value.round === before.round && value.n <= before.n)) io.say("went back");
      before = value;
      seen++;
      if (value.n === 200) io.say([value.round, seen]);
      if (value.round === 20 && value.n === 200) break;
    }
    clearInterval(alive);
  }, cell);
  await other.said();
  for (let round = 1; round <= 20; round++) {
    for (let n = 1; n <= 200; n++) arc.updateSync(() => ({ round, n }));
    const [heard, seen] = await other.said() as [number, number];
    assertEquals(heard, round);
    assert(seen >= round && seen <= round * 200);
  }
  await other.done();
}, { processes: true });

arcTest("A watcher sees the value of a writer that was killed before it could ring", async (cell) => {
  using arc = IpcArc.create(cell, "old");
  const watch = arc.watch()[Symbol.asyncIterator]();
  const next = watch.next();
  await using other = child((io, { IpcArc }, cell) => {
    const arc = IpcArc.load<string>(cell);
    io.dieAt("arc:write:switched");
    arc.updateSync(() => "last words");
  }, cell);
  assertEquals(await other.ended(), "SIGKILL");
  assertEquals((await next).value, "last words");
  await watch.return!();
}, { processes: true });

arcTest("A write that a killed writer did not finish is no change", async (cell) => {
  using arc = IpcArc.create(cell, "old");
  const watch = arc.watch()[Symbol.asyncIterator]();
  const next = watch.next();
  await using other = child((io, { IpcArc }, cell) => {
    const arc = IpcArc.load<string>(cell);
    io.dieAt("arc:write:filled");
    arc.updateSync(() => "unfinished");
  }, cell);
  assertEquals(await other.ended(), "SIGKILL");
  {
    using guard = arc.acquireSync();
    assertEquals(guard.ownerDied, true);
  }
  arc.updateSync(() => "new");
  assertEquals((await next).value, "new");
  await watch.return!();
}, { processes: true });

arcTest("Layouts can be watched", async (cell) => {
  using arc = IpcArc.create(cell, { x: 1, n: 2 }, { layout: struct({ x: f64, n: u32 }) });
  const watch = arc.watch()[Symbol.asyncIterator]();
  const next = watch.next();
  {
    using guard = arc.acquireSync();
    guard.value.x = 0.5;
    guard.value.n = 7;
  }
  assertEquals((await next).value, { x: 0.5, n: 7 });
  await watch.return!();
});
