import { assert, assertEquals, assertInstanceOf, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import {
  bytesChannel,
  type Call,
  channel,
  duplex,
  expose,
  type IpcDuplex,
  IpcError,
  type IpcReceiver,
  type IpcSender,
  IpcSharedMemory,
  type Remote,
  remote,
  type RemoteResult,
} from "../../../mod.ts";
import { assertIpcError, soon } from "../../support/assert_ipc.ts";
import { withApi } from "./with_api.ts";
import { test } from "../../support/test.ts";

test("A call returns what the method returns, at once or by a promise", () =>
  withApi({
    add: (a: number, b: number) => a + b,
    later: async (text: string) => (await Promise.resolve(), text.toUpperCase()),
    nothing: () => {},
    spread: (...values: unknown[]) => values,
  }, async (caller) => {
    assertEquals(await soon(caller.add(1, 2)), 3);
    assertEquals(await soon(caller.later("a")), "A");
    assertEquals(await soon(caller.nothing()), undefined);
    const values = [1n, new Date(5), new Map([["a", new Set([1])]]), undefined, null, new Uint8Array([1, 2])];
    assertEquals(await soon(caller.spread(...values)), values);
    assertEquals(await soon(caller.spread()), []);
  }));

test("Calls under way are answered in any order", async () => {
  const gates = Array.from({ length: 100 }, () => Promise.withResolvers<number>());
  await withApi({ wait: (n: number) => gates[n]!.promise }, async (caller) => {
    const answers: number[] = [];
    const calls = gates.map((_, n) => caller.wait(n).then((value) => answers.push(value)));
    for (let n = 99; n >= 0; n--) {
      gates[n]!.resolve(n);
      while (answers.length < 100 - n) await new Promise((resolve) => setTimeout(resolve));
    }
    await soon(Promise.all(calls));
    assertEquals(answers, Array.from({ length: 100 }, (_, n) => 99 - n));
  });
});

test("Both ends of a conversation may expose, and call each other from within calls", async () => {
  const [left, right] = duplex();
  const down = { half: async (n: number): Promise<number> => n <= 1 ? 0 : 1 + await toRight.half(Math.floor(n / 2)) };
  const up = { half: async (n: number): Promise<number> => n <= 1 ? 0 : 1 + await toLeft.half(Math.floor(n / 2)) };
  const running = [expose(left, down), expose(right, up)];
  const toRight = remote<typeof up>(left), toLeft = remote<typeof down>(right);
  assertEquals(await soon(Promise.all([toRight.half(1024), toLeft.half(300)])), [10, 8]);
  left.close();
  await soon(Promise.all(running));
  right.close();
});

test("Senders, receivers and memory travel in arguments and answers", async () => {
  using shared = IpcSharedMemory.from(new Uint8Array([1, 2, 3]));
  await withApi({
    async collect(from: IpcReceiver<number>, to: IpcSender<number>) {
      let sum = 0;
      for await (const n of from) sum += n;
      from.close();
      await to.send(sum);
      to.close();
    },
    open() {
      const [sender, receiver] = channel<string>();
      sender.sendSync("inside");
      sender.close();
      return receiver;
    },
    memory: () => shared,
    bytes() {
      const [sender, receiver] = bytesChannel();
      sender.sendSync(new Uint8Array([7]));
      sender.close();
      return { receiver };
    },
  }, async (caller) => {
    const [numbers, from] = channel<number>(), [to, sums] = channel<number>();
    const collecting = caller.collect(from, to);
    for (const n of [1, 2, 3]) numbers.sendSync(n);
    numbers.close();
    await soon(collecting);
    assertEquals(await soon(sums.recv()), 6);
    to.close(), sums.close();
    const opened = await soon(caller.open());
    assertEquals(await soon(Array.fromAsync(opened)), ["inside"]);
    opened.close();
    using memory = await soon(caller.memory());
    assertEquals(memory.bytes, new Uint8Array([1, 2, 3]));
    const { receiver } = await soon(caller.bytes());
    assertEquals(await soon(receiver.recv()), new Uint8Array([7]));
    receiver.close();
  });
});

test("What is thrown arrives as its class, with the remote stack as its cause", async () => {
  class Special extends RangeError {
    override name = "Special";
    code = "E_SPECIAL";
  }
  const thrown: Record<string, () => unknown> = {
    type: () => new TypeError("a type"),
    special: () => new Special("special"),
    ipc: () => new IpcError("NotFound", "not there", { errno: 2 }),
    dom: () => new DOMException("stopped", "AbortError"),
    deno: () => new Deno.errors.AddrInUse("taken"),
    aggregate: () => new AggregateError([new SyntaxError("first"), "second"], "several"),
    caused: () => new Error("outer", { cause: new URIError("inner") }),
    text: () => "just a text",
    nothing: () => undefined,
    odd: () => () => {},
    oddCause: () => new Error("outer", { cause: () => {} }),
  };
  const api = {
    now: (which: string) => {
      throw thrown[which]!();
    },
    later: (which: string) => Promise.reject(thrown[which]!()),
  };
  await withApi(api, async (caller) => {
    for (const call of [caller.now, caller.later]) {
      const caught = async (which: string) =>
        await soon((call(which) as Promise<never>).catch((error: unknown) => error));
      const type = await caught("type");
      assertInstanceOf(type, TypeError);
      assertEquals([type.message, type.constructor], ["a type", TypeError]);
      assertStringIncludes((type.cause as Error).stack!, "calls_test.ts");
      assertStringIncludes(String(type.cause), "TypeError: a type\n");
      assertStringIncludes(type.stack!, "calls_test.ts");

      const special = await caught("special");
      assertInstanceOf(special, RangeError);
      assertEquals([special.name, (special as Special).code], ["Special", "E_SPECIAL"]);
      const ipc = await caught("ipc");
      assertInstanceOf(ipc, IpcError);
      assertEquals([ipc.code, ipc.errno, ipc.delivered, ipc.message], ["NotFound", 2, true, "not there"]);
      const dom = await caught("dom");
      assertInstanceOf(dom, DOMException);
      assertEquals(dom.name, "AbortError");
      assertInstanceOf(await caught("deno"), Deno.errors.AddrInUse);
      const aggregate = await caught("aggregate");
      assertInstanceOf(aggregate, AggregateError);
      assertInstanceOf(aggregate.errors[0], SyntaxError);
      assertEquals(aggregate.errors[1], "second");
      const caused = await caught("caused") as Error;
      assertInstanceOf((caused.cause as Error).cause, URIError);
      assertEquals(await caught("text"), "just a text");
      assertEquals(await caught("nothing"), undefined);
      assertStringIncludes((await caught("odd") as Error).message, "cannot be sent");
      assertEquals((await caught("oddCause") as Error).message, "outer");
    }
  });
});

test("An answer or an argument that cannot be sent is that call's error alone", () =>
  withApi({ give: () => ({ deep: [() => {}] }), take: (_value: unknown) => "taken" }, async (caller) => {
    const given = await assertIpcError("Serialization", () => soon(caller.give()));
    assertStringIncludes(given.message, "deep[0]");
    assertEquals(given.delivered, true);
    const [sender, receiver] = channel<number>();
    const taken = await assertIpcError("Serialization", () => soon(caller.take([receiver, () => {}])));
    assertEquals(taken.delivered, false);
    assert(!receiver.closed);
    assertEquals(await soon(caller.take(1)), "taken");
    sender.close(), receiver.close();
  }));

test("Only own, enumerable, named functions can be called", async () => {
  class Base {
    inherited() {}
  }
  const api: object = Object.assign(new Base(), { own: () => 1, value: 5 });
  Object.defineProperty(api, "hidden", { value: () => 2, enumerable: false });
  Object.defineProperty(api, "getter", { get: () => () => 3, enumerable: true });
  Object.defineProperty(api, "__proto__", { value: () => 4, enumerable: true });
  Object.defineProperty(api, "constructor", { value: () => 5, enumerable: true });
  const [here, there] = duplex<unknown, unknown>();
  const exposed = expose(there, api);
  assertEquals(await soon(here.recv()), [0, 1, 1024]);
  const names = ["inherited", "hidden", "getter", "__proto__", "constructor", "toString", "value", "then", "", "own "];
  for (const [i, name] of names.entries()) {
    await here.send([1, i, name, []]);
    const [kind, id, failure] = await soon(here.recv()) as [number, number, Record<string, unknown>];
    assertEquals([kind, id, failure.class], [3, i, "IpcError"], name);
  }
  await here.send([1, 50, "own", []]);
  assertEquals(await soon(here.recv()), [2, 50, 1]);
  here.close();
  await soon(exposed);
  there.close();
});

test("A method that is not there is NotFound, and was not delivered", () =>
  withApi({ there: () => 1 }, async (caller) => {
    const { nowhere } = caller as unknown as Record<string, () => Promise<unknown>>;
    const error = await assertIpcError("NotFound", () => soon(nowhere!()));
    assertStringIncludes(error.message, '"nowhere"');
    assertEquals(error.delivered, false);
  }));

test("A caller is no promise, and has no methods of objects", async () => {
  const [here, there] = duplex();
  const caller = await remote<{ a(): void }>(here) as unknown as Record<string, unknown>;
  assertEquals([caller.then, caller.constructor, caller["__proto__"]], [undefined, undefined, undefined]);
  assertEquals(caller.a, caller.a);
  assertEquals(Object.keys(caller), []);
  assertThrows(() => caller.a = 1, TypeError);
  here.close(), there.close();
});

test("At most so many calls are under way; the others wait at the caller", async () => {
  let running = 0, most = 0;
  const gates: PromiseWithResolvers<void>[] = [];
  const api = {
    async work() {
      most = Math.max(most, ++running);
      const gate = Promise.withResolvers<void>();
      gates.push(gate);
      await gate.promise;
      running--;
    },
  };
  await withApi(api, async (caller) => {
    const calls = Array.from({ length: 10 }, () => caller.work());
    for (let done = 0; done < 10; done++) {
      while (gates.length <= done) await new Promise((resolve) => setTimeout(resolve));
      gates[done]!.resolve();
    }
    await soon(Promise.all(calls));
    assertEquals(most, 3);
  }, { concurrency: 3 });
});

test("A time-out at the caller aborts the signal of the call", async () => {
  const aborted = Promise.withResolvers<unknown>();
  const api = {
    async wait(this: Call) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.signal.addEventListener("abort", () => resolve());
      await promise;
      aborted.resolve(this.signal.reason);
      return "too late";
    },
  };
  await withApi(api, async (caller) => {
    const error = await assertIpcError("Timeout", () => soon(caller.with({ timeout: 20.25 }).wait()));
    assertStringIncludes(error.message, 'Cannot call "wait": timed out after 20 ms');
    assertEquals(error.delivered, true);
    const reason = await soon(aborted.promise);
    assertInstanceOf(reason, IpcError);
    assertEquals(reason.code, "Timeout");
  }, { concurrency: 1 });
});

