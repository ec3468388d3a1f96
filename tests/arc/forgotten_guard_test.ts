// A guard that nobody released and nobody has any more; and an update whose function takes its time.
import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { array, f64, IpcArc, IpcError, type Layout, struct, u32 } from "../../arc/mod.ts";
import { arcTest, child } from "../support/arc_processes.ts";
import { patience } from "../support/patience.ts";

/** Has the garbage collector run until something holds. */
async function collectUntil(holds: () => boolean): Promise<void> {
  for (const end = performance.now() + patience(20_000); !holds() && performance.now() < end;) {
    Array.from({ length: 10_000 }, () => ({}));
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  assert(holds());
}

/** What is warned of meanwhile. */
async function warnings(act: () => Promise<void>): Promise<string[]> {
  const told: string[] = [], { warn } = console;
  console.warn = (text: string) => told.push(text);
  try {
    await act();
  } finally {
    console.warn = warn;
  }
  return told;
}

const pair = struct({ a: u32, b: array(f64, 4) });
const values: [string, unknown, Layout<unknown> | undefined, (value: never) => unknown][] = [
  ["CBOR", { n: 1 }, undefined, (value: { n: number }) => value.n = 2],
  ["a struct", { a: 1, b: new Float64Array(4) }, pair, (value: { a: number }) => value.a = 2],
  ["an array of numbers", new Float64Array([1, 2]), array(f64, 2), (value: Float64Array) => value[0] = 3],
  ["a number", 1, u32, () => {}],
];
for (const [what, value, layout, change] of values) {
  arcTest(`A forgotten guard of ${what} is given back with a warning, and the next owner is told`, async (cell) => {
    using arc = IpcArc.create<unknown>(cell, value, layout === undefined ? {} : { layout });
    const told = await warnings(async () => {
      (() => void change(arc.acquireSync().value as never))();
      const waiting = arc.acquire();
      let guard: Awaited<typeof waiting> | undefined;
      waiting.then((granted) => guard = granted);
      await collectUntil(() => guard !== undefined);
      assertEquals([guard!.ownerDied, guard!.value === undefined], [true, false]);
      guard!.release();
    });
    assertEquals(told.length, 1);
    assertStringIncludes(told[0]!, `a guard of the cell "${cell}" was never released`);
    assertEquals(arc.read(), value);
    using next = arc.acquireSync();
    assertEquals(next.ownerDied, false);
  });
}

arcTest("A forgotten guard is given back to another process", async (cell) => {
  using arc = IpcArc.create(cell, 1);
  await using other = child(
    async (io, { IpcArc }, cell) => {
      using arc = IpcArc.load<number>(cell);
      io.say("ready");
      await io.hear();
      using guard = await arc.acquire();
      io.say(guard.ownerDied);
    },
    cell,
  );
  await other.said();
  const told = await warnings(async () => {
    (() => void arc.acquireSync())();
    await other.tell("go");
    let heard: unknown;
    other.said().then((word) => heard = word);
    await collectUntil(() => heard !== undefined);
    assertEquals(heard, true);
  });
  assertEquals(told.length, 1);
  await other.done();
}, { processes: true });

arcTest("A guard whose object is closed, or forgotten with its cell, leaves nothing locked", async (cell) => {
  using keeper = IpcArc.create(cell, 1);
  const told = await warnings(async () => {
    (() => void IpcArc.load<number>(cell).acquireSync())();
    await collectUntil(() => keeper.refCount === 1);
    using guard = await keeper.acquire({ timeout: patience(10_000) });
    assertEquals(guard.ownerDied, true);
  });
  assert(told.length <= 1);
  for (let turn = 0; turn < 100; turn++) {
    const other = IpcArc.load<number>(cell);
    const guard = other.acquireSync();
    guard.value++;
    other.close(); // releases it
    guard.release();
  }
  assertEquals(keeper.read(), 101);
});

arcTest(
  "update() holds the lock until an asynchronous function is done, and updateSync() refuses one",
  async (cell) => {
    using arc = IpcArc.create(cell, 1);
    using other = arc.clone();
    const { promise, resolve } = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const first = arc.update(async (value) => {
      begun.resolve();
      await promise;
      return value + 1;
    });
    const second = other.update((value) => value * 10);
    await begun.promise;
    assertEquals([arc.read(), other.tryAcquire()], [1, undefined]);
    resolve();
    assertEquals([await first, await second, arc.read()], [2, 20, 20]);
    // deno-lint-ignore require-await
    const late = async () => {
      throw new Error("late");
    };
    assertThrows(() => arc.updateSync(late as unknown as () => number), TypeError, "await update()");
    await assertRejects(() => arc.update(late), Error, "late");
    const closed = await assertRejects(
      () =>
        other.update(async (value) => {
          other.close();
          await undefined;
          return value + 1;
        }),
      IpcError,
    );
    assertEquals([closed.code, arc.read()], ["Closed", 20]);
  },
);
