// Programs in C, by clients/c/isthmus.h, exchange messages and share cells with this process.
import { assert, assertEquals, assertLess } from "@std/assert";
import {
  IpcArc,
  IpcBytesReceiver,
  IpcBytesSender,
  IpcReceiver,
  IpcSender,
  IpcServer,
  spawn,
  struct,
  u64,
} from "../../mod.ts";
import { CDriver, compile, compiler } from "../support/c_driver.ts";
import { patience } from "../support/patience.ts";
import { test } from "../support/test.ts";

if (compiler === undefined) {
  console.log("The tests with C programs are ignored: there is no C compiler, or no permission");
}

function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** A test with a C program; gets a path and a name that nobody else uses. */
function cTest(name: string, body: (name: string, path: string) => Promise<void>): void {
  if (compiler === undefined) return Deno.test({ name, ignore: true, fn() {} });
  test(name, async () => {
    const id = `isthmus-c-${crypto.randomUUID()}`, path = `/dev/shm/${id}`;
    try {
      await body(id, path);
    } finally {
      for (const suffix of ["", ".bell", ".room"]) removeIfThere(path + suffix);
    }
  });
}

const wait = { timeout: patience(60_000) };
const lengthOf = (i: number, size: number) => size - (i * 37) % (size / 2);

/** What drivers send as message i, as bytes. */
function bytesOf(i: number, size: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(lengthOf(i, size));
  for (let k = 0; k < bytes.length; k++) bytes[k] = i + k;
  new DataView(bytes.buffer).setBigUint64(0, BigInt(i), true);
  return bytes;
}

/** Compares bytes; comparing megabytes by `assertEquals` takes seconds. */
function assertBytes(found: Uint8Array, wanted: Uint8Array): void {
  let same = found.length === wanted.length;
  for (let k = 0; same && k < wanted.length; k++) same = found[k] === wanted[k];
  if (!same) assertEquals(found, wanted);
}

/** The same as a value. */
const valueOf = (i: number, size: number) => ({
  i,
  text: `message ${i}`,
  list: [i, i === 0 ? 0 : -i, i + 0.5],
  yes: i % 2 === 0,
  none: null,
  bytes: Uint8Array.from({ length: lengthOf(i, size) }, (_, k) => (i + k) & 255),
});

const indexOf = (bytes: Uint8Array<ArrayBuffer>) =>
  Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));

cTest("A C program sends byte strings, copied and in place, and they are received and borrowed", async (_, path) => {
  using receiver = IpcBytesReceiver.create(path, { capacity: 1 << 20 });
  await using c = new CDriver();
  await c.ok(`open s ${path} bytes`);
  for (const [how, size, count] of [["copy", 64, 400], ["loan", 5000, 400], ["copy", 300_000, 60]] as const) {
    await c.tell(`send s 0 ${count} ${size} ${how}`);
    for (let i = 0; i < count; i++) {
      if (i % 2 === 0) {
        assertBytes(await receiver.recv(wait), bytesOf(i, size));
      } else {
        using borrowed = await receiver.borrow(wait);
        assertBytes(borrowed.value, bytesOf(i, size));
      }
    }
    assertEquals(await c.answer(), "ok");
  }
});

cTest("A C program receives and borrows byte strings, copied and in place", async (_, path) => {
  await using c = new CDriver();
  await c.ok(`create r ${path} bytes 1048576`);
  using sender = IpcBytesSender.open(path);
  for (const [how, size, count] of [["copy", 64, 400], ["borrow", 5000, 400], ["borrow", 300_000, 60]] as const) {
    await c.tell(`receive r 0 ${count} ${size} ${how}`);
    for (let i = 0; i < count; i++) {
      const bytes = bytesOf(i, size);
      if (i % 2 === 0) {
        await sender.send(bytes, wait);
      } else {
        const loan = await sender.reserve(size, wait);
        loan.bytes.set(bytes);
        loan.commit(bytes.length);
      }
    }
    assertEquals(await c.answer(), "ok");
  }
  assertEquals(await c.ask("poll r"), "ok empty");
});

cTest("Values go both ways by a named channel", async (_, path) => {
  using back = IpcReceiver.create<unknown>(`${path}.back`);
  await using c = new CDriver();
  await c.ok(`create r ${path} values 65536`);
  await c.ok(`open s ${path}.back values`);
  using sender = IpcSender.open<unknown>(path);
  await c.tell("receive r 0 500 2000 copy");
  for (let i = 0; i < 500; i++) await sender.send(valueOf(i, 2000), wait);
  assertEquals(await c.answer(), "ok");
  await c.tell("send s 0 500 2000 copy");
  for (let i = 0; i < 500; i++) assertEquals(await back.recv(wait), valueOf(i, 2000));
  assertEquals(await c.answer(), "ok");
});

