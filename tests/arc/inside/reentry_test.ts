// Code of the program that runs in the middle of a call (getters, callbacks, listeners), and there closes, releases, clones
// and locks what the call is at work on: an error at worst, never a crash, and nothing is left locked.
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { array, f64, IpcArc, type IpcArcGuard, IpcError, type Layout, struct, u32 } from "../../../arc/mod.ts";
import { collectStaleCells } from "../../../arc/inspect/mod.ts";
import { arcTest, codeOf, mayRun } from "../../support/arc_processes.ts";
import { patience } from "../../support/patience.ts";

arcTest("A getter that closes the cell while its guard is released does no harm, and the change is stored", (cell) => {
  using keeper = IpcArc.create<unknown>(cell, { n: 1 });
  const arc = IpcArc.load<unknown>(cell);
  const guard = arc.acquireSync();
  guard.value = { n: 2 };
  let closed = false;
  Object.defineProperty(guard.value, "n", {
    enumerable: true,
    get() {
      closed = true;
      arc.close();
      guard.release();
      assertEquals(codeOf(() => keeper.acquireSync()), "Deadlock"); // it is released by the call that is at work
      return 3;
    },
  });
  guard.release();
  assertEquals([closed, arc.closed, keeper.read(), keeper.refCount], [true, true, { n: 3 }, 1]);
  keeper.acquireSync().release();
});

arcTest("A getter that closes the only reference while its guard is released does no harm", (cell) => {
  for (let turn = 0; turn < 20; turn++) {
    const arc = IpcArc.create<unknown>(cell, { n: 1 });
    const guard = arc.acquireSync();
    const value = guard.value as object;
    Object.defineProperty(value, "n", { enumerable: true, get: () => (arc.close(), 3) });
    guard.release();
    assertEquals(codeOf(() => IpcArc.load(cell)), "NotFound");
  }
});

arcTest("An update whose function closes the cell writes nothing, also where a clone lives", async (cell) => {
  using keeper = IpcArc.create(cell, 1);
  for (const close of [(arc: IpcArc<number>) => arc.close(), (arc: IpcArc<number>) => arc[Symbol.dispose]()]) {
    const arc = keeper.clone();
    const error = assertThrows(() => arc.updateSync((value) => (close(arc), value + 1)), IpcError);
    assertEquals([error.code, keeper.read()], ["Closed", 1]);
    const again = keeper.clone();
    const late = await assertRejects(() => again.update((value) => (close(again), value + 1)), IpcError);
    assertEquals([late.code, keeper.read()], ["Closed", 1]);
    // The lock is free for others meanwhile, who write.
    const third = keeper.clone();
    assertThrows(() => third.updateSync((value) => (close(third), keeper.updateSync(() => 7), value + 1)), IpcError);
    assertEquals(keeper.read(), 7);
    keeper.updateSync(() => 1);
  }
});

// --- At random -------------------------------------------------------------------------------------------------------

const pod = struct({ n: u32, at: struct({ x: f64 }), many: array(struct({ id: u32 }), 3), list: array(f64, 2) });

