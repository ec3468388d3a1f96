// Several processes: exclusion, races at birth and at the end, and kills at every step.
import { assert, assertEquals } from "@std/assert";
import { IpcArc, struct, u32, u64 } from "../../../arc/mod.ts";
import { cellInfo, collectStaleCells, listCells, removeCell } from "../../../arc/inspect/mod.ts";
import { fileStatus } from "../../../ffi/file/file_status.ts";
import { arcTest, child, codeOf, freshName } from "../../support/arc_processes.ts";

const exists = (cell: string) => fileStatus(`/dev/shm/isthmus.${cell}`) !== undefined;

arcTest("Two processes that each increment 200,000 times under the lock lose none", async (cell) => {
  using arc = IpcArc.create(cell, { n: 0, parity: 0 }, { layout: struct({ n: u32, parity: u32 }) });
  await using one = child(increment, cell);
  await using two = child(increment, cell);
  await Promise.all([one.said(), two.said()]);
  await Promise.all([one.tell("go"), two.tell("go")]);
  await Promise.all([one.done(), two.done()]);
  assertEquals(arc.read(), { n: 400_000, parity: 0 });

  async function increment(io: Io, { IpcArc, struct, u32 }: Api, cell: string) {
    using arc = IpcArc.load(cell, { layout: struct({ n: u32, parity: u32 }) });
    io.say("ready");
    await io.hear();
    for (let i = 0; i < 200_000; i++) {
      using guard = arc.acquireSync();
      const value = guard.value;
      value.n++;
      value.parity = value.n % 2;
    }
  }
}, { processes: true });

arcTest("CBOR values are changed by one process at a time, blocking, awaiting and trying", async (cell) => {
  using arc = IpcArc.create(cell, { n: 0, list: [] as number[] });
  const children = ["sync", "async", "try"].map((way) => child(increment, cell, way));
  try {
    await Promise.all(children.map((other) => other.said()));
    await Promise.all(children.map((other) => other.tell("go")));
    await Promise.all(children.map((other) => other.done()));
  } finally {
    await Promise.all(children.map((other) => other[Symbol.asyncDispose]()));
  }
  const { n, list } = arc.read();
  assertEquals([n, list.length], [3000, 10]);

  async function increment(io: Io, { IpcArc }: Api, cell: string, way: string) {
    type Value = { n: number; list: number[] };
    using arc = IpcArc.load<Value>(cell);
    const next = (value: Value) => ({ n: value.n + 1, list: [...value.list, value.n].slice(-10) });
    io.say("ready");
    await io.hear();
    for (let i = 0; i < 1000; i++) {
      if (way === "sync") arc.updateSync(next);
      else if (way === "async") await arc.update(next);
      else {
        let guard;
        while ((guard = arc.tryAcquire()) === undefined);
        guard.value = next(guard.value);
        guard.release();
      }
    }
  }
}, { processes: true });

arcTest("A Worker is a holder like a process", async (cell) => {
  using arc = IpcArc.create(cell, 0n, { layout: u64 });
  const source = `
    import { IpcArc, u64 } from ${JSON.stringify(new URL("../../../arc/mod.ts", import.meta.url).href)};
    const arc = IpcArc.load(${JSON.stringify(cell)}, { layout: u64 });
    self.postMessage(arc.refCount);
    arc.close();
    self.onmessage = () => {
      const mine = IpcArc.load(${JSON.stringify(cell)}, { layout: u64 });
      for (let i = 0; i < 20000; i++) { using guard = mine.acquireSync(); guard.value += 1n; }
      mine.close();
      self.postMessage("done");
    };`;
  const worker = new Worker(`data:text/javascript,${encodeURIComponent("// @ts-nocheck\n" + source)}`, {
    type: "module",
  });
  const message = () => new Promise((resolve) => worker.onmessage = (event) => resolve(event.data));
  assertEquals(await message(), 2);
  worker.postMessage("go");
  const done = message();
  for (let i = 0; i < 20000; i++) {
    using guard = arc.acquireSync();
    guard.value += 1n;
  }
  assertEquals(await done, "done");
  assertEquals(arc.refCount, 1);
  worker.terminate();
  assertEquals(arc.read(), 40000n);
}, { worker: true });

