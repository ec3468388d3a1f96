// Scenarios with one process.
import { readdirSync } from "node:fs";
import {
  bytesChannel,
  channel,
  duplex,
  expose,
  IpcArc,
  IpcPublisher,
  IpcReceiver,
  IpcReceiverSet,
  IpcSharedMemory,
  IpcSubscriber,
  locks,
  remote,
  struct,
  u64,
} from "../../../mod.ts";
import { assert, assertCode, folder, isBun, prefix, WAIT } from "./support.ts";

/** Both ends of a channel, one turn after another, and waiting. */
export async function channels(): Promise<void> {
  const [sender, receiver] = channel<unknown>({ capacity: 65536 });
  sender.sendSync({ a: 1, b: new Uint8Array(5), c: new Map([[1n, new Date(7)]]) });
  assert.deepEqual(receiver.recvSync(WAIT), { a: 1, b: new Uint8Array(5), c: new Map([[1n, new Date(7)]]) });
  assert.equal(receiver.tryRecv().state, "empty");
  const waiting = receiver.recv(WAIT);
  setImmediate(() => sender.send("later"));
  assert.equal(await waiting, "later");
  await assertCode("Timeout", () => receiver.recv({ timeout: 5 }));
  await assertCode("Timeout", () => receiver.recvSync({ timeout: 5 }));
  const sending = (async () => {
    for (let i = 0; i < 20_000; i++) await sender.send({ i });
    sender.close();
  })();
  let next = 0;
  for await (const message of receiver) assert.equal((message as { i: number }).i, next++);
  assert.equal(next, 20_000);
  await sending;
  await assertCode("Disconnected", () => receiver.recv(WAIT));
  receiver.close();
  await assertCode("Closed", () => receiver.recv(WAIT));
}

/** Bytes: larger than the channel, in place, and several channels by one wait. */
export async function bytesInPlace(): Promise<void> {
  const [sender, receiver] = bytesChannel({ capacity: 65536 });
  const receiving = receiver.recv(WAIT);
  await sender.send(new Uint8Array(3_000_000).fill(7));
  const large = await receiving;
  assert.ok(large.length === 3_000_000 && large.every((byte) => byte === 7));
  const loan = await sender.reserve(1000, WAIT);
  loan.bytes.fill(3);
  loan.commit(900);
  const borrowed = await receiver.borrow(WAIT);
  assert.ok(borrowed.value.length === 900 && borrowed.value.every((byte) => byte === 3));
  borrowed.release();
  const [other, second] = channel<string>();
  const set = new IpcReceiverSet();
  const [first, next] = [set.add(receiver), set.add(second)];
  const selecting = set.select(WAIT);
  setImmediate(() => other.sendSync("second"));
  assert.deepEqual(await selecting, [{ id: next, type: "message", value: "second" }]);
  sender.close();
  assert.deepEqual(await set.select(WAIT), [{ id: first, type: "closed" }]);
  set.close(), other.close();
}

/** Endpoints and memory inside messages. */
export async function travellers(): Promise<void> {
  const [sender, receiver] = channel<unknown>();
  const [inner, end] = channel<number>();
  const memory = IpcSharedMemory.from(new Uint8Array([1, 2, 3]));
  sender.sendSync({ end, memory });
  const found = receiver.recvSync(WAIT) as { end: IpcReceiver<number>; memory: IpcSharedMemory };
  await inner.send(9);
  assert.equal(await found.end.recv(WAIT), 9);
  memory.bytes[0] = 77;
  assert.deepEqual([...found.memory.bytes], [77, 2, 3]);
  for (const open of [sender, receiver, inner, found.end, found.memory, memory]) open.close();
}

