import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  type Borrowed,
  bytesChannel,
  channel,
  type IpcBytesReceiver,
  type IpcReceiver,
  IpcSharedMemory,
} from "../../mod.ts";
import type { Self } from "../support/actor.ts";
import { assertIpcError, assertIpcErrorSync, soon } from "../support/assert_ipc.ts";
import { openChannel } from "../support/open_channel.ts";
import { patience } from "../support/patience.ts";
import { processTest, test } from "../support/test.ts";

const CAPACITY = 65_536;

interface Frame {
  n: number;
  title: string;
  planes: Uint8Array[];
}

const frame = (n: number, length = 1000): Frame => ({
  n,
  title: `frame ${n}`,
  planes: [new Uint8Array(length).fill(n), new Uint8Array(length / 2).fill(n + 1)],
});

const BORROW = {
  "borrow()": <T>(receiver: Pick<IpcReceiver<T>, "borrow">) => soon(receiver.borrow()),
  // deno-lint-ignore require-await -- promises, as the first way returns one
  "borrowSync()": async <T>(receiver: Pick<IpcReceiver<T>, "borrowSync">) => receiver.borrowSync({ timeout: 0 }),
  // deno-lint-ignore require-await -- as above
  "tryBorrow()": async <T>(receiver: Pick<IpcReceiver<T>, "tryBorrow">) => receiver.tryBorrow()!,
};

for (const [way, borrow] of Object.entries(BORROW)) {
  test(`${way} gives a value whose byte strings are views on the ring itself`, async () => {
    const { sender, receiver, memory, close } = openChannel<Frame>(CAPACITY);
    sender.sendSync(frame(3));
    const borrowed = await borrow(receiver);
    assertEquals({ ...borrowed.value, planes: [...borrowed.value.planes] }, frame(3));
    // What changes in the ring is seen through the views, and nothing else of the value changes.
    for (let i = 0; i < memory.data.length; i++) if (memory.data[i] === 3) memory.data[i] = 77;
    assert(borrowed.value.planes[0]!.every((byte) => byte === 77));
    assertEquals([borrowed.value.n, borrowed.value.title], [3, "frame 3"]);
    borrowed.release();
    close();
  });

  test(`${way} on a bytes channel gives the message itself, in place`, async () => {
    const [sender, receiver] = bytesChannel({ capacity: CAPACITY });
    for (const length of [0, 1, 64, 65, 5000, CAPACITY]) {
      sender.sendSync(new Uint8Array(length).fill(9));
      using borrowed = await borrow(receiver);
      assertEquals(borrowed.value.length, length);
      assert(borrowed.value.every((byte) => byte === 9));
      assertEquals(sender.trySend(new Uint8Array(CAPACITY)), false, "its blocks are not free");
    }
    assert(sender.trySend(new Uint8Array(CAPACITY)), "they are free again");
    sender.close(), receiver.close();
  });
}

test("A view reads nothing and writes nowhere after the release, however often it is released", () => {
  const { sender, receiver, memory, close } = openChannel<Frame>(CAPACITY);
  sender.sendSync(frame(3));
  const borrowed = receiver.borrowSync({ timeout: 0 });
  const [view] = borrowed.value.planes, other = view!.subarray(10, 20), words = new DataView(view!.buffer);
  borrowed.release();
  borrowed.release();
  borrowed[Symbol.dispose]();
  for (const stale of [view!, other]) {
    assertEquals([stale.length, stale[0]], [0, undefined]);
    stale[0] = 255;
    assertThrows(() => stale.fill(255), TypeError);
    assertThrows(() => [...stale], TypeError);
  }
  assertThrows(() => words.getUint8(0), TypeError);
  assert(!memory.data.includes(255));
  sender.sendSync(frame(4));
  assertEquals(receiver.recvSync({ timeout: 0 }), frame(4));
  close();
});