/** Numbers that are the same in every run (mulberry32). */
function randomFrom(seed: number): (below: number) => number {
  return (below) => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

/** One program: many cells, guards and waits, and at each call-out something is done to one of them. */
export async function mischief(cell: string, seed: number, steps: number): Promise<void> {
  const random = randomFrom(seed);
  const value = () => ({
    n: 1,
    at: { x: 2 },
    many: [{ id: 1 }, { id: 2 }, { id: 3 }],
    list: new Float64Array([1, 2]),
  });
  const kinds: (Layout<unknown> | undefined)[] = [undefined, pod as Layout<unknown>, u32];
  const arcs: { arc: IpcArc<unknown>; kind: number }[] = [];
  const guards: { guard: IpcArcGuard<unknown>; kind: number }[] = [];
  const views: unknown[] = [];
  const pending: Promise<unknown>[] = [];
  let depth = 0, left = 2 * steps; // one act may lead to many
  const open = (kind: number): void => {
    const layout = kinds[kind];
    const options = layout === undefined ? {} : { layout };
    arcs.push({ kind, arc: IpcArc.createOrLoad<unknown>(`${cell}-${kind}`, kind === 2 ? 1 : value(), options) });
  };
  /** Looked at by the library, which this happens in the middle of. */
  const evil = <T>(plain: T): T => {
    act();
    return plain;
  };
  const evilOptions = () => ({
    get timeout() {
      return evil(random(3));
    },
    get signal() {
      return evil(undefined as unknown as AbortSignal);
    },
  });
  const evilValue = (kind: number): unknown => {
    if (kind === 2) return random(100);
    const made = value();
    const at = random(4);
    if (at === 0) Object.defineProperty(made, "n", { enumerable: true, get: () => evil(5) });
    if (at === 1) Object.defineProperty(made.at, "x", { enumerable: true, get: () => evil(0.5) });
    if (at === 2) Object.defineProperty(made.many, 1, { enumerable: true, get: () => evil({ id: 9 }) });
    if (at === 3 && kind === 1) {
      return new Proxy(made, { get: (target, key) => evil(Reflect.get(target, key)) });
    }
    return made;
  };
  const act = (): void => {
    if (depth > 3 || left-- <= 0) return;
    depth++;
    try {
      const taken = arcs[random(arcs.length || 1)], held = guards[random(guards.length || 1)];
      switch (random(16)) {
        case 0:
          return open(random(3));
        case 1:
          return taken?.arc.close();
        case 2:
          return void (taken && arcs.push({ ...taken, arc: taken.arc.clone() }));
        case 3:
          return void (taken && guards.push({ kind: taken.kind, guard: taken.arc.acquireSync(evilOptions()) }));
        case 4: {
          const guard = taken?.arc.tryAcquire();
          return void (guard && guards.push({ kind: taken!.kind, guard }));
        }
        case 5:
        case 6:
          return held?.guard.release();
        case 7:
          if (held) held.guard.value = evilValue(held.kind);
          return;
        case 8:
          if (held) views.push(held.guard.value);
          return;
        case 9: {
          const view = views[random(views.length || 1)] as ReturnType<typeof value> | undefined;
          if (typeof view !== "object") return;
          if (random(2) === 0) view.at = evilValue(1) as { x: number };
          else {view.many[random(3)] = {
              get id() {
                return evil(4);
              },
            };}
          return;
        }
        case 10:
          if (taken) taken.arc.updateSync((old) => evil(random(2) === 0 ? old : evilValue(taken.kind)), evilOptions());
          return;
        case 11:
          if (taken) {
            pending.push(taken.arc.update((old) => evil(random(2) === 0 ? old : evilValue(taken.kind)), evilOptions()));
          }
          return;
        case 12:
          if (taken) {
            pending.push(taken.arc.acquire(evilOptions()).then((guard) => guards.push({ kind: taken.kind, guard })));
          }
          return;
        case 13:
          taken?.arc.read();
          return;
        case 14: {
          const view = views[random(views.length || 1)] as ReturnType<typeof value> | undefined;
          if (typeof view === "object") view.many.sort((a, b) => evil(b.id - a.id));
          return;
        }
        case 15: {
          if (taken === undefined) return;
          const watch = taken.arc.watch(evilOptions())[Symbol.asyncIterator]();
          pending.push(Promise.race([watch.next(), Promise.resolve()]).then(() => watch.return!()));
          return;
        }
      }
    } catch (error) {
      if (!(error instanceof IpcError || error instanceof TypeError || error instanceof RangeError)) throw error;
    } finally {
      depth--;
      for (const promise of pending) promise.catch(() => {});
    }
  };
  for (let step = 0; step < steps; step++) {
    if (arcs.length === 0 || random(20) === 0) open(random(3));
    act();
    if (arcs.length > 12) arcs.splice(0, 6).forEach(({ arc }) => tidy(() => arc.close()));
    if (guards.length > 12) guards.splice(0, 6).forEach(({ guard }) => tidy(() => guard.release()));
    if (views.length > 20) views.splice(0, 10);
    if (pending.length > 20) await Promise.allSettled(pending.splice(0));
    else if (random(10) === 0) await undefined;
  }
  for (const { guard } of guards) tidy(() => guard.release());
  await Promise.allSettled(pending);
  for (const { guard } of guards) tidy(() => guard.release());
  for (const { arc } of arcs) tidy(() => arc.close());
}

function tidy(act: () => void): void {
  try {
    act();
  } catch (error) {
    if (!(error instanceof IpcError || error instanceof TypeError || error instanceof RangeError)) throw error;
  }
}

/** A number from the environment, where that may be read. */
function setting(variable: string, otherwise: number): number {
  const may = Deno.permissions.querySync({ name: "env", variable }).state === "granted";
  return Number((may ? Deno.env.get(variable) : undefined) ?? otherwise);
}

const SEEDS = setting("ISTHMUS_SEEDS", 6), STEPS = setting("ISTHMUS_STEPS", 2000);
const config = new URL("../../../deno.json", import.meta.url).pathname;

for (let seed = 1; seed <= SEEDS; seed++) {
  arcTest(`${STEPS} steps of mischief at call-outs, seed ${seed}`, async (cell) => {
    const keepers = [
      IpcArc.create<unknown>(`${cell}-2`, 1, { layout: u32 as Layout<unknown> }),
    ];
    const code = `import { mischief } from ${JSON.stringify(import.meta.url)};
      await mischief(${JSON.stringify(cell)}, ${seed}, ${STEPS}); console.log("done");`;
    const { code: exit, signal, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["eval", "--quiet", "--config", config, code],
      stdout: "piped",
      stderr: "piped",
    }).output();
    const said = new TextDecoder().decode(stdout);
    assertEquals([exit, signal, said], [0, null, "done\n"], new TextDecoder().decode(stderr).slice(0, 2000));
    for (const keeper of keepers) {
      using guard = keeper.acquireSync({ timeout: patience(10_000) });
      assert(!guard.ownerDied);
      guard.release();
      assertEquals(keeper.refCount, 1);
      keeper.close();
    }
  }, { processes: true });
}