arcTest("Of 20 processes that race, one creates and all get the same cell", async (cell) => {
  const children = Array.from({ length: 20 }, (_, i) => child(race, cell, i));
  try {
    await Promise.all(children.map((other) => other.said()));
    await Promise.all(children.map((other) => other.tell("go")));
    const seen = await Promise.all(children.map((other) => other.said())) as [number, string][];
    const values = new Set(seen.map(([value]) => value));
    assertEquals(values.size, 1, "all agree");
    assertEquals(seen.filter(([, created]) => created === "created").length, 1, "one create() succeeds");
    using arc = IpcArc.load<number>(cell);
    assertEquals(arc.refCount, 21);
    await Promise.all(children.map((other) => other.tell("close")));
    await Promise.all(children.map((other) => other.done()));
    assertEquals(arc.refCount, 1);
  } finally {
    await Promise.all(children.map((other) => other[Symbol.asyncDispose]()));
  }

  async function race(io: Io, { IpcArc, IpcError }: Api, cell: string, i: number) {
    io.say("ready");
    await io.hear();
    let arc, how = "created";
    try {
      if (i % 2 === 0) arc = IpcArc.createOrLoad(cell, i);
      else arc = IpcArc.create(cell, i);
      if (arc.read() !== i) how = "loaded";
    } catch (error) {
      if (!(error instanceof IpcError) || error.code !== "AlreadyExists") throw error;
      arc = IpcArc.load<number>(cell);
      how = "refused";
    }
    io.say([arc.read(), how]);
    await io.hear();
    arc.close();
  }
}, { processes: true });

arcTest("Cells that come and go under racing processes are always whole, and gone at the end", async (cell) => {
  const children = Array.from({ length: 4 }, () => child(churn, cell));
  try {
    await Promise.all(children.map((other) => other.said()));
    await Promise.all(children.map((other) => other.tell("go")));
    await Promise.all(children.map((other) => other.done()));
  } finally {
    await Promise.all(children.map((other) => other[Symbol.asyncDispose]()));
  }
  assertEquals(exists(cell), false);

  async function churn(io: Io, { IpcArc }: Api, cell: string) {
    io.say("ready");
    await io.hear();
    for (let i = 0; i < 500; i++) {
      using arc = IpcArc.createOrLoad(cell, { whole: true });
      if (arc.read().whole !== true) throw new Error("half a cell");
      if (i % 3 === 0) arc.updateSync((value) => ({ ...value }));
    }
  }
}, { processes: true });

for (const step of ["file", "allocated", "filled", "held", "linked"]) {
  arcTest(
    `A creator killed at the step "${step}" leaves nothing, or a whole cell that the next one replaces`,
    async (cell) => {
      await using other = child(
        (io, { IpcArc }, cell, step) => {
          io.dieAt(`arc:create:${step}`);
          IpcArc.create(cell, { by: "dead" });
        },
        cell,
        step,
      );
      assertEquals(await other.ended(), "SIGKILL");
      assertEquals(exists(cell), step === "linked");
      assertEquals(codeOf(() => IpcArc.load(cell)), "NotFound");
      using arc = IpcArc.create(cell, { by: "living" });
      assertEquals([arc.read(), arc.refCount], [{ by: "living" }, 1]);
    },
    { processes: true },
  );
}

arcTest("A process that opens a cell just when the last holder removes it gets the next one", async (cell) => {
  const old = IpcArc.create(cell, "old");
  await using other = child((io, { IpcArc }, cell) => {
    io.stopAt("arc:open:opened");
    using arc = IpcArc.load<string>(cell);
    io.say([arc.read(), arc.refCount]);
  }, cell);
  while (!/^State:\s*T/m.test(await Deno.readTextFile(`/proc/${other.pid}/status`))) await Promise.resolve();
  old.close();
  using _next = IpcArc.create(cell, "next");
  other.signal("SIGCONT");
  assertEquals(await other.said(), ["next", 2]);
  await other.done();
}, { processes: true });

for (const step of ["begin", "bells", "done"]) {
  arcTest(
    `The last holder killed at the step "${step}" of removing the cell leaves nothing that stays`,
    async (cell) => {
      await using other = child(
        (io, { IpcArc }, cell, step) => {
          const arc = IpcArc.create(cell, 1);
          io.dieAt(`arc:remove:${step}`);
          arc.close();
        },
        cell,
        step,
      );
      assertEquals(await other.ended(), "SIGKILL");
      assertEquals(exists(cell), step !== "done");
      assertEquals(codeOf(() => IpcArc.load(cell)), "NotFound");
      assertEquals(exists(cell), false);
    },
    { processes: true },
  );
}