cTest("A C program talks with a server, with messages larger than the channel, and learns of its end", async (name) => {
  const server = new IpcServer<unknown, unknown>({ path: `/tmp/${name}.socket` });
  await using c = new CDriver();
  await c.ok(`connect h /tmp/${name}.socket`);
  const line = await server.accept(wait);
  server.close();
  await c.tell("ask h 0 300 500");
  for (let i = 0; i < 300; i++) await line.send(await line.recv(wait), wait);
  assertEquals(await c.answer(), "ok");
  await c.tell("ask h 7 3 9000000");
  for (let i = 7; i < 10; i++) {
    const value = await line.recv(wait);
    assertEquals((value as { i: number }).i, i);
    await line.send(value, wait);
  }
  assertEquals(await c.answer(), "ok");
  await line.send(valueOf(1, 64), wait);
  line.close();
  await c.ok("receive h 1 1 64 copy");
  assertEquals(await c.ask("poll h"), "ok gone");
  assertEquals((await c.ask("send h 0 1 64 copy")).split(" ").slice(0, 2), ["error", "Disconnected"]);
});

cTest("A server learns that its C client was killed", async (name) => {
  using server = new IpcServer<unknown, unknown>({ path: `/tmp/${name}.socket` });
  const c = new CDriver();
  await c.ok(`connect h /tmp/${name}.socket`);
  using line = await server.accept(wait);
  await c.ok("send h 0 5 100 copy");
  await c.kill();
  for (let i = 0; i < 5; i++) assertEquals(await line.recv(wait), valueOf(i, 100));
  for await (const more of line) assert(false, `received ${more}`);
});

cTest("spawn() starts a C program that finds its parent", async () => {
  await using child = await spawn<unknown, unknown>(compile("tests/languages/c_parent.c"), { timeout: wait.timeout });
  for (const value of [1, "two", [3, { four: 5 }], new Uint8Array(5_000_000).fill(7)]) {
    await child.send(value, wait);
    assertEquals(await child.recv(wait), value);
  }
  child.close();
  assertEquals((await child.status).code, 0);
});

cTest("C programs that send are killed 200 times: each message comes once and in order", async (_, path) => {
  using receiver = IpcBytesReceiver.create(path, { capacity: 65536 });
  let round = 0;
  const one = async () => {
    for (let mine = round++; mine < 200; mine = round++) {
      const c = new CDriver();
      await c.ok(`open s ${path} bytes`);
      const first = mine * 1_000_000;
      await c.tell(`flood s ${first} 600 ${mine % 2 ? "loan" : "copy"} 16 /nowhere`);
      await c.answer((told) => told >= first + 16 * (1 + mine * 7 % 20));
      const told = (await c.kill()).at(-1)!;
      sent.set(mine, told - first);
    }
  };
  const sent = new Map<number, number>(), got = new Map<number, number>();
  const killing = Promise.all([one(), one()]).then(async () => {
    using last = IpcBytesSender.open(path);
    await last.send(bytesOf(200_000_000, 600), wait);
  });
  for (;;) {
    const bytes = await receiver.recv(wait), index = indexOf(bytes);
    assertBytes(bytes, bytesOf(index, 600));
    if (index === 200_000_000) break;
    const from = Math.floor(index / 1_000_000), n = got.get(from) ?? 0;
    assertEquals(index, from * 1_000_000 + n);
    got.set(from, n + 1);
  }
  await killing;
  assertEquals(sent.size, 200);
  for (const [from, told] of sent) assert(got.get(from)! >= told, `${got.get(from)} of ${told} from ${from}`);
});

cTest("C programs that receive are killed: the next one goes on, and nothing comes twice", async (_, path) => {
  using sender = IpcBytesSender.open(path, { capacity: 65536 });
  let next = 0, stop = false;
  const sending = (async () => {
    while (!stop) await sender.send(bytesOf(next++, 600), wait);
    // After the last of them was killed: one of them may have received all before, and not told of it.
    await sender.send(bytesOf(next, 600), wait);
  })();
  let last = -1;
  for (let round = 0; round < 50; round++) {
    const c = new CDriver();
    await c.ok(`create r ${path} bytes 65536`);
    const far = last + 20 + round * 7 % 50;
    await c.tell(`drain r 999999999 600 ${round % 2 ? "borrow" : "copy"} 1`);
    await c.answer((told) => told >= far);
    const told = await c.kill();
    // The one that died with a message may not have told of it.
    assert(told[0] === last + 1 || told[0] === last + 2, `${told[0]} after ${last}`);
    for (let k = 1; k < told.length; k++) assertEquals(told[k], told[k - 1]! + 1);
    last = told.at(-1)!;
  }
  stop = true;
  await using c = new CDriver();
  await c.ok(`create r ${path} bytes 65536`);
  const end = next;
  await c.tell(`drain r ${end} 600 copy 1000000`);
  await sending;
  const runs = await c.answer();
  assert(runs === `ok ${last + 1}:${end}` || runs === `ok ${last + 2}:${end}`, `${runs} after ${last}`);
});

