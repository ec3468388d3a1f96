// Locks by name: in one isolate, between processes, and with deaths at every step.
import { assertEquals, assertRejects } from "@std/assert";
import { type LockRequestOptions, locks } from "../../../mod.ts";
import type { Self } from "../../support/actor.ts";
import { assertIpcError, soon } from "../../support/assert_ipc.ts";
import { folderTest } from "../../support/folder.ts";
import { mayContain } from "../../support/processes.ts";
import { Threads } from "../../support/threads.ts";
import { lookingTest, processTest } from "../../support/test.ts";
import { ACTORS, filesOf, hold, holdOn, lockName, stateOf, until } from "./lock_actors.ts";

/** A promise, and what settles it. */
function gate() {
  return Promise.withResolvers<void>();
}

lookingTest("The callback runs while the lock is held, and its outcome is the request's", async () => {
  const name = lockName();
  const seen: unknown = await locks.request(name, (lock) => lock);
  assertEquals(seen, { name, mode: "exclusive", ownerDied: false });
  assertEquals(await locks.request(name, { mode: "shared" }, (lock) => lock.mode), "shared");
  const error = new Error("of the callback");
  assertEquals(await locks.request(name, () => Promise.reject(error)).catch((caught) => caught), error);
  await assertRejects(
    () =>
      locks.request(name, () => {
        throw error;
      }),
    Error,
    "of the callback",
  );
  assertEquals(filesOf(name), []);
});

lookingTest("Requests are granted one at a time, in their order", async () => {
  const name = lockName();
  const order: number[] = [];
  let inside = 0;
  await Promise.all(Array.from({ length: 20 }, (_, i) =>
    locks.request(name, async () => {
      assertEquals(++inside, 1);
      order.push(i);
      await new Promise((resolve) => setTimeout(resolve, i % 3));
      inside--;
    })));
  assertEquals(order, Array.from({ length: 20 }, (_, i) => i));
  assertEquals(filesOf(name), []);
});

lookingTest(
  "Those that share a lock hold it together; one that does not comes in its turn, and those behind it wait",
  async () => {
    const name = lockName();
    const readers = gate(), writer = gate();
    const order: string[] = [];
    const take = (what: string, options: LockRequestOptions, end: Promise<void>) =>
      locks.request(name, options, async () => {
        order.push(what);
        await end;
      });
    const first = take("r1", { mode: "shared" }, readers.promise),
      second = take("r2", { mode: "shared" }, readers.promise);
    const third = take("w", {}, writer.promise);
    const fourth = take("r3", { mode: "shared" }, readers.promise);
    await until(name, { held: ["shared", "shared"], pending: ["exclusive", "shared"] });
    assertEquals(order, ["r1", "r2"]);
    readers.resolve();
    await Promise.all([first, second]);
    while (order.length < 3) await new Promise((resolve) => setTimeout(resolve, 1));
    await until(name, { held: ["exclusive"], pending: ["shared"] });
    writer.resolve();
    await soon(Promise.all([third, fourth]));
    assertEquals(order, ["r1", "r2", "w", "r3"]);
    assertEquals(filesOf(name), []);
  },
);

lookingTest(
  "A request that must not wait gets null; one whose time is over, or whose signal says so, leaves the queue",
  async () => {
    const name = lockName();
    const held = gate();
    const holder = locks.request(name, () => held.promise);
    assertEquals(await locks.request(name, { ifAvailable: true }, (lock) => lock), null);
    assertEquals(await locks.request(name, { ifAvailable: true, mode: "shared" }, (lock) => lock), null);
    await assertIpcError("Timeout", () => locks.request(name, { timeout: 0 }, () => {}));
    await assertIpcError("Timeout", () => locks.request(name, { timeout: 10 }, () => {}));
    const abort = new AbortController();
    const aborted = locks.request(name, { signal: abort.signal }, () => "never");
    const behind = locks.request(name, () => "behind");
    abort.abort(new Error("enough"));
    await assertRejects(() => aborted, Error, "enough");
    await assertRejects(() => locks.request(name, { signal: abort.signal }, () => {}), Error, "enough");
    held.resolve();
    await holder;
    assertEquals(await soon(behind), "behind");
    // Once it is held, a signal ends nothing.
    const late = new AbortController();
    assertEquals(
      await locks.request(name, { signal: late.signal }, async () => {
        late.abort();
        await new Promise((resolve) => setTimeout(resolve, 5));
        return "done";
      }),
      "done",
    );
    assertEquals(await locks.request(name, { ifAvailable: true }, (lock) => lock?.mode), "exclusive");
    assertEquals(filesOf(name), []);
  },
);

