import { assert, assertEquals, assertThrows } from "@std/assert";
import { bytesChannel, type IpcBytesReceiver, type IpcBytesSender, type Loan } from "../../mod.ts";
import { assertIpcError, assertIpcErrorSync, soon } from "../support/assert_ipc.ts";
import { test } from "../support/test.ts";

const CAPACITY = 65_536;

type Ends = [IpcBytesSender, IpcBytesReceiver];

const RESERVE: Record<string, (sender: IpcBytesSender, length: number) => Promise<Loan>> = {
  "reserve()": (sender, length) => soon(sender.reserve(length)),
  // deno-lint-ignore require-await -- promises, as the first way returns one
  "reserveSync()": async (sender, length) => sender.reserveSync(length, { timeout: 0 }),
  // deno-lint-ignore require-await -- as above
  "tryReserve()": async (sender, length) => sender.tryReserve(length)!,
};

/** The channel must be as good as new, with all of its room. */
function expectWhole([sender, receiver]: Ends): void {
  assertEquals(receiver.tryRecv(), { state: "empty" });
  assert(sender.trySend(new Uint8Array(CAPACITY).fill(1)), "there is room for as much as ever");
  assertEquals(receiver.recvSync({ timeout: 0 }).length, CAPACITY);
  sender.close(), receiver.close();
}

for (const [way, reserve] of Object.entries(RESERVE)) {
  test(`${way} lends room for a message of any size, which commit() sends`, async () => {
    const ends = bytesChannel({ capacity: CAPACITY });
    const [sender, receiver] = ends;
    for (const length of [0, 1, 63, 64, 65, 1000, CAPACITY / 2 + 1, CAPACITY]) {
      const loan = await reserve(sender, length);
      assertEquals(loan.bytes.length, length);
      loan.bytes.fill(length % 251);
      assertEquals(receiver.tryRecv(), { state: "empty" });
      loan.commit();
      const received = receiver.recvSync({ timeout: 0 });
      assert(received.length === length && received.every((byte) => byte === length % 251));
    }
    expectWhole(ends);
  });

  test(`${way}: a shorter commit sends the beginning, and gives the rest back`, async () => {
    const ends = bytesChannel({ capacity: CAPACITY });
    const [sender, receiver] = ends;
    for (const reserved of [1, 64, 65, 1000, CAPACITY]) {
      for (const length of [0, 1, 63, 64, 65, 128, reserved - 1].filter((length) => length <= reserved)) {
        const loan = await reserve(sender, reserved);
        loan.bytes.fill(7);
        loan.commit(length);
        assertEquals(receiver.recvSync({ timeout: 0 }), new Uint8Array(length).fill(7));
        assert(sender.trySend(new Uint8Array(CAPACITY)));
        assertEquals(receiver.recvSync({ timeout: 0 }).length, CAPACITY);
      }
    }
    expectWhole(ends);
  });

  test(`${way}: leaving the scope without a commit, also by an exception, sends nothing`, async () => {
    const ends = bytesChannel({ capacity: CAPACITY });
    const [sender, receiver] = ends;
    for (let times = 0; times < 100; times++) {
      {
        using loan = await reserve(sender, 10_000);
        loan.bytes.fill(1);
      }
      try {
        using loan = await reserve(sender, CAPACITY / 2);
        loan.bytes.fill(2);
        throw new Error("changed its mind");
      } catch (error) {
        assertEquals((error as Error).message, "changed its mind");
      }
      sender.sendSync(new Uint8Array([times]));
      assertEquals(receiver.recvSync({ timeout: 0 }), new Uint8Array([times]));
    }
    expectWhole(ends);
  });
}

test("A loan is ended once: committing again is Closed, giving up after that changes nothing", () => {
  const ends = bytesChannel({ capacity: CAPACITY });
  const [sender, receiver] = ends;
  const committed = sender.reserveSync(10), given = sender.reserveSync(10);
  committed.commit(5);
  assertIpcErrorSync("Closed", () => committed.commit());
  committed[Symbol.dispose]();
  given[Symbol.dispose]();
  given[Symbol.dispose]();
  assertIpcErrorSync("Closed", () => given.commit());
  assertEquals(receiver.recvMany().map(({ length }) => length), [5]);
  expectWhole(ends);
});

test("A commit that is too long, or no length, is a RangeError, and the loan goes on", () => {
  const ends = bytesChannel({ capacity: CAPACITY });
  const [sender, receiver] = ends;
  const loan = sender.reserveSync(10);
  for (const length of [11, 64, -1, 1.5, NaN, Infinity]) assertThrows(() => loan.commit(length), RangeError);
  loan.commit(10);
  assertEquals(receiver.recvSync({ timeout: 0 }).length, 10);
  for (const length of [-1, 1.5, NaN]) {
    assertThrows(() => sender.reserveSync(length), RangeError);
    assertThrows(() => sender.tryReserve(length), RangeError);
  }
  expectWhole(ends);
});