test("A signal at the caller ends a call, with its reason at both sides", async () => {
  const aborted = Promise.withResolvers<unknown>();
  const api = {
    wait(this: Call) {
      this.signal.addEventListener("abort", () => aborted.resolve(this.signal.reason));
      return new Promise<never>(() => {});
    },
    look(this: Call) {
      return this.signal.aborted;
    },
  };
  await withApi(api, async (caller) => {
    const stop = new AbortController(), reason = new RangeError("enough");
    const waiting = assertRejects(() => soon(caller.with({ signal: stop.signal }).wait()), RangeError, "enough");
    assertEquals(await soon(caller.look()), false);
    stop.abort(reason);
    await waiting;
    const there = await soon(aborted.promise);
    assertInstanceOf(there, RangeError);
    assertEquals(there.message, "enough");
    const late = await assertRejects(() => caller.with({ signal: stop.signal }).look());
    assertEquals(late, reason);
  });
});

test("A call that waits at the caller and is given up was not delivered, and is never begun", async () => {
  let begun = 0;
  const gate = Promise.withResolvers<void>();
  await withApi({ work: () => (begun++, gate.promise) }, async (caller) => {
    const first = caller.work();
    const error = await assertIpcError("Timeout", () => soon(caller.with({ timeout: 30 }).work()));
    assertEquals(error.delivered, false);
    gate.resolve();
    await soon(first);
    await soon(caller.work());
    assertEquals(begun, 2);
  }, { concurrency: 1 });
});