/** Cells of each kind. */
export async function cells(): Promise<void> {
  const cell = IpcArc.createOrLoad(`${prefix}value`, { n: 0 });
  for (let i = 0; i < 100; i++) await cell.update((value) => ({ n: value.n + 1 }));
  assert.deepEqual(cell.read(), { n: 100 });
  const watching = (async () => {
    for await (const value of cell.watch()) if (value.n > 100) return value.n;
  })();
  setImmediate(() => cell.updateSync((value) => ({ n: value.n + 1 })));
  assert.equal(await watching, 101);
  const guard = cell.acquireSync(WAIT);
  assert.equal(cell.tryAcquire(), undefined);
  const waiting = cell.acquire(WAIT);
  guard.release();
  (await waiting).release();
  await assertCode("AlreadyExists", () => IpcArc.create(cell.name, { n: 0 }));
  cell.close();
  await assertCode("NotFound", () => IpcArc.load(`${prefix}value`));
  const number = IpcArc.create(`${prefix}number`, 0n, { layout: u64 });
  assert.equal(number.atomic.add(5n), 0n);
  assert.equal(number.read(), 5n);
  number.close();
  const layout = struct({ n: u64, copy: u64 });
  const pair = IpcArc.create(`${prefix}pair`, { n: 1n, copy: 1n }, { layout });
  const held = pair.acquireSync(WAIT);
  held.value.n = 2n;
  held.release();
  assert.deepEqual(pair.read(), { n: 2n, copy: 1n });
  pair.close();
}

/** Calls over a duplex: answers, errors, and streams. */
export async function calls(): Promise<void> {
  const [here, there] = duplex();
  const api = {
    add: (a: number, b: number) => a + b,
    fail: () => {
      throw new RangeError("too far");
    },
    async *count(to: number) {
      for (let i = 0; i < to; i++) yield i;
    },
  };
  const exposed = expose(here, api);
  const far = remote<typeof api>(there, WAIT);
  assert.equal(await far.add(1, 2), 3);
  await assert.rejects(() => far.fail() as unknown as Promise<void>, RangeError);
  const counted: number[] = [];
  for await (const i of far.count(5)) counted.push(i);
  assert.deepEqual(counted, [0, 1, 2, 3, 4]);
  there.close();
  await exposed;
}

/** A topic; Bun cannot read memory that it may not write. */
export async function topics(): Promise<void> {
  const publisher = IpcPublisher.open<{ t: number }>(`${folder}/topic`);
  if (isBun) {
    publisher.publish({ t: 1 });
    await assertCode("Unsupported", () => IpcSubscriber.open(`${folder}/topic`));
  } else {
    const subscriber = IpcSubscriber.open<{ t: number }>(`${folder}/topic`);
    const waiting = subscriber.recv(WAIT);
    setImmediate(() => publisher.publish({ t: 1 }));
    assert.deepEqual(await waiting, { t: 1 });
    subscriber.close();
  }
  publisher.close();
}

/** Locks by name. */
export async function namedLocks(): Promise<void> {
  const order: number[] = [];
  const name = `${prefix}lock`;
  const first = locks.request(name, async () => {
    order.push(1);
    await new Promise((resolve) => setImmediate(resolve));
    order.push(2);
  });
  await Promise.all([first, locks.request(name, () => void order.push(3))]);
  assert.deepEqual(order, [1, 2, 3]);
  await locks.request(name, { mode: "shared" }, (lock) => assert.equal(lock.mode, "shared"));
  const free = await locks.request(name, { ifAvailable: true }, (lock) => lock !== null);
  assert.equal(free, true);
}

/** Waiting for a hundred channels takes no thread more than waiting for one. */
export async function noThreads(): Promise<void> {
  const threads = () => readdirSync("/proc/self/task").length;
  const pairs = Array.from({ length: 101 }, () => channel<number>());
  const [first, ...others] = pairs as [typeof pairs[0], ...typeof pairs];
  const waits = [first[1].recv(WAIT)];
  await new Promise((resolve) => setTimeout(resolve, 50));
  const before = threads();
  for (const [, receiver] of others) waits.push(receiver.recv(WAIT));
  await new Promise((resolve) => setTimeout(resolve, 50));
  const during = threads();
  for (const [i, [sender]] of pairs.entries()) sender.sendSync(i);
  assert.deepEqual(await Promise.all(waits), pairs.map((_, i) => i));
  for (const [sender, receiver] of pairs) sender.close(), receiver.close();
  // The runtimes start threads of their own for other things, now and then; not one a wait.
  assert.ok(during - before < 10, `${before} threads before the waits, ${during} with a hundred more`);
}

/** What is open, and nobody waits for, does not keep the process alive: this one ends with all of it. */
export async function endsByItself(): Promise<void> {
  const [sender, receiver] = channel<number>();
  setImmediate(() => sender.sendSync(1));
  assert.equal(await receiver.recv(WAIT), 1);
  const named = IpcReceiver.create<number>(`${folder}/ends`);
  assert.equal(named.tryRecv().state, "empty");
  IpcArc.create(`${prefix}ends`, 1);
}