lookingTest("Any text is a name, and what is none is told of", async () => {
  const id = crypto.randomUUID();
  for (const name of [`a/b ${id}`, `ä%2f\0${id}`, `${id}.bell.1`, `-${id}`, `../${id}`]) {
    const seen = await locks.request(name, async (lock) => [lock.name, await stateOf(name)]);
    assertEquals(seen[0], name);
    assertEquals((seen[1] as { held: string[] }).held, ["exclusive"]);
  }
  for (const bad of ["", "x".repeat(201), "\ud800", 5 as unknown as string]) {
    await assertRejects(() => locks.request(bad, () => {}), TypeError, "lock");
  }
  const request = locks.request as (...args: unknown[]) => Promise<unknown>;
  await assertRejects(() => request(id), TypeError, "callback");
  await assertRejects(() => request(id, {}), TypeError, "callback");
  await assertRejects(() => request(id, { mode: "upgrade" }, () => {}), TypeError, "mode");
  await assertRejects(() => request(id, { ifAvailable: 1 }, () => {}), TypeError, "ifAvailable");
  await assertRejects(() => request(id, { timeout: -1 }, () => {}), TypeError, "timeout");
  await assertRejects(() => request(id, "x", () => {}), TypeError, "options");
  assertEquals(filesOf(id), []);
});

lookingTest("Something else that has the name is left alone", async () => {
  const name = lockName();
  const path = `/dev/shm/isthmus-lock.${name}`;
  Deno.writeTextFileSync(path, "precious", { mode: 0o600 });
  await assertIpcError("Incompatible", () => locks.request(name, () => {}));
  assertEquals(Deno.readTextFileSync(path), "precious");
  Deno.removeSync(path);
});

// --- Processes -----------------------------------------------------------------------------------------------------

