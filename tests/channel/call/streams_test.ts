import { assert, assertEquals, assertInstanceOf, assertRejects, assertStringIncludes } from "@std/assert";
import { type Call, duplex, expose, type ExposeOptions, type IpcDuplex, type Remote, remote } from "../../../mod.ts";
import { assertIpcError, soon } from "../../support/assert_ipc.ts";
import { test } from "../../support/test.ts";

async function withApi<Api extends object>(
  api: Api,
  body: (caller: Remote<Api>, ends: { here: IpcDuplex<unknown, unknown>; exposed: Promise<void> }) => Promise<void>,
  options?: ExposeOptions,
): Promise<void> {
  const [here, there] = duplex<unknown, unknown>({ capacity: 65_536 });
  const exposed = expose(there, api, options);
  try {
    await body(remote<Api>(here), { here, exposed });
  } finally {
    here.close();
    await soon(exposed);
    there.close();
  }
}

const turn = () => new Promise((resolve) => setTimeout(resolve, 1));

test("An async generator is read to its end, in order, whatever it yields", () =>
  withApi({
    async *count(to: number) {
      for (let n = 0; n < to; n++) yield n;
    },
    async *large() {
      for (let n = 0; n < 5; n++) yield new Uint8Array(100_000).fill(n);
    },
    async *none() {},
    // deno-lint-ignore require-await
    async promised() {
      return (async function* () {
        yield "a";
      })();
    },
    stream: () => ReadableStream.from(["x", "y"]),
  }, async (caller) => {
    assertEquals(await soon(Array.fromAsync(caller.count(1000))), Array.from({ length: 1000 }, (_, n) => n));
    assertEquals((await soon(Array.fromAsync(caller.large()))).map((bytes) => bytes[99_999]), [0, 1, 2, 3, 4]);
    assertEquals(await soon(Array.fromAsync(caller.none())), []);
    assertEquals(await soon(Array.fromAsync(caller.promised())), ["a"]);
    assertEquals(await soon(Array.fromAsync(caller.stream())), ["x", "y"]);
    const several = await soon(Promise.all([10, 20, 30].map((to) => Array.fromAsync(caller.count(to)))));
    assertEquals(several.map(({ length }) => length), [10, 20, 30]);
  }));

test("A generator runs only as far ahead as is asked for", async () => {
  let made = 0;
  const api = {
    async *numbers() {
      for (;;) yield made++;
    },
  };
  await withApi(api, async (caller) => {
    const items = caller.numbers()[Symbol.asyncIterator]();
    assertEquals((await soon(items.next())).value, 0);
    for (let i = 0; i < 50; i++) await turn();
    assert(made <= 20, `${made} made for 1 read`);
    for (let n = 1; n < 100; n++) assertEquals((await soon(items.next())).value, n);
    for (let i = 0; i < 50; i++) await turn();
    assert(made <= 120, `${made} made for 100 read`);
    await items.return!();
  });
});

test("A stream ends at the other side when its reader leaves", async () => {
  const ended = Promise.withResolvers<boolean>();
  const api = {
    async *ticks(this: Call) {
      try {
        for (let n = 0;; n++) yield n;
      } finally {
        ended.resolve(this.signal.aborted);
      }
    },
    ping: () => "pong",
  };
  await withApi(api, async (caller) => {
    for await (const n of caller.ticks()) if (n === 5) break;
    assertEquals(await soon(ended.promise), true);
    assertEquals(await soon(caller.ping()), "pong"); // with a concurrency of 1: it is over at both sides
  }, { concurrency: 1 });
});

test("A stream that waits for its next item learns by its signal that the reader has left", async () => {
  const ended = Promise.withResolvers<void>();
  const api = {
    async *never(this: Call) {
      yield "first";
      await new Promise<void>((resolve) => this.signal.addEventListener("abort", () => resolve()));
      ended.resolve();
      yield "nobody reads this";
    },
  };
  await withApi(api, async (caller) => {
    for await (const _item of caller.never()) break;
    await soon(ended.promise);
  });
});

test("What a generator throws comes after the items before it", async () => {
  const api = {
    async *broken() {
      yield 1;
      yield 2;
      throw new RangeError("broken");
    },
    async *odd() {
      yield 1;
      yield () => {};
    },
  };
  await withApi(api, async (caller) => {
    for (
      const [stream, type, words] of [[caller.broken(), RangeError, "broken"], [
        caller.odd(),
        Error,
        "function",
      ]] as const
    ) {
      const seen: unknown[] = [];
      const error = await soon(assertRejects(
        async () => {
          for await (const item of stream) seen.push(item);
        },
        type,
        words,
      ));
      assertStringIncludes(String(error.cause), type === RangeError ? "streams_test.ts" : "IpcError: Cannot encode");
      assertEquals(seen, type === RangeError ? [1, 2] : [1]);
    }
  });
});

