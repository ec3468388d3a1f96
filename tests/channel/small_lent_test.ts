// Small messages that are lent: private memory, which ends as a view on the ring does.
import { assert, assertEquals, assertThrows } from "@std/assert";
import { type Borrowed, bytesChannel, type Loan } from "../../mod.ts";
import type { Self } from "../support/actor.ts";
import { assertIpcErrorSync } from "../support/assert_ipc.ts";
import { processTest, test } from "../support/test.ts";

const CAPACITY = 65_536;
/** Around what is copied by eights, and what is lent as a copy at all. */
const LENGTHS = [0, 1, 7, 8, 63, 64, 65, 255, 256, 257, 1023, 1024, 1025];

const numbered = (length: number, n: number) => Uint8Array.from({ length }, (_, i) => i + n);

test("Small messages are lent whole at every length, written in place and read in place", () => {
  const [sender, receiver] = bytesChannel({ capacity: CAPACITY });
  for (const [n, length] of LENGTHS.entries()) {
    const loan = sender.reserveSync(length, { timeout: 0 });
    assertEquals(loan.bytes.length, length);
    loan.bytes.set(numbered(length, n));
    loan.commit();
    sender.sendSync(numbered(length, n + 1));
    const first = receiver.borrowSync({ timeout: 0 }), second = receiver.tryBorrow()!;
    assertEquals(first.value, numbered(length, n));
    assertEquals(second.value, numbered(length, n + 1));
    first.release(), second.release();
    assertEquals([loan.bytes.length, first.value.length, second.value.length], [0, 0, 0]);
  }
  assert(sender.trySend(new Uint8Array(CAPACITY)), "all blocks are free");
  sender.close(), receiver.close();
});

test("A stale view of a small message does not show the next ones, whose memory it was", () => {
  const [sender, receiver] = bytesChannel({ capacity: CAPACITY });
  const stale: Uint8Array[] = [];
  for (let n = 0; n < 300; n++) {
    sender.sendSync(new Uint8Array(64).fill(n));
    using borrowed = receiver.borrowSync({ timeout: 0 });
    using loan = sender.reserveSync(64);
    for (const view of stale) {
      assertEquals(view.length, 0);
      view[0] = 99;
    }
    assert(borrowed.value.every((byte) => byte === n % 256) && loan.bytes.every((byte) => byte === 0));
    stale.push(borrowed.value, loan.bytes, borrowed.value.subarray(3));
    if (stale.length > 30) stale.splice(0, 3);
  }
  sender.close(), receiver.close();
});

test("What earlier messages left behind is neither in a small loan, nor sent with it", () => {
  const [secrets, inbox] = bytesChannel();
  const [sender, receiver] = bytesChannel();
  for (const length of LENGTHS.filter((length) => length <= 1024)) {
    secrets.sendSync(new Uint8Array(1024).fill(42));
    inbox.borrowSync({ timeout: 0 }).release();
    const loan = sender.reserveSync(length);
    assert(loan.bytes.every((byte) => byte === 0));
    // Also not up to the next eight bytes, which go along.
    const rest = new Uint8Array(loan.bytes.buffer, length, (8 - length % 8) % 8);
    assert(rest.every((byte) => byte === 0));
    loan.commit();
    assertEquals(receiver.recvSync({ timeout: 0 }), new Uint8Array(length));
  }
  for (const end of [secrets, inbox, sender, receiver]) end.close();
});

test("Small messages that are out keep their values, however many there are, and end each by itself", () => {
  const [sender, receiver] = bytesChannel({ capacity: CAPACITY });
  const loans: Loan[] = [], out: Borrowed<Uint8Array>[] = [];
  for (let n = 0; n < 200; n++) {
    const loan = sender.reserveSync(100);
    loan.bytes.fill(n);
    loans.push(loan);
  }
  assertEquals(receiver.tryBorrow(), undefined);
  for (const loan of loans.toReversed()) loan.commit();
  for (let n = 0; n < 200; n++) out.push(receiver.tryBorrow()!);
  for (let n = 0; n < 200; n++) {
    const at = n * 77 % 200;
    assert(out[at]!.value.length === 100 && out[at]!.value.every((byte) => byte === at));
    out[at]!.release();
    assertEquals(out[at]!.value.length, 0);
  }
  assert(sender.trySend(new Uint8Array(CAPACITY)));
  sender.close(), receiver.close();
});

test("The buffer of a small borrowed message may be transferred: it is the program's then", () => {
  const [sender, receiver] = bytesChannel({ capacity: CAPACITY });
  const kept: Uint8Array[] = [];
  for (let n = 0; n < 100; n++) {
    sender.sendSync(new Uint8Array(64).fill(n));
    const borrowed = receiver.borrowSync({ timeout: 0 });
    kept.push(new Uint8Array((borrowed.value.buffer as ArrayBuffer).transfer(), 0, 64));
    borrowed.release(), borrowed.release();
  }
  for (const [n, bytes] of kept.entries()) assert(bytes.every((byte) => byte === n));
  assert(sender.trySend(new Uint8Array(CAPACITY)));
  sender.close(), receiver.close();
});

test("A small loan whose buffer was transferred cannot be committed: that says so, and holds nobody up", () => {
  const [sender, receiver] = bytesChannel({ capacity: CAPACITY });
  const loan = sender.reserveSync(64);
  const moved = loan.bytes.buffer.transfer();
  assertThrows(() => loan.commit(), TypeError, "transferred");
  assertIpcErrorSync("Closed", () => loan.commit());
  sender.sendSync(new Uint8Array([1]));
  new Uint8Array(moved).fill(9);
  assertEquals(receiver.recvMany(), [new Uint8Array([1])]);
  assert(sender.trySend(new Uint8Array(CAPACITY)));
  sender.close(), receiver.close();
});

/** Forgets loans and borrowed messages, small ones and others, and says whether their room is free again. */
export async function forget(_: unknown, self: Self): Promise<void> {
  const { gc } = globalThis as unknown as { gc(): void };
  const [sender, receiver] = bytesChannel({ capacity: CAPACITY });
  const use = (length: number) => {
    for (let i = 0; i < 20; i++) sender.reserveSync(length); // more than are kept before they are watched
    sender.reserveSync(length).commit();
  };
  use(10), use(1200);
  const free = () => sender.trySend(new Uint8Array(CAPACITY));
  const borrow = () => {
    while (receiver.tryBorrow() !== undefined);
    return free();
  };
  let done = false;
  for (let i = 0; i < 200 && !done; i++) {
    gc();
    await new Promise((resolve) => setTimeout(resolve, 5));
    done = borrow();
  }
  self.say(done);
}

processTest("Forgotten loans and borrowed messages are given back, however small", async ({ start }) => {
  const child = await start(import.meta.url, forget, null, ["-A", "--v8-flags=--expose-gc"]);
  assertEquals(await child.said(), true);
});