for (
  const [step, expected] of [["begin", "old"], ["odd", "old"], ["half", "old"], ["filled", "old"], ["switched", "new"]]
) {
  arcTest(`A writer killed at the step "${step}" of writing leaves the last complete value`, async (cell) => {
    const values = { old: "o".repeat(5000), new: "n".repeat(4000) } as Record<string, string>;
    using arc = IpcArc.create(cell, values.old!);
    await using other = child(
      (io, { IpcArc }, cell, step, value) => {
        const arc = IpcArc.load<string>(cell);
        io.dieAt(`arc:write:${step}`);
        arc.updateSync(() => value);
      },
      cell,
      step!,
      values.new!,
    );
    assertEquals(await other.ended(), "SIGKILL");
    assertEquals(arc.read(), values[expected!]);
    {
      using guard = await arc.acquire();
      assertEquals(guard.ownerDied, true);
      assertEquals(guard.value, values[expected!]);
      assertEquals(counterOf(cell) % 2, 0);
    }
    using guard = arc.acquireSync();
    assertEquals(guard.ownerDied, false, "told once");
    assertEquals(arc.refCount, 1);
    guard.value = "next";
    guard.release();
    assertEquals(arc.read(), "next");
  }, { processes: true });
}

for (const step of ["begin", "odd", "filled", "between"]) {
  arcTest(`A writer of a struct killed at "${step}" leaves the last complete value`, async (cell) => {
    const layout = struct({ a: u32, b: u32 });
    using arc = IpcArc.create(cell, { a: 1, b: 1 }, { layout });
    await using other = child(
      (io, { IpcArc, struct, u32 }, cell, step) => {
        const arc = IpcArc.load(cell, { layout: struct({ a: u32, b: u32 }) });
        io.dieAt(`arc:write:${step}`);
        const guard = arc.acquireSync();
        guard.value.a = 2;
        Deno.kill(Deno.pid, "SIGKILL");
        guard.value.b = 2;
      },
      cell,
      step,
    );
    assertEquals(await other.ended(), "SIGKILL");
    assertEquals(arc.read(), { a: 1, b: 1 });
    using guard = arc.acquireSync();
    assertEquals(guard.ownerDied, true);
    assertEquals({ ...arc.read() }, { a: 1, b: 1 });
    assertEquals([guard.value.a, guard.value.b], [1, 1]);
  }, { processes: true });
}

for (const step of ["begin", "done"]) {
  arcTest(`A repairer killed at the step "${step}" of repairing leaves the repair to the next`, async (cell) => {
    using arc = IpcArc.create(cell, ["old"]);
    const kill = (at: string) =>
      child(
        (io, { IpcArc }, cell, at) => {
          const arc = IpcArc.load<string[]>(cell);
          io.dieAt(at);
          arc.updateSync(() => ["new"]);
        },
        cell,
        at,
      );
    for (const at of ["arc:write:half", `arc:repair:${step}`, `arc:repair:${step}`]) {
      // A value of one text is short: it is written in one piece.
      await using other = kill(at === "arc:write:half" ? "arc:write:odd" : at);
      assertEquals(await other.ended(), "SIGKILL");
    }
    using guard = arc.acquireSync();
    assertEquals([guard.ownerDied, guard.value], [true, ["old"]]);
  }, { processes: true });
}

arcTest("A process killed while it holds the lock frees it, and its reference", async (cell) => {
  using arc = IpcArc.create(cell, { n: 1 });
  await using other = child((io, { IpcArc }, cell) => {
    const arc = IpcArc.load<{ n: number }>(cell);
    const clone = arc.clone();
    const guard = clone.acquireSync();
    guard.value.n = 2; // not yet published
    io.say("held");
    setInterval(() => [arc, guard.value], 1000); // or they are forgotten, and collected
  }, cell);
  await other.said();
  assertEquals(arc.tryAcquire(), undefined);
  assertEquals(arc.refCount, 3);
  assertEquals(cellInfo(cell)!.lockedBy, other.pid);
  assertEquals(cellInfo(cell)!.holders.toSorted(), [Deno.pid, other.pid, other.pid].toSorted());
  await other.kill();
  assertEquals(arc.refCount, 1);
  using guard = arc.acquireSync();
  assertEquals([guard.ownerDied, guard.value], [true, { n: 1 }]);
}, { processes: true });