test("Several messages are borrowed in order, and stay readable until their own release", () => {
  const [sender, receiver] = channel<Frame>({ capacity: CAPACITY });
  for (let n = 0; n < 5; n++) sender.sendSync(frame(n));
  const all = Array.from({ length: 4 }, () => receiver.borrowSync({ timeout: 0 }));
  assertEquals(receiver.recvSync({ timeout: 0 }), frame(4), "and one that is received after them");
  assertEquals(receiver.tryBorrow(), undefined);
  for (const [n, borrowed] of all.entries()) {
    assertEquals(borrowed.value.n, n);
    borrowed.release();
    for (const later of all.slice(n + 1)) {
      assert(later.value.planes[0]!.length === 1000 && later.value.planes[0]!.every((byte) => byte === later.value.n));
    }
  }
  assert(sender.trySend(frame(9, CAPACITY / 2)));
  sender.close(), receiver.close();
});

test("Releasing in any order frees the blocks once everything before them is released", () => {
  const [sender, receiver] = bytesChannel({ capacity: CAPACITY });
  const part = new Uint8Array(CAPACITY / 4);
  for (const order of [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]]) {
    for (let n = 0; n < 4; n++) sender.sendSync(part.fill(n), { timeout: 0 });
    const all = Array.from({ length: 4 }, () => receiver.borrowSync({ timeout: 0 }));
    const released = new Set<number>();
    for (const n of order) {
      all[n]!.release();
      released.add(n);
      let free = 0;
      while (released.has(free)) free++;
      for (const [m, { value }] of all.entries()) {
        if (!released.has(m)) assert(value.length === part.length && value.every((byte) => byte === m));
        else assertEquals(value.length, 0);
      }
      const room = new Uint8Array(free * part.length + 1);
      assertEquals(free < 4 && sender.trySend(room), false);
    }
    assert(sender.trySend(new Uint8Array(CAPACITY)));
    assertEquals(receiver.recvSync({ timeout: 0 }).length, CAPACITY);
  }
  sender.close(), receiver.close();
});

test("A sender that waits for room is woken by the release", async () => {
  const [sender, receiver] = bytesChannel({ capacity: CAPACITY });
  sender.sendSync(new Uint8Array(CAPACITY));
  const borrowed = receiver.borrowSync({ timeout: 0 });
  await assertIpcError("Timeout", () => sender.send(new Uint8Array(1), { timeout: 5 }));
  const waiting = sender.send(new Uint8Array([1]));
  borrowed.release();
  await soon(waiting);
  assertEquals(receiver.recvSync({ timeout: 0 }), new Uint8Array([1]));
  sender.close(), receiver.close();
});

test("Closing the receiver with messages borrowed empties their views; releasing them later is harmless", () => {
  const [sender, receiver] = channel<Frame>({ capacity: CAPACITY });
  for (let n = 0; n < 3; n++) sender.sendSync(frame(n));
  const all = [receiver.borrowSync(), receiver.borrowSync()];
  receiver.close();
  for (const { value } of all) for (const plane of value.planes) assertEquals(plane.length, 0);
  for (const borrowed of all.reverse()) borrowed.release(), borrowed.release();
  assertIpcErrorSync("Closed", () => receiver.borrowSync());
  assertIpcErrorSync("Disconnected", () => sender.sendSync(frame(0)));
  sender.close();
});

test("Borrowed messages outlive the last sender, and the end comes after them", () => {
  const [sender, receiver] = channel<Frame>({ capacity: CAPACITY });
  sender.sendSync(frame(0)), sender.sendSync(frame(1));
  sender.close();
  const first = receiver.borrowSync({ timeout: 0 }), second = receiver.tryBorrow()!;
  assertIpcErrorSync("Disconnected", () => receiver.tryBorrow());
  assertIpcErrorSync("Disconnected", () => receiver.borrowSync());
  assertEquals([first.value.planes[0]![0], second.value.planes[0]![0]], [0, 1]);
  second.release(), first.release();
  receiver.close();
});

test("A receiver with borrowed messages is not sent away", () => {
  const [sender, receiver] = channel<Frame>();
  const [carrier, inbox] = channel<unknown>();
  sender.sendSync(frame(0)), sender.sendSync(frame(1));
  const borrowed = receiver.borrowSync();
  assertIpcErrorSync("Serialization", () => carrier.sendSync(receiver));
  assertEquals(borrowed.value.planes[0]!.length, 1000);
  borrowed.release();
  carrier.sendSync(receiver);
  const moved = inbox.recvSync({ timeout: 0 }) as IpcReceiver<Frame>;
  assertEquals(moved.recvSync({ timeout: 0 }), frame(1));
  for (const end of [sender, moved, carrier, inbox]) end.close();
});

