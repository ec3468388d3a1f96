// Waiting for the lock of another process without blocking: bells, deaths, order.
import { assert, assertEquals, assertRejects } from "@std/assert";
import { IpcArc, IpcError, struct, u32 } from "../../../arc/mod.ts";
import { listDirectory } from "../../../ffi/file/directory.ts";
import { fileStatus } from "../../../ffi/file/file_status.ts";
import { arcTest, child } from "../../support/arc_processes.ts";

/** Runs a test without the timer that looks for deaths: what happens then, a bell has done. */
async function withoutTimer(test: () => Promise<void>): Promise<void> {
  const { setInterval } = globalThis;
  const alive = setInterval(() => {}, 1 << 30);
  globalThis.setInterval = (() => 0) as unknown as typeof setInterval;
  try {
    await test();
  } finally {
    globalThis.setInterval = setInterval;
    clearInterval(alive);
  }
}

arcTest("acquire() is woken by a release in another process, not by looking", async (cell) => {
  using arc = IpcArc.create(cell, 0);
  await using other = child(holdAndRelease, cell);
  await other.said();
  await withoutTimer(async () => {
    for (let i = 0; i < 20; i++) {
      assertEquals(arc.tryAcquire(), undefined);
      const pending = arc.acquire();
      await other.tell("release");
      const guard = await pending;
      assertEquals([guard.value, guard.ownerDied], [i + 1, false]);
      guard.release();
      await other.tell("hold");
      await other.said();
    }
  });
  await other.tell("end");

  async function holdAndRelease(io: Io, { IpcArc }: Api, cell: string) {
    using arc = IpcArc.load<number>(cell);
    for (;;) {
      const guard = arc.acquireSync();
      io.say("held");
      if (await io.hear() === "end") return;
      guard.value++;
      guard.release();
      await io.hear();
    }
  }
}, { processes: true });

arcTest("A wait is woken by the death of the holder", async (cell) => {
  using arc = IpcArc.create(cell, 0);
  await using other = child((io, { IpcArc }, cell) => {
    const guard = IpcArc.load<number>(cell).acquireSync();
    io.say("held");
    setInterval(() => guard.value, 1000);
  }, cell);
  await other.said();
  const waits = [arc.acquire(), arc.acquire()];
  await other.kill();
  const died: boolean[] = [];
  for (const wait of waits) {
    using guard = await wait;
    died.push(guard.ownerDied);
  }
  assertEquals(died, [true, false]);
}, { processes: true });

arcTest("A stopped holder is not taken for a dead one", async (cell) => {
  using arc = IpcArc.create(cell, 0);
  await using other = child((io, { IpcArc }, cell) => {
    const arc = IpcArc.load<number>(cell);
    io.stopAt("arc:write:filled");
    arc.updateSync(() => 1);
  }, cell);
  // Stopped: its state in /proc is T.
  while (!/^State:\s*T/m.test(await Deno.readTextFile(`/proc/${other.pid}/status`))) await Promise.resolve();
  assertEquals(arc.read(), 0);
  await assertRejects(() => arc.acquire({ timeout: 300 }), IpcError, "300 ms");
  other.signal("SIGCONT");
  using guard = await arc.acquire();
  assertEquals([guard.value, guard.ownerDied], [1, false]);
}, { processes: true });

arcTest("Of waiters in several processes the one that came first is woken first", async (cell) => {
  using arc = IpcArc.create(cell, [] as number[]);
  const held = arc.acquireSync();
  const children = Array.from({ length: 5 }, (_, i) => child(wait, cell, i));
  try {
    for (const other of children) {
      await other.said();
      await other.tell("queue");
      await other.said();
    }
    held.release();
    await Promise.all(children.map((other) => other.done()));
    assertEquals(arc.read(), [0, 1, 2, 3, 4]);
  } finally {
    await Promise.all(children.map((other) => other[Symbol.asyncDispose]()));
  }

  async function wait(io: Io, { IpcArc }: Api, cell: string, i: number) {
    using arc = IpcArc.load<number[]>(cell);
    io.say("ready");
    await io.hear();
    const { setInterval } = globalThis;
    const alive = setInterval(() => {}, 1 << 30);
    globalThis.setInterval = (() => 0) as unknown as typeof setInterval; // woken by the bell alone
    const now = performance.now.bind(performance);
    let late = 0;
    if (i === 4) performance.now = () => now() + (late += 20); // takes long to queue
    const pending = arc.acquire();
    performance.now = now;
    await Promise.resolve();
    io.say("queued");
    const guard = await pending;
    guard.value.push(i);
    guard.release();
    clearInterval(alive);
  }
}, { processes: true });