Deno.test({
  name: "Workers that are terminated in the middle of mischief leave the cells usable",
  ignore: !mayRun,
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    const cell = `test-${crypto.randomUUID()}`;
    const keeper = IpcArc.create<unknown>(`${cell}-2`, 1, { layout: u32 as Layout<unknown> });
    const code = `import { mischief } from ${JSON.stringify(import.meta.url)};
      self.onmessage = async ({ data }) => { for (;;) { await mischief(${JSON.stringify(cell)}, data++, 50);
        await new Promise((resolve) => setTimeout(resolve, 0)); } };
      postMessage("ready");`;
    const url = URL.createObjectURL(new Blob([code], { type: "application/javascript" }));
    for (let turn = 0; turn < 6; turn++) {
      const worker = new Worker(url, { type: "module" });
      await new Promise((resolve) => worker.onmessage = resolve);
      worker.postMessage(turn * 1000);
      await new Promise((resolve) => setTimeout(resolve, 30 + turn * 13));
      worker.terminate();
      const guard = await keeper.acquire({ timeout: patience(20_000) });
      guard.release();
    }
    keeper.close();
    for (const kind of [0, 1, 2]) {
      const layout = [undefined, pod as Layout<unknown>, u32 as Layout<unknown>][kind];
      try {
        const arc = IpcArc.load<unknown>(`${cell}-${kind}`, layout === undefined ? {} : { layout });
        (await arc.acquire({ timeout: patience(20_000) })).release();
        arc.close();
      } catch (error) {
        assertEquals((error as IpcError).code, "NotFound");
      }
    }
    // What a terminated thread had is closed when it ends, or by who looks next.
    const files = () => [...Deno.readDirSync("/dev/shm")].filter(({ name }) => name.includes(cell)).length;
    for (const end = performance.now() + patience(20_000); files() > 0 && performance.now() < end;) {
      collectStaleCells();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assertEquals(files(), 0);
  },
});