test("remote() gives all its calls a time-out; with() another", async () => {
  const [here, there] = duplex();
  const caller = remote<{ a(): void }>(here, { timeout: 10 });
  const error = await assertIpcError("Timeout", () => soon(caller.a()));
  assertEquals([error.delivered, error.message], [false, 'Cannot call "a": timed out after 10 ms']);
  assertStringIncludes((await assertIpcError("Timeout", () => soon(caller.with({ timeout: 5 }).a()))).message, "5 ms");
  here.close(), there.close();
});

test("Calls go on where the ring is full, in both directions", async () => {
  const [here, there] = duplex({ capacity: 65_536 });
  const api = { echo: (text: string) => text };
  const exposed = expose(there, api);
  const caller = remote<typeof api>(here);
  const texts = Array.from({ length: 200 }, (_, n) => `${n}`.padStart(5000));
  assertEquals(await soon(Promise.all(texts.map((text) => caller.echo(text)))), texts);
  const large = "x".repeat(300_000);
  assertEquals(await soon(caller.echo(large)), large);
  here.close();
  await soon(exposed);
  there.close();
});

test("A call or an answer that is too large for the other side fails alone", async () => {
  const [here, there] = duplex();
  let called = 0;
  const api = { echo: (text: string) => (called++, text), long: () => "x".repeat(5000) };
  const exposed = expose(there, api);
  const caller = remote<typeof api>(here);
  assertEquals(await soon(caller.echo("a")), "a");
  there.limitMessages(1000);
  const call = await assertIpcError("TooLarge", () => soon(caller.echo("x".repeat(2000))));
  assertEquals([call.delivered, called], [false, 1]);
  here.limitMessages(1000);
  const [answer, other] = await Promise.all([
    assertIpcError("TooLarge", () => soon(caller.long())),
    soon(caller.echo("b")),
  ]);
  assertEquals([answer.delivered, other], [true, "b"]);
  here.close();
  await soon(exposed);
  there.close();
});