test("A call that is refused, or returns no stream, fails the loop", async () => {
  await withApi({
    one: () => 1,
    broken: () => {
      throw new TypeError("no");
    },
  }, async (caller) => {
    const streams = caller as unknown as Record<string, () => AsyncIterable<unknown>>;
    await assertRejects(() => soon(Array.fromAsync(streams.one!())), TypeError, "it is not a stream");
    await assertRejects(() => soon(Array.fromAsync(streams.broken!())), TypeError, "no");
    await assertIpcError("NotFound", () => soon(Array.fromAsync(streams.missing!())));
  });
});

test("A signal ends a stream at both sides, before it begins and later", async () => {
  const reasons: unknown[] = [];
  const api = {
    async *ticks(this: Call) {
      this.signal.addEventListener("abort", () => reasons.push(this.signal.reason));
      for (let n = 0;; n++) {
        yield n;
        await turn();
      }
    },
    ping: () => "pong",
  };
  await withApi(api, async (caller) => {
    const stop = new AbortController();
    let seen = 0;
    await assertRejects(
      async () => {
        for await (const _ of caller.with({ signal: stop.signal }).ticks()) {
          if (++seen === 3) stop.abort(new EvalError("3"));
        }
      },
      EvalError,
      "3",
    );
    assertEquals(await soon(caller.ping()), "pong");
    assertInstanceOf(reasons[0], EvalError);
    await assertRejects(() => Array.fromAsync(caller.with({ signal: stop.signal }).ticks()), EvalError);
  }, { concurrency: 1 });
});

test("The death of the other side comes after the items that have arrived", async () => {
  const [here, there] = duplex();
  const api = {
    async *some() {
      yield* [1, 2, 3];
      await turn();
      there.close();
      yield 4;
    },
  };
  const exposed = expose(there, api);
  const seen: number[] = [];
  const error = await assertIpcError("Disconnected", () =>
    soon((async () => {
      for await (const n of remote<typeof api>(here).some()) seen.push(n);
    })()));
  assertEquals([error.delivered, seen], [true, [1, 2, 3]]);
  await soon(exposed);
  here.close();
});

test("A generator is ended when its reader's side is gone", async () => {
  const ended = Promise.withResolvers<void>();
  const api = {
    async *ticks() {
      try {
        for (let n = 0;; n++) yield n;
      } finally {
        ended.resolve();
      }
    },
  };
  const [here, there] = duplex();
  const exposed = expose(there, api);
  const items = remote<typeof api>(here).ticks()[Symbol.asyncIterator]();
  assertEquals((await soon(items.next())).value, 0);
  here.close();
  await soon(exposed);
  await soon(ended.promise);
  there.close();
});

test("The signal of expose() cuts streams: the reader is told", async () => {
  const stop = new AbortController();
  const [here, there] = duplex();
  const api = {
    async *ticks() {
      for (let n = 0;; n++) yield n;
    },
  };
  const exposed = expose(there, api, { signal: stop.signal });
  await assertIpcError("Closed", () =>
    soon((async () => {
      for await (const n of remote<typeof api>(here).ticks()) if (n === 10) stop.abort();
    })()));
  await soon(exposed);
  here.close(), there.close();
});

test("A stream of which an item is too large fails, and no item is passed over", async () => {
  const [here, there] = duplex();
  const api = {
    async *sizes(sizes: number[]) {
      for (const size of sizes) yield "x".repeat(size);
    },
  };
  const exposed = expose(there, api);
  here.limitMessages(1000);
  const caller = remote<typeof api>(here);
  for (const sizes of [[1, 2000, 1], Array(100).fill(2000), [1, 2000]]) {
    const seen: number[] = [];
    const error = await soon(assertRejects(async () => {
      for await (const { length } of caller.sizes(sizes)) seen.push(length);
    }));
    assert(["TooLarge", "Serialization"].includes((error as { code?: string }).code!), String(error));
    assertEquals(seen, sizes.slice(0, sizes.indexOf(2000)));
  }
  assertEquals(await soon(Array.fromAsync(caller.sizes([1, 2]))), ["x", "xx"]);
  here.close();
  await soon(exposed);
  there.close();
});

test("A stream that nobody reads is ended once it is forgotten", async () => {
  const ended = Promise.withResolvers<void>();
  const api = {
    async *ticks(this: Call) {
      this.signal.addEventListener("abort", () => ended.resolve());
      yield 1;
      await new Promise<void>((resolve) => this.signal.addEventListener("abort", () => resolve()));
    },
    ping: () => 1,
  };
  await withApi(api, async (caller) => {
    await (async () => {
      assertEquals((await soon(caller.ticks()[Symbol.asyncIterator]().next())).value, 1);
    })();
    let over = false;
    void ended.promise.then(() => over = true);
    for (let tries = 0; tries < 500 && !over; tries++) {
      (globalThis as unknown as { gc?: () => void }).gc?.();
      void new Array(100_000).fill(tries);
      await turn();
      await soon(caller.ping());
    }
    assert(over || !("gc" in globalThis));
  });
});