arcTest("A waiter killed while it waits does not swallow the wake-up of the next", async (cell) => {
  using arc = IpcArc.create(cell, 0);
  const held = arc.acquireSync();
  await using first = child(wait, cell);
  await first.said();
  await using second = child(wait, cell);
  await second.said();
  await first.kill();
  held.release();
  assertEquals(await second.said(), "got it");
  await second.done();

  async function wait(io: Io, { IpcArc }: Api, cell: string) {
    using arc = IpcArc.load<number>(cell);
    const { setInterval } = globalThis;
    const alive = setInterval(() => {}, 1 << 30);
    globalThis.setInterval = (() => 0) as unknown as typeof setInterval;
    const pending = arc.acquire();
    await Promise.resolve();
    io.say("waiting");
    (await pending).release();
    io.say("got it");
    clearInterval(alive);
  }
}, { processes: true });

arcTest("A waiter that gives up hands its wake-up on", async (cell) => {
  using arc = IpcArc.create(cell, 0);
  await using other = child(async (io, { IpcArc }, cell) => {
    using arc = IpcArc.load<number>(cell);
    for (;;) {
      const guard = arc.acquireSync();
      io.say("held");
      if (await io.hear() === "end") return;
      guard.release();
      if (await io.hear() === "end") return;
    }
  }, cell);
  for (let i = 0; i < 30; i++) {
    await other.said();
    const controller = new AbortController();
    const given = arc.acquire({ signal: controller.signal }).then((guard) => guard.release(), () => {});
    const kept = arc.acquire();
    await other.tell("release");
    if (i % 2) await new Promise((resolve) => setTimeout(resolve, 0));
    controller.abort();
    await given;
    (await kept).release();
    await other.tell("again");
  }
  await other.said();
  await other.tell("end");
}, { processes: true });

arcTest("A waiter in one process that gives up hands its wake-up to one in another", async (cell) => {
  using arc = IpcArc.create(cell, 0);
  await using holder = child(async (io, { IpcArc }, cell) => {
    using arc = IpcArc.load<number>(cell);
    const guard = arc.acquireSync();
    io.say("held");
    await io.hear();
    guard.release();
  }, cell);
  await holder.said();
  const controller = new AbortController();
  const given = arc.acquire({ signal: controller.signal }).catch(() => "given up"); // first in the queue, at bell 0
  await using other = child(async (io, { IpcArc }, cell) => {
    using arc = IpcArc.load<number>(cell);
    const { setInterval } = globalThis;
    const alive = setInterval(() => {}, 1 << 30);
    globalThis.setInterval = (() => 0) as unknown as typeof setInterval;
    const pending = arc.acquire();
    await Promise.resolve();
    io.say("queued");
    (await pending).release();
    io.say("got it");
    clearInterval(alive);
  }, cell);
  await other.said();
  await holder.tell("release");
  // Without a turn of the event loop until the bell has been rung: the wish is taken back by who rings.
  while ((word(cell, 192 + 12) & 1) !== 0);
  controller.abort();
  assertEquals(await given, "given up");
  assertEquals(await other.said(), "got it");
}, { processes: true });

arcTest("Who takes the lock again at once gives way to a waiter that has waited long", async (cell) => {
  using arc = IpcArc.create(cell, [] as string[]);
  await using other = child(async (io, { IpcArc }, cell) => {
    using arc = IpcArc.load<string[]>(cell);
    while (await io.hear() === "queue") {
      const pending = arc.acquire();
      await Promise.resolve();
      io.say("queued");
      using guard = await pending;
      guard.value.push("waiter");
    }
  }, cell);
  for (let i = 0; i < 10; i++) {
    const held = arc.acquireSync();
    held.value = [];
    await other.tell("queue");
    await other.said();
    while (word(cell, 132) === 0) await new Promise((resolve) => setTimeout(resolve, 1)); // it is starving
    held.release();
    if (i % 2) arc.updateSync((list) => [...list, "again"]);
    else await arc.update((list) => [...list, "again"]);
    assertEquals(arc.read(), ["waiter", "again"]);
    assertEquals(word(cell, 132), 0);
  }
  await other.tell("end");
}, { processes: true });