arcTest("A Worker terminated while it holds the lock frees it", async (cell) => {
  using arc = IpcArc.create(cell, 1);
  const source = `
    import { IpcArc } from ${JSON.stringify(new URL("../../../arc/mod.ts", import.meta.url).href)};
    const guard = IpcArc.load(${JSON.stringify(cell)}).acquireSync();
    self.postMessage("held");
    setInterval(() => guard.value, 1000);`;
  const worker = new Worker(`data:text/javascript,${encodeURIComponent("// @ts-nocheck\n" + source)}`, {
    type: "module",
  });
  await new Promise((resolve) => worker.onmessage = resolve);
  assertEquals(arc.tryAcquire(), undefined);
  worker.terminate();
  using guard = await arc.acquire();
  assertEquals(guard.ownerDied, true);
  // Its reference goes, too, as soon as the thread has ended.
  while (arc.refCount > 1) await new Promise((resolve) => setTimeout(resolve, 1));
}, { worker: true });

arcTest("After the last holder was killed the name is free, and its memory is given back", async (cell) => {
  const big = 8 << 20;
  await using other = child(
    (io, { IpcArc }, cell, capacity) => {
      const arc = IpcArc.create(cell, "theirs", { capacity });
      io.say("held");
      setInterval(() => arc.read(), 1000);
    },
    cell,
    big,
  );
  await other.said();
  await other.kill();
  assert(fileStatus(`/dev/shm/isthmus.${cell}`)!.size > 2 * big);
  assertEquals(cellInfo(cell)!.stale, true);
  assertEquals(codeOf(() => IpcArc.load(cell)), "NotFound");
  assertEquals(exists(cell), false);
  using arc = IpcArc.create(cell, "ours", { capacity: 100 });
  assertEquals(arc.read(), "ours");
}, { processes: true });

arcTest("create() and createOrLoad() take over a name whose holders are all dead", async (cell) => {
  for (const make of [IpcArc.create, IpcArc.createOrLoad] as (typeof IpcArc.create)[]) {
    await using other = child((_io, { IpcArc }, cell) => {
      IpcArc.create(cell, "theirs");
      Deno.kill(Deno.pid, "SIGKILL");
    }, cell);
    assertEquals(await other.ended(), "SIGKILL");
    assertEquals(exists(cell), true);
    using arc = make(cell, "ours");
    assertEquals(arc.read(), "ours");
  }
}, { processes: true });

arcTest("collectStaleCells() removes the dead and spares the living", async (cell) => {
  using living = IpcArc.create(cell, 1);
  const dead = `${cell}-dead`;
  await using other = child(
    (_io, { IpcArc }, dead, living) => {
      IpcArc.create(dead, "theirs");
      const arc = IpcArc.load<number>(living);
      arc.watch()[Symbol.asyncIterator]().next(); // a doorbell is left, too
      Deno.kill(Deno.pid, "SIGKILL");
    },
    dead,
    cell,
  );
  assertEquals(await other.ended(), "SIGKILL");
  const stale = (name: string) => listCells().find((info) => info.name === name)?.stale;
  assertEquals([stale(dead), stale(cell)], [true, false]);
  assert(collectStaleCells().removed.includes(dead));
  assertEquals([stale(dead), stale(cell)], [undefined, false]);
  assertEquals([living.read(), living.refCount], [1, 1]);
}, { processes: true });

arcTest("removeCell() frees the name, and who holds the cell keeps it", (cell) => {
  using old = IpcArc.create(cell, "old");
  assertEquals(removeCell(cell), true);
  assertEquals(removeCell(freshName()), false);
  using new_ = IpcArc.create(cell, "new");
  using clone = old.clone();
  assertEquals([clone.read(), new_.read(), old.refCount], ["old", "new", 2]);
  clone.close();
  old.close();
  using again = IpcArc.load<string>(cell);
  assertEquals(again.read(), "new");
});

arcTest("A process with open cells and nothing to do ends by itself", async (cell) => {
  await using other = child(async (io, { IpcArc }, cell) => {
    const arc = IpcArc.create(cell, 1);
    await arc.update((n) => n + 1);
    const watch = arc.watch()[Symbol.asyncIterator]();
    const next = watch.next();
    arc.updateSync((n) => n + 1);
    io.say((await next).value);
    const guard = await arc.acquire();
    setTimeout(() => guard.release(), 1);
    (await arc.acquire()).release();
    io.say("idle");
  }, cell);
  assertEquals(await other.saidAll(), [3, "idle"]);
  await other.done();
}, { processes: true });

/** The change counter, as it stands in the file. */
function counterOf(cell: string): number {
  const file = Deno.openSync(`/dev/shm/isthmus.${cell}`);
  file.seekSync(40, Deno.SeekMode.Start);
  const word = new Uint8Array(4);
  file.readSync(word);
  file.close();
  return new DataView(word.buffer).getUint32(0, true);
}

type Io = import("../../support/arc_child.ts").ChildIo;
type Api = import("../../support/arc_processes.ts").Api;
