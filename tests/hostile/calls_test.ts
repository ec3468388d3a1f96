import { assert, assertEquals } from "@std/assert";
import { channel, duplex, expose, IpcError, remote } from "../../mod.ts";
import { assertIpcError, soon } from "../support/assert_ipc.ts";
import { test } from "../support/test.ts";
import { Choices } from "../support/choices.ts";
import { numberArgument } from "../support/test_arguments.ts";

/** Conversations with a peer that sends frames by chance: all, and those of one test. */
const SEED = numberArgument("seed", Date.now() % 1_000_000);
const ROUNDS = Math.min(Math.ceil(numberArgument("steps", 15_000) / 30), 20_000), PART = 500;

const api = {
  add: (a: number, b: number) => a + b,
  wait: () => new Promise<never>(() => {}),
  async *count(to: number) {
    for (let n = 0; n < to; n++) yield n;
  },
  fail() {
    throw new Error("no");
  },
};

type Random = (below: number) => number;

function anything(pick: Random, depth = 0): unknown {
  const values: (() => unknown)[] = [
    () => pick(5),
    () => -1,
    () => 2 ** 53,
    () => 1.5,
    () => NaN,
    () => 2n ** 70n,
    () => undefined,
    () => null,
    () => "add",
    () => "__proto__",
    () => ["add", "count", "wait", "fail", "constructor", "toString", "then"][pick(7)],
    () => new Uint8Array(pick(100)),
    () => new Map([["then", 1]]),
    () => ({ class: "IpcError", message: "x", properties: { code: "NoSuchCode" }, stack: 5 }),
    () => ({ class: "AggregateError", errors: [{}, 5, { class: "Error" }], cause: { cause: { cause: 1 } } }),
    () => ({ then: 5, __proto__: null, constructor: 1 }),
    () => Array.from({ length: depth > 2 ? 0 : pick(4) }, () => anything(pick, depth + 1)),
  ];
  return values[pick(values.length)]!();
}

function frame(pick: Random): unknown {
  if (pick(10) === 0) return anything(pick);
  const kind = pick(13), id = pick(6), method = ["add", "count", "wait", "fail"][pick(4)];
  const likely: unknown[][] = [
    [0, 1, pick(10)],
    [1, id, method, [pick(9), pick(9)]],
    [2, id, 3],
    [3, id, { class: "TypeError", message: "x" }],
    [4, id],
    [5, id, pick(3), "item"],
    [6, id, pick(3)],
    [7, id, pick(20)],
    [8, id, { value: 1 }],
    [9, { class: "IpcError", message: "x", properties: { code: "TooLarge" } }],
    [10, pick(3)],
    [11, pick(3), [id, 0]],
    [99],
  ];
  const found = likely[kind]!;
  if (pick(4) === 0) found[pick(found.length)] = anything(pick);
  if (pick(20) === 0) found.push(anything(pick));
  return found;
}