arcTest("A starving waiter that is killed holds nobody up for long", async (cell) => {
  using arc = IpcArc.create(cell, 0);
  await using other = child(async (io, { IpcArc }, cell) => {
    const pending = IpcArc.load<number>(cell).acquire();
    await Promise.resolve();
    io.say("queued");
    await pending;
  }, cell);
  for (const way of ["sync", "async"]) {
    const held = arc.acquireSync();
    if (way === "sync") {
      await other.said();
      while (word(cell, 132) === 0) await new Promise((resolve) => setTimeout(resolve, 1));
      await other.kill();
    } else {
      const file = Deno.openSync(`/dev/shm/isthmus.${cell}`, { write: true });
      file.seekSync(132, Deno.SeekMode.Start);
      file.writeSync(new Uint8Array([200, 0, 0, 0]));
      file.close();
    }
    held.release();
    if (way === "sync") arc.updateSync((n) => n + 1);
    else await arc.update((n) => n + 1);
    assertEquals(word(cell, 132), 0, way);
  }
  assertEquals(arc.read(), 2);
}, { processes: true });

/** A word of a cell, as it stands in its file. */
function word(cell: string, offset: number): number {
  const file = Deno.openSync(`/dev/shm/isthmus.${cell}`);
  file.seekSync(offset, Deno.SeekMode.Start);
  const bytes = new Uint8Array(4);
  file.readSync(bytes);
  file.close();
  return new DataView(bytes.buffer).getInt32(0, true);
}

arcTest("A waiter gets the lock from a process that takes it again at once, without end", async (cell) => {
  using arc = IpcArc.create(cell, 0);
  await using other = child((io, { IpcArc }, cell) => {
    using arc = IpcArc.load<number>(cell);
    const pause = new Int32Array(new SharedArrayBuffer(4));
    io.say("started");
    let rounds = 0;
    // Free for a microsecond in two milliseconds.
    for (; rounds < 3000 && arc.read() === 0; rounds++) {
      using _guard = arc.acquireSync();
      Atomics.wait(pause, 0, 0, 2);
    }
    io.say(rounds);
  }, cell);
  await other.said();
  await arc.update(() => 1);
  const rounds = await other.said() as number;
  assert(rounds < 3000, `starved for all ${rounds} rounds`);
}, { processes: true });

arcTest("50 processes that contend all make progress", async (cell) => {
  using arc = IpcArc.create(cell, { n: 0 }, { layout: struct({ n: u32 }) });
  const children = Array.from({ length: 50 }, () => child(contend, cell));
  try {
    await Promise.all(children.map((other) => other.said()));
    await Promise.all(children.map((other) => other.tell("go")));
    await Promise.all(children.map((other) => other.done()));
  } finally {
    await Promise.all(children.map((other) => other[Symbol.asyncDispose]()));
  }
  assertEquals(arc.read(), { n: 50 * 20 });

  async function contend(io: Io, { IpcArc, struct, u32 }: Api, cell: string) {
    using arc = IpcArc.load(cell, { layout: struct({ n: u32 }) });
    io.say("ready");
    await io.hear();
    for (let i = 0; i < 20; i++) {
      using guard = await arc.acquire();
      guard.value.n++;
    }
  }
}, { processes: true });

/** Counts the doorbells of a cell, and not those of others on this machine. */
function bellsOf(cell: string): () => number {
  const prefix = `isthmus-bell.${fileStatus(`/dev/shm/isthmus.${cell}`)!.inode.toString(16)}.`;
  return () => listDirectory("/dev/shm").filter((name) => name.startsWith(prefix)).length;
}

arcTest("A doorbell is there when somebody has waited, and goes with who waited", async (cell) => {
  const arc = IpcArc.create(cell, 0);
  const bells = bellsOf(cell);
  await using other = child(async (io, { IpcArc }, cell) => {
    using arc = IpcArc.load<number>(cell);
    const pending = arc.acquire();
    await Promise.resolve();
    io.say("waiting");
    (await pending).release();
    await io.hear();
  }, cell);
  const held = arc.acquireSync();
  await other.said();
  assertEquals(bells(), 1);
  held.release();
  await other.tell("end");
  await other.done();
  assertEquals(bells(), 0, "who leaves takes its bell away");
  arc.close();
}, { processes: true });

arcTest("A killed waiter's doorbell goes with the last holder", async (cell) => {
  const arc = IpcArc.create(cell, 0);
  const bells = bellsOf(cell);
  const held = arc.acquireSync();
  await using other = child(async (io, { IpcArc }, cell) => {
    const pending = IpcArc.load<number>(cell).acquire();
    await Promise.resolve();
    io.say("waiting");
    await pending;
  }, cell);
  await other.said();
  await other.kill();
  assertEquals(bells(), 1);
  held.release();
  arc.close();
  assertEquals(bells(), 0);
}, { processes: true });

type Io = import("../../support/arc_child.ts").ChildIo;
type Api = import("../../support/arc_processes.ts").Api;