test("The bytes of a loan are empty after its end, so that what was sent cannot be changed", () => {
  const ends = bytesChannel({ capacity: CAPACITY });
  const [sender, receiver] = ends;
  const loan = sender.reserveSync(100);
  const { bytes } = loan, part = bytes.subarray(50);
  bytes.fill(1);
  loan.commit();
  bytes[0] = 2, part[0] = 2;
  assertEquals([bytes.length, part.length, loan.bytes.length], [0, 0, 0]);
  assertEquals(receiver.recvSync({ timeout: 0 }), new Uint8Array(100).fill(1));
  assertThrows(() => sender.sendSync(bytes), TypeError);
  expectWhole(ends);
});

test("More than the channel holds is TooLarge at once, also while it is full", async () => {
  const ends = bytesChannel({ capacity: CAPACITY });
  const [sender, receiver] = ends;
  for (let times = 0; times < 2; times++) {
    assertIpcErrorSync("TooLarge", () => sender.reserveSync(CAPACITY + 1));
    assertIpcErrorSync("TooLarge", () => sender.tryReserve(2 ** 40));
    await assertIpcError("TooLarge", () => sender.reserve(CAPACITY + 1));
    sender.trySend(new Uint8Array(CAPACITY));
  }
  assertEquals(receiver.recvMany().length, 1);
  expectWhole(ends);
});

test("reserve() waits for room, in its turn among sends, up to its timeout", async () => {
  const ends = bytesChannel({ capacity: CAPACITY });
  const [sender, receiver] = ends;
  sender.sendSync(new Uint8Array(CAPACITY).fill(1));
  assertEquals(sender.tryReserve(1), undefined);
  assertIpcErrorSync("Timeout", () => sender.reserveSync(1, { timeout: 5 }));
  await assertIpcError("Timeout", () => sender.reserve(1, { timeout: 5 }));
  const abort = new AbortController();
  const called = sender.reserve(1, { signal: abort.signal });
  abort.abort("enough");
  assertEquals(await called.catch((reason) => reason), "enough");
  const loan = sender.reserve(10), later = sender.send(new Uint8Array([9]));
  assertEquals(receiver.recvSync({ timeout: 0 }).length, CAPACITY);
  const { commit, bytes } = await soon(loan).then((loan) => ({ commit: () => loan.commit(), bytes: loan.bytes }));
  await soon(later);
  assertEquals(receiver.tryRecv(), { state: "empty" });
  bytes.fill(8);
  commit();
  assertEquals(receiver.recvMany(), [new Uint8Array(10).fill(8), new Uint8Array([9])]);
  expectWhole(ends);
});

test("Messages arrive in the order of reservation, whatever the order of the commits", async () => {
  const ends = bytesChannel({ capacity: CAPACITY });
  const [sender, receiver] = ends;
  using clone = sender.clone();
  for (const order of [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]]) {
    const loans = [sender, clone, sender, clone].map((from) => from.reserveSync(1000));
    sender.sendSync(new Uint8Array([255]));
    const before = receiver.recv();
    for (const n of order) {
      loans[n]!.bytes.fill(n);
      if (n === 1) loans[n]![Symbol.dispose](); // among them one that is given up
      else loans[n]!.commit(100 + n);
    }
    const received = [await soon(before), ...receiver.recvMany()];
    assertEquals(received.map((bytes) => [bytes.length, bytes[0]]), [[100, 0], [102, 2], [103, 3], [1, 255]]);
  }
  clone.close();
  expectWhole(ends);
});

test("A loan outlives its sender, and keeps the channel open until it ends", async () => {
  const [sender, receiver] = bytesChannel({ capacity: CAPACITY });
  const loan = sender.reserveSync(10), other = sender.reserveSync(10);
  sender.close();
  assertIpcErrorSync("Closed", () => sender.reserveSync(1));
  assertEquals(receiver.tryRecv(), { state: "empty" });
  const received = receiver.recv();
  loan.bytes.fill(3);
  loan.commit();
  assertEquals(await soon(received), new Uint8Array(10).fill(3));
  assertEquals(receiver.tryRecv(), { state: "empty" });
  other[Symbol.dispose]();
  assertEquals(receiver.tryRecv(), { state: "disconnected" });
  receiver.close();
});

test("A loan whose receiver is closed ends like any other, and the next one is Disconnected", async () => {
  const [sender, receiver] = bytesChannel({ capacity: CAPACITY });
  const committed = sender.reserveSync(10), given = sender.reserveSync(10);
  receiver.close();
  committed.commit();
  given[Symbol.dispose]();
  assertIpcErrorSync("Disconnected", () => {
    for (let n = 0; n < 2; n++) sender.reserveSync(10)[Symbol.dispose]();
  });
  await assertIpcError("Disconnected", () => sender.reserve(10));
  sender.close();
});

test("Hundreds of loans are out at a time, again and again", () => {
  const ends = bytesChannel({ capacity: CAPACITY });
  const [sender, receiver] = ends;
  for (let round = 0; round < 3; round++) {
    const loans = Array.from({ length: 500 }, () => sender.reserveSync(100, { timeout: 0 }));
    for (const [n, loan] of loans.entries()) {
      if ((n + round) % 2 === 0) loan.bytes.fill(n), loan.commit();
      else loan[Symbol.dispose]();
    }
    assertEquals(receiver.recvMany().length, 250);
  }
  expectWhole(ends);
});