/** Talks to as many conversations; whatever waits in them must be settled, and nothing else be thrown. */
async function fuzz(rounds: number, seed: number): Promise<void> {
  const unhandled: unknown[] = [];
  const note = (event: PromiseRejectionEvent) => (event.preventDefault(), unhandled.push(event.reason));
  addEventListener("unhandledrejection", note);
  let corrupt = 0, fine = 0;
  for (let round = 1; round <= rounds; round++) {
    const choices = Choices.of(seed + round), pick: Random = (below) => choices.below(below);
    const [here, there] = duplex<unknown, unknown>({ capacity: 65_536 });
    const exposed = expose(here, api, { concurrency: 4 }).then(() => "fine", (error) => error);
    const caller = remote<typeof api>(here);
    const calls: Promise<unknown>[] = [caller.add(1, 2), caller.wait(), Array.fromAsync(caller.count(3))];
    const settled = calls.map((call) => call.catch(() => {}));
    let ended = false;
    const most = round % 5 === 0 ? 3 : 30; // of few frames, all may be as they should
    for (let n = 0; n < most && !ended; n++) {
      const message = round % 2 === 1 && n === 0 ? [0, 1, 10] : frame(pick);
      try {
        if (!there.trySend(message)) break;
      } catch {
        ended = true; // it was shut out
      }
      if (pick(4) === 0) await Promise.resolve();
      if (pick(16) === 0) await new Promise((resolve) => setTimeout(resolve));
      if (pick(3) === 0) { while (!ended && there.tryRecv().state === "message"); }
    }
    there.close();
    const outcome = await soon(exposed, `expose() of seed ${seed + round - 1}`);
    await soon(Promise.all(settled), `a call of seed ${seed + round - 1}`);
    if (outcome === "fine") fine++;
    else {
      assert(outcome instanceof IpcError, String(outcome));
      assert(["Corrupt", "Incompatible"].includes(outcome.code), String(outcome));
      corrupt++;
    }
    here.close();
  }
  removeEventListener("unhandledrejection", note);
  assertEquals(unhandled, []);
  assert(corrupt > rounds / 10 && fine > 0, `${corrupt} ended, ${fine} went on`);
}

for (let from = 0; from < ROUNDS; from += PART) {
  const rounds = Math.min(PART, ROUNDS - from), seed = SEED + from;
  test(`Frames by chance end ${rounds} conversations, or do nothing (seed ${seed})`, () => fuzz(rounds, seed));
}

test("A peer that calls more at a time than it may is shut out", async () => {
  const [here, there] = duplex<unknown, unknown>();
  const exposed = assertIpcError("Corrupt", () => soon(expose(here, api, { concurrency: 2 })));
  for (let id = 1; id <= 3; id++) there.sendSync([1, id, "wait", []]);
  await exposed;
  assert(here.closed);
  there.close();
});

test("A peer that never reads its answers has as many of them as it may have calls", async () => {
  const [here, there] = duplex<unknown, unknown>({ capacity: 65_536 });
  let called = 0;
  const large = "x".repeat(60_000);
  const exposed = assertIpcError(
    "Corrupt",
    () => soon(expose(here, { large: () => (called++, large) }, { concurrency: 3 })),
  );
  for (let id = 1; id <= 100; id++) there.sendSync([1, id, "large", []]);
  await exposed;
  assert(called <= 5, `${called}`);
  there.close();
});

test("A peer that sends more of a stream than was asked for is shut out", async () => {
  const [here, there] = duplex<unknown, unknown>();
  const caller = remote<{ ticks(): AsyncGenerator<number>; wait(): Promise<never> }>(here);
  there.sendSync([0, 1, 10]);
  const reading = caller.ticks()[Symbol.asyncIterator]();
  const first = reading.next();
  assertEquals(await soon(there.recv()), [1, 1, "ticks", []]);
  const waiting = assertIpcError("Corrupt", () => soon(caller.wait())); // so that all is received as it comes
  there.sendSync([4, 1]);
  for (let n = 0; n < 100; n++) there.sendSync([5, 1, n, n]);
  assertEquals((await soon(first)).value, 0);
  await assertIpcError("Corrupt", async () => {
    for (;;) if ((await soon(reading.next())).done) throw new Error("ended");
  });
  await waiting;
  there.close();
});

test("Endpoints in frames that nobody wants are closed", async () => {
  const [here, there] = duplex<unknown, unknown>();
  const exposed = expose(here, api);
  const probe = async (message: (end: unknown) => unknown) => {
    const [sender, receiver] = channel<number>();
    there.sendSync(message(receiver));
    await assertIpcError("Disconnected", async () => {
      for (;;) await soon(sender.send(1));
    });
    sender.close();
  };
  await probe((end) => [2, 77, end]);
  await probe((end) => [5, 77, 0, { deep: [end] }]);
  await probe((end) => [3, 77, { value: end }]);
  await probe((end) => [1, 1, "missing", [end]]);
  there.close();
  await soon(exposed);
  here.close();
});