cTest("A C program that is stopped holds nobody up but those who wait for it", async (_, path) => {
  using receiver = IpcBytesReceiver.create(path, { capacity: 65536 });
  await using stopped = new CDriver();
  await using other = new CDriver();
  await stopped.ok(`open s ${path} bytes`);
  await other.ok(`open s ${path} bytes`);
  await stopped.tell(`flood s 0 64 copy 16 ${path}`);
  await stopped.answer(() => true);
  stopped.signal("SIGSTOP");
  // What it has sent by now, and perhaps a claim that it has not committed, which holds the channel up until it goes on.
  for (let i = 0; i < 16; i++) assertEquals(indexOf(await receiver.recv(wait)), i);
  stopped.signal("SIGCONT");
  let expected = 16;
  const draining = (async () => {
    for (;;) {
      const index = indexOf(await receiver.recv(wait));
      if (index === 5_000_000) break;
      assertEquals(index, expected++);
    }
  })();
  const end = Number((await stopped.answer()).split(" ")[1]);
  await other.ok("send s 5000000 1 64 copy");
  await draining;
  assertEquals(expected, end);
});

const pair = struct({ n: u64, copy: u64 });

for (const layout of ["cbor", "struct"] as const) {
  cTest(`C programs and Deno add to one ${layout} cell, and what died loses nothing`, async (name) => {
    using arc = IpcArc.create<{ n: number | bigint; copy: number | bigint }>(
      name,
      layout === "cbor" ? { n: 0, copy: 0 } : { n: 0n, copy: 0n },
      layout === "cbor" ? {} : { layout: pair as never },
    );
    await using c = new CDriver();
    await c.ok(`cell c ${name} load ${layout}`);
    await c.tell("add c 5000 lock");
    for (let i = 0; i < 500; i++) {
      using guard = await arc.acquire();
      const { n } = guard.value;
      const more = typeof n === "bigint" ? n + 1n : n + 1;
      guard.value = { n: more, copy: more };
    }
    assertEquals(await c.answer(), "ok");
    assertEquals(await c.ok("read c"), "5500 5500 0");
    for (let round = 0; round < 30; round++) {
      const dying = new CDriver();
      await dying.ok(`cell c ${name} load ${layout}`);
      const before = Number(arc.read().n);
      await dying.tell("hammer c lock 16 /nowhere");
      await dying.answer((told) => told >= 16 * (1 + round % 5));
      const told = (await dying.kill()).at(-1)!;
      using guard = await arc.acquire();
      assertEquals(guard.value.n, guard.value.copy);
      assert(Number(guard.value.n) - before >= told);
      assertLess(Number(guard.value.n) - before, told + 17);
    }
  });
}

cTest("A C program watches a cell, and is watched", async (name) => {
  using arc = IpcArc.create(name, { n: 0, copy: 0 });
  await using c = new CDriver();
  await c.ok(`cell c ${name} load cbor`);
  await c.tell("watch c 300");
  await c.answer(() => true);
  for (let n = 1; n <= 300; n++) await arc.update(() => ({ n, copy: n }));
  assert(Number((await c.answer()).split(" ")[1]) >= 1);
  const changes = arc.watch();
  await c.tell("add c 300 lock");
  let before = 300;
  for await (const { n, copy } of changes) {
    assertEquals(n, copy);
    assert(n > before);
    before = n;
    if (n === 600) break;
  }
  assertEquals(await c.answer(), "ok");
});

cTest("Atomic operations of C and Deno on one number", async (name) => {
  using arc = IpcArc.create(name, 0n, { layout: u64 });
  await using c = new CDriver();
  await c.ok(`cell c ${name} load u64`);
  await c.tell("add c 20000 atomic");
  for (let i = 0; i < 20_000; i++) arc.atomic.add(1n);
  assertEquals(await c.answer(), "ok");
  assertEquals(arc.read(), 40_000n);
});
