// Atomic operations without the lock.
import { assertEquals, assertThrows } from "@std/assert";
import { f64, i32, i64, IpcArc, struct, u32, u64 } from "../../arc/mod.ts";
import { arcTest, child, codeOf } from "../support/arc_processes.ts";

arcTest("Atomic operations return the value before, and wrap around as in C", (cell) => {
  using a = IpcArc.create(`${cell}-i32`, 5, { layout: i32 });
  assertEquals([a.atomic.add(3), a.atomic.sub(1), a.atomic.load()], [5, 8, 7]);
  assertEquals([a.atomic.or(8), a.atomic.and(12), a.atomic.xor(1), a.atomic.load()], [7, 15, 12, 13]);
  assertEquals([a.atomic.exchange(2147483647), a.atomic.add(1), a.atomic.load()], [13, 2147483647, -2147483648]);
  assertEquals([a.atomic.compareExchange(0, 1), a.atomic.load()], [-2147483648, -2147483648]);
  assertEquals([a.atomic.compareExchange(-2147483648, 1), a.atomic.load()], [-2147483648, 1]);
  a.atomic.store(-7);
  assertEquals(a.read(), -7);
  using b = IpcArc.create(`${cell}-u32`, 0, { layout: u32 });
  assertEquals([b.atomic.sub(1), b.atomic.load()], [0, 4294967295]);
  using c = IpcArc.create(`${cell}-u64`, 0n, { layout: u64 });
  assertEquals([c.atomic.sub(1n), c.atomic.load()], [0n, (1n << 64n) - 1n]);
  using d = IpcArc.create(`${cell}-i64`, 0n, { layout: i64 });
  assertEquals([d.atomic.sub(1n), d.atomic.load()], [0n, -1n]);
});

arcTest("Atomic operations exist for whole integers of 32 and 64 bits alone", (cell) => {
  for (const layout of [f64, struct({ n: u32 })]) {
    using arc = IpcArc.create<unknown>(cell, layout === f64 ? 1 : { n: 1 }, { layout });
    assertThrows(() => arc.atomic, TypeError, "i32, u32, i64 or u64");
  }
  using arc = IpcArc.create(cell, 1);
  assertThrows(() => arc.atomic, TypeError, "CBOR");
});

arcTest("Atomic operations refuse what is no such integer", (cell) => {
  using arc = IpcArc.create(cell, 0, { layout: u32 });
  assertThrows(() => arc.atomic.add(-1), RangeError);
  assertThrows(() => arc.atomic.store(0.5), RangeError);
  // deno-lint-ignore no-explicit-any
  assertThrows(() => arc.atomic.add(1n as any), TypeError);
  assertEquals(arc.read(), 0);
});

arcTest("Atomic operations work while somebody holds the lock, and end with the cell", (cell) => {
  const arc = IpcArc.create(cell, 0, { layout: u32 });
  const { atomic } = arc;
  const guard = arc.acquireSync();
  atomic.add(1);
  assertEquals([guard.value, arc.read()], [1, 1]);
  guard.release();
  arc.close();
  assertEquals(codeOf(() => atomic.add(1)), "Closed");
  assertEquals(codeOf(() => atomic.load()), "Closed");
  assertEquals(codeOf(() => arc.atomic.load()), "Closed");
});

for (const [layout, one] of [["u32", 1], ["i64", "1n"]] as const) {
  arcTest(`Four processes add to one ${layout} without the lock, and lose nothing`, async (cell) => {
    using small = IpcArc.create(`${cell}-u32`, 0, { layout: u32 });
    using large = IpcArc.create(`${cell}-i64`, 0n, { layout: i64 });
    const children = Array.from({ length: 4 }, () => child(add, `${cell}-${layout}`, layout));
    try {
      await Promise.all(children.map((other) => other.said()));
      await Promise.all(children.map((other) => other.tell("go")));
      await Promise.all(children.map((other) => other.done()));
    } finally {
      await Promise.all(children.map((other) => other[Symbol.asyncDispose]()));
    }
    assertEquals(one === 1 ? small.read() : Number(large.read()), 2_000_000);

    async function add(io: Io, { IpcArc, u32, i64 }: Api, cell: string, layout: string) {
      const small = layout === "u32" ? IpcArc.load(cell, { layout: u32 }) : undefined;
      const large = layout === "i64" ? IpcArc.load(cell, { layout: i64 }) : undefined;
      io.say("ready");
      await io.hear();
      for (let i = 0; i < 500_000; i++) {
        small?.atomic.add(1);
        large?.atomic.add(1n);
      }
    }
  }, { processes: true });
}

arcTest("A scalar under the lock is changed by Deno processes, 200,000 times each", async (cell) => {
  using arc = IpcArc.create(cell, 0, { layout: i32 });
  await using other = child(async (io, { IpcArc, i32 }, cell) => {
    using arc = IpcArc.load(cell, { layout: i32 });
    io.say("ready");
    await io.hear();
    for (let i = 0; i < 200_000; i++) {
      using guard = arc.acquireSync();
      guard.value += 1;
    }
  }, cell);
  await other.said();
  await other.tell("go");
  for (let i = 0; i < 200_000; i++) {
    using guard = arc.acquireSync();
    guard.value += 1;
  }
  await other.done();
  assertEquals(arc.read(), 400_000);
}, { processes: true });

type Io = import("../support/arc_child.ts").ChildIo;
type Api = import("../support/arc_processes.ts").Api;