test("Messages larger than the ring, and those with memory in them, are borrowed as well", () => {
  const [sender, receiver] = channel<{ bytes: Uint8Array; memory?: IpcSharedMemory }>({ capacity: CAPACITY });
  const memory = IpcSharedMemory.filled(5, 100);
  sender.sendSync({ bytes: new Uint8Array(300_000).fill(4) });
  sender.sendSync({ bytes: new Uint8Array(300).fill(3), memory });
  const large = receiver.borrowSync({ timeout: 0 }), small = receiver.borrowSync({ timeout: 0 });
  assertEquals([large.value.bytes.length, large.value.bytes[299_999]], [300_000, 4]);
  assertEquals([small.value.bytes[299], small.value.memory!.bytes[99]], [3, 5]);
  large.release(), small.release();
  assertEquals([large.value.bytes.length, small.value.bytes.length], [0, 0]);
  assertEquals(small.value.memory!.bytes[0], 5, "what came along is the program's own");
  for (const end of [memory, small.value.memory!, sender, receiver]) end.close();
});

test("Borrowing and receiving alternate at will over many rounds of the ring", () => {
  const [sender, receiver] = bytesChannel({ capacity: CAPACITY });
  const out: Borrowed<Uint8Array>[] = [];
  for (let n = 0; n < 3000; n++) {
    sender.sendSync(new Uint8Array(1 + n * 37 % 4000).fill(n), { timeout: 0 });
    if (n % 3 === 0) {
      out.push(receiver.borrowSync({ timeout: 0 }));
    } else {
      const bytes = receiver.recvSync({ timeout: 0 });
      assert(bytes.length === 1 + n * 37 % 4000 && bytes.every((byte) => byte === n % 256));
    }
    // Never more than five out, given back in an order of their own.
    if (out.length === 5) { for (const at of [2, 0, 1, 0, 0]) out.splice(at, 1)[0]!.release(); }
  }
  for (const borrowed of out) borrowed.release();
  assert(sender.trySend(new Uint8Array(CAPACITY)));
  sender.close(), receiver.close();
});

/** Borrows frames, two at a time, and says their sums. */
export function sumBorrowed({ receiver }: { receiver: IpcBytesReceiver }, self: Self): void {
  for (;;) {
    using first = receiver.borrowSync({ timeout: patience(20_000) });
    if (first.value.length === 0) break;
    using second = receiver.borrowSync({ timeout: patience(20_000) });
    self.say([first, second].map(({ value }) => value.reduce((sum, byte) => sum + byte, 0)));
  }
}

processTest("Messages of another process are borrowed, while it sends the next ones", async ({ start }) => {
  const [sender, receiver] = bytesChannel({ capacity: CAPACITY });
  const child = await start(import.meta.url, sumBorrowed, { receiver });
  const sending = (async () => {
    for (let n = 0; n < 40; n++) await sender.send(new Uint8Array(20_000).fill(n));
    await sender.send(new Uint8Array(0));
  })();
  for (let n = 0; n < 40; n += 2) assertEquals(await soon(child.said()), [n * 20_000, (n + 1) * 20_000]);
  await soon(sending);
  assertEquals((await child.status).code, 0);
  sender.close();
});

processTest("A sender that waits for a borrower is told when the borrower is killed", async ({ start }) => {
  const [sender, receiver] = bytesChannel({ capacity: CAPACITY });
  const child = await start(import.meta.url, borrowForEver, { receiver });
  sender.sendSync(new Uint8Array(CAPACITY));
  await child.said();
  const waiting = assertIpcError("Disconnected", () => sender.send(new Uint8Array(1)));
  await child.kill();
  await soon(waiting);
  sender.close();
});

/** Borrows one message and never gives it back. */
export function borrowForEver({ receiver }: { receiver: IpcBytesReceiver }, self: Self): void {
  using borrowed = receiver.borrowSync({ timeout: patience(20_000) });
  self.say(borrowed.value.length);
  self.hear();
}
