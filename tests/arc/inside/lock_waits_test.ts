// Those who wait for a lock: that they do nothing meanwhile, and hear of every end, whatever became of the others.
import { assertEquals, assertNotEquals } from "@std/assert";
import { lifePath, lockPath } from "../../../arc/locks/lock_name.ts";
import { Predecessor } from "../../../arc/locks/predecessor.ts";
import { locks } from "../../../mod.ts";
import { assertIpcError, soon } from "../../support/assert_ipc.ts";
import { assertIdle } from "../../support/idle.ts";
import { Threads } from "../../support/threads.ts";
import { lookingTest, processTest } from "../../support/test.ts";
import { ACTORS, filesOf, hold, holdOn, lockName, stateOf, until } from "./lock_actors.ts";

const exclusive = (n: number): string[] => Array(n).fill("exclusive");

processTest("Who waits for a lock is not woken until its turn may have come", async ({ start }) => {
  const name = lockName();
  const held = Promise.withResolvers<void>();
  const holder = locks.request(name, () => held.promise);
  const first = await start(ACTORS, hold, { name });
  await until(name, { held: exclusive(1), pending: exclusive(1) });
  const second = await start(ACTORS, hold, { name });
  await until(name, { held: exclusive(1), pending: exclusive(2) });
  await Promise.all([first, second].map(({ pid }) => assertIdle(pid, "a lock")));
  held.resolve();
  await holder;
  assertEquals([await first.said(), await first.said()], ["began", false]);
  await assertIdle(second.pid, "a lock behind another");
  await first.tell();
  assertEquals([await second.said(), await second.said()], ["began", false]);
  await second.tell();
  await soon(second.said());
  assertEquals(filesOf(name), []);
});

processTest(
  "The killed holder's lock goes to the first of those who wait, also if some of them died",
  async ({ start }) => {
    const name = lockName();
    const holder = await start(ACTORS, hold, { name });
    assertEquals([await holder.said(), await holder.said()], ["began", false]);
    const order: string[] = [];
    const mine: Promise<unknown>[] = [];
    const others = [];
    for (let i = 0; i < 4; i++) {
      others.push(await start(ACTORS, hold, { name }));
      await until(name, { held: exclusive(1), pending: exclusive(2 * i + 1) });
      mine.push(locks.request(name, (lock) => order.push(`${i} ${lock.ownerDied}`)));
      await until(name, { held: exclusive(1), pending: exclusive(2 * i + 2) });
    }
    await others[0]!.kill();
    await others[2]!.kill();
    await others[3]!.kill();
    assertEquals(order, []);
    await holder.kill();
    await soon(mine[0]!);
    assertEquals([await others[1]!.said(), await others[1]!.said()], ["began", false]);
    assertEquals(order, ["0 true"]);
    await others[1]!.tell();
    await soon(Promise.all(mine));
    assertEquals(order, ["0 true", "1 false", "2 false", "3 false"]);
    await others[1]!.said();
    assertEquals(filesOf(name), []);
  },
);

processTest(
  "A holder that is stopped keeps the lock, and one that waits and is stopped its place",
  async ({ start }) => {
    const name = lockName();
    const holder = await start(ACTORS, hold, { name });
    assertEquals([await holder.said(), await holder.said()], ["began", false]);
    const waiter = await start(ACTORS, hold, { name });
    await until(name, { held: exclusive(1), pending: exclusive(1) });
    const mine = locks.request(name, (lock) => lock.ownerDied);
    holder.signal("SIGSTOP"), waiter.signal("SIGSTOP");
    await Promise.all([holder.stopped(), waiter.stopped()]);
    await assertIpcError("Timeout", () => locks.request(name, { timeout: 50 }, () => {}));
    await holder.kill();
    await assertIpcError("Timeout", () => locks.request(name, { timeout: 50 }, () => {}));
    assertEquals((await stateOf(name)).held, []);
    waiter.signal("SIGCONT");
    assertEquals([await waiter.said(), await waiter.said()], ["began", true]);
    await waiter.kill();
    assertEquals(await soon(mine), true);
    assertEquals(filesOf(name), []);
  },
);

processTest("Who waits behind a Worker that is terminated gets the lock", async () => {
  const name = lockName();
  await using threads = new Threads();
  await threads.start(ACTORS, holdOn, { name });
  await until(name, { held: exclusive(1), pending: [] });
  const waiting = locks.request(name, (lock) => lock.ownerDied);
  await until(name, { held: exclusive(1), pending: exclusive(1) });
  await threads.end();
  assertEquals(await soon(waiting), true);
});

lookingTest("Readers that wait behind a writer get the lock together, a writer after the last reader", async () => {
  const name = lockName();
  const first = Promise.withResolvers<void>(), readers = Promise.withResolvers<void>();
  let inside = 0, most = 0;
  const writer = locks.request(name, () => first.promise);
  const reading = Array.from({ length: 5 }, () =>
    locks.request(name, { mode: "shared" }, async () => {
      most = Math.max(most, ++inside);
      if (inside === 5) readers.resolve();
      await readers.promise;
      inside--;
    }));
  const last = locks.request(name, () => inside);
  first.resolve();
  await writer;
  await soon(Promise.all(reading));
  assertEquals([await soon(last), most], [0, 5]);
  assertEquals(filesOf(name), []);
});

lookingTest("A sign of life that somebody has removed, or written to, costs time only", async () => {
  const name = lockName();
  const held = Promise.withResolvers<void>();
  const holder = locks.request(name, () => held.promise);
  const life = filesOf(name).find((file) => file.startsWith("isthmus-lock-life."));
  assertNotEquals(life, undefined);
  const before = locks.request(name, () => "before"); // watches it
  const pipe = Deno.openSync(`/dev/shm/${life}`, { write: true });
  pipe.writeSync(new Uint8Array(100));
  pipe.close();
  await until(name, { held: exclusive(1), pending: exclusive(1) });
  Deno.removeSync(`/dev/shm/${life}`);
  const after = locks.request(name, { mode: "shared" }, () => "after"); // watches the one that waits
  for (const file of filesOf(name).filter((file) => file.startsWith("isthmus-lock-life."))) {
    Deno.removeSync(`/dev/shm/${file}`);
  }
  const blind = locks.request(name, () => "blind"); // finds nothing to watch
  Deno.removeSync(`/dev/shm/${filesOf(name).find((file) => file.startsWith("isthmus-lock-life."))}`);
  const last = locks.request(name, () => "last");
  held.resolve();
  await holder;
  assertEquals(await soon(Promise.all([before, after, blind, last])), ["before", "after", "blind", "last"]);
  assertEquals(filesOf(name), []);
});

lookingTest("A request whose process had ended before it came to be watched is heard of", async () => {
  const name = lockName(), path = lockPath(name), ended = Promise.withResolvers<void>();
  const predecessor = new Predecessor(path, ended.resolve);
  // As a killed process leaves it: a FIFO that nobody has open, of which `poll` tells no hang-up.
  assertEquals((await new Deno.Command("mkfifo", { args: ["-m", "600", lifePath(path, 3)] }).output()).code, 0);
  try {
    assertEquals(predecessor.watch(3, 7), true);
    await soon(ended.promise);
    assertEquals([predecessor.watches(3, 7), predecessor.hasEnded], [true, true]);
  } finally {
    predecessor.forget();
    Deno.removeSync(lifePath(path, 3));
  }
});