/** Adds to a number in a file, which it reads and writes in two steps. */
export async function addUp({ name, path, times }: { name: string; path: string; times: number }, self: Self) {
  for (let i = 0; i < times; i++) {
    await locks.request(name, async () => {
      const n = Number(Deno.readTextFileSync(path));
      if (i % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
      Deno.writeTextFileSync(path, `${n + 1}`);
    });
  }
  self.say("done");
}

processTest("What several processes do under a lock, they do one after the other", async ({ start }) => {
  const name = lockName();
  const path = Deno.makeTempFileSync({ dir: "/dev/shm", prefix: name });
  Deno.writeTextFileSync(path, "0");
  const job = { name, path, times: 100 };
  const children = await Promise.all([0, 1, 2, 3].map(() => start(import.meta.url, addUp, job)));
  for (const child of children) assertEquals(await soon(child.said(), "adding up"), "done");
  assertEquals(Deno.readTextFileSync(path), "400");
  Deno.removeSync(path);
  assertEquals(filesOf(name), []);
});

processTest("A holder that is killed gives the lock to the next one, which is told, once", async ({ start }) => {
  const name = lockName();
  const child = await start(ACTORS, hold, { name });
  assertEquals([await child.said(), await child.said()], ["began", false]);
  const waiting = locks.request(name, (lock) => [lock.ownerDied, lock.deadOwner]);
  const behind = locks.request(name, (lock) => [lock.ownerDied, lock.deadOwner]);
  await until(name, { held: ["exclusive"], pending: ["exclusive", "exclusive"] });
  const { held } = await locks.query();
  assertEquals(held.find((lock) => lock.name === name)?.pid, child.pid);
  await child.kill();
  assertEquals(await soon(waiting), [true, child.pid]);
  assertEquals(await soon(behind), [false, undefined]);
  assertEquals(filesOf(name), []);
});

processTest("A holder that was killed when nobody waited is told of as well", async ({ start }) => {
  const name = lockName();
  for (const mode of ["exclusive", "shared"] as const) {
    const child = await start(ACTORS, hold, { name, mode });
    assertEquals([await child.said(), await child.said()], ["began", false]);
    await child.kill();
    await until(name, { held: [], pending: [] });
    assertEquals(await locks.request(name, { ifAvailable: true }, (lock) => lock?.ownerDied), true);
    assertEquals(await locks.request(name, { mode: "shared" }, (lock) => lock.ownerDied), false);
    assertEquals(filesOf(name), []);
  }
  const child = await start(ACTORS, hold, { name, exits: true });
  assertEquals([await child.said(), await child.said()], ["began", false]);
  await child.status;
  assertEquals(await locks.request(name, (lock) => lock.ownerDied), true);
  assertEquals(filesOf(name), []);
});

for (
  const [step, died] of [
    ["lock-choosing", false],
    ["lock-ticket", false],
    ["lock-waiting", false],
    ["lock-held", true],
    ["lock-ended", false],
    ["lock-removing", false],
  ] as const
) {
  processTest(`A process that is killed at "${step}" costs nobody the lock`, async ({ start }) => {
    const name = lockName();
    const child = await start(ACTORS, hold, { name, dies: step });
    assertEquals(await child.said(), "began");
    if (step === "lock-ended" || step === "lock-removing") {
      assertEquals(await child.said(), false);
      await child.tell();
    }
    assertEquals((await soon(child.status)).signal, "SIGKILL");
    assertEquals(await soon(locks.request(name, (lock) => lock.ownerDied)), died);
    assertEquals(await soon(locks.request(name, { mode: "shared" }, (lock) => lock.ownerDied)), false);
    assertEquals(filesOf(name), []);
  });
}

processTest("One that is stopped with a ticket that nobody sees yet keeps its place", async ({ start }) => {
  const name = lockName();
  const child = await start(ACTORS, hold, { name, stops: "lock-ticket" });
  assertEquals(await child.said(), "began");
  await child.stopped();
  assertEquals(await locks.request(name, { ifAvailable: true }, (lock) => lock), null);
  let mine = false;
  const behind = locks.request(name, () => mine = true);
  await assertIpcError("Timeout", () => locks.request(name, { timeout: 100 }, () => {}));
  child.signal("SIGCONT");
  assertEquals(await child.said(), false);
  assertEquals(mine, false);
  await child.tell();
  assertEquals(await soon(behind), true);
  assertEquals(await child.said(), "ended");
});

processTest("One that is killed while it waits holds nobody up", async ({ start }) => {
  const name = lockName();
  const held = gate();
  const holder = locks.request(name, () => held.promise);
  const child = await start(ACTORS, hold, { name });
  assertEquals(await child.said(), "began");
  while ((await stateOf(name)).pending.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  const behind = locks.request(name, (lock) => lock.ownerDied);
  await child.kill();
  held.resolve();
  await holder;
  assertEquals(await soon(behind), false);
  assertEquals(filesOf(name), []);
});

processTest(
  "Readers in several processes hold a lock together, and a writer waits for all of them",
  async ({ start }) => {
    const name = lockName();
    const readers = await Promise.all(
      [0, 1].map(() => start(ACTORS, hold, { name, mode: "shared" as const })),
    );
    for (const child of readers) assertEquals([await child.said(), await child.said()], ["began", false]);
    assertEquals(await locks.request(name, { mode: "shared", timeout: 0 }, () => "beside them"), "beside them");
    assertEquals(await locks.request(name, { ifAvailable: true }, (lock) => lock), null);
    const writer = locks.request(name, (lock) => lock.ownerDied);
    await readers[0]!.tell();
    assertEquals(await readers[0]!.said(), "ended");
    await until(name, { held: ["shared"], pending: ["exclusive"] });
    await readers[1]!.kill();
    assertEquals(await soon(writer), true);
    assertEquals(filesOf(name), []);
  },
);

folderTest("A holder in a container, with other process numbers, is found dead as well", async (folder, processes) => {
  if (!mayContain()) return;
  const name = lockName();
  const child = await processes.startContained(ACTORS, hold, { name }, folder.path);
  assertEquals([await child.said(), await child.said()], ["began", false]);
  await assertIpcError("Timeout", () => locks.request(name, { timeout: 200 }, () => {}));
  const waiting = locks.request(name, (lock) => lock.ownerDied);
  await child.kill();
  assertEquals(await soon(waiting), true);
  assertEquals(filesOf(name), []);
});

processTest("A Worker that is terminated gives its locks back", async () => {
  const name = lockName();
  const threads = new Threads();
  await threads.start(ACTORS, holdOn, { name });
  await until(name, { held: ["exclusive"], pending: [] });
  await threads.end();
  assertEquals(await soon(locks.request(name, (lock) => lock.ownerDied)), true);
  assertEquals(filesOf(name), []);
});