test("Wrong arguments are TypeErrors", async () => {
  const [here, there] = duplex();
  for (
    const wrong of [
      () => expose({} as IpcDuplex<unknown, unknown>, {}),
      () => expose(here, null as unknown as object),
      () => expose(here, {}, { concurrency: "1" as unknown as number }),
      () => expose(here, {}, { signal: {} as AbortSignal }),
    ]
  ) await assertRejects(wrong, TypeError, "Cannot ");
  await assertRejects(() => expose(here, {}, { concurrency: 0 }), RangeError);
  assertThrows(() => remote({} as IpcDuplex<unknown, unknown>), TypeError);
  assertThrows(() => remote(here, { timeout: -1 }), TypeError);
  assertThrows(() => remote<{ a(): void }>(here).with({ timeout: -1 }), TypeError);
  const exposed = expose(here, {});
  await assertIpcError("AlreadyExists", () => expose(here, {}));
  here.close(), there.close();
  await soon(exposed);
});

test("Types are inferred: methods, arguments, answers and streams", () => {
  const api = {
    add: (a: number, b: number) => a + b,
    // deno-lint-ignore require-await
    later: async () => "text",
    async *count(this: Call, _to: number) {
      yield 1;
    },
    open: (): IpcReceiver<string> => channel<string>()[1],
    value: 5,
  };
  const check = (caller: Remote<typeof api>) => {
    caller.add(1, 2) satisfies Promise<number>;
    caller.later() satisfies Promise<string>;
    caller.count(3) satisfies AsyncIterable<number>;
    caller.open() satisfies Promise<IpcReceiver<string>>;
    caller.with({ timeout: 1 }).add(1, 2) satisfies Promise<number>;
    // @ts-expect-error: it is no function
    caller.value;
    // @ts-expect-error: a number
    caller.add("a", 2);
    // @ts-expect-error: no promise
    caller.count(3).then;
  };
  assert(typeof check === "function");
  null as unknown as RemoteResult<Promise<AsyncGenerator<number>>> satisfies AsyncIterable<number>;
});
