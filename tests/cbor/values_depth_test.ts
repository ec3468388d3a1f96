// Values nested deep within others: the limit is the same for all kinds, and does not depend on the stack that the program has left.
import { assert, assertEquals } from "@std/assert";
import { channel, IpcError } from "../../mod.ts";
import { arcTest } from "../support/arc_processes.ts";
import { assertIpcErrorSync } from "../support/assert_ipc.ts";
import { arrayWith, nested, withProperties } from "../support/odd_values.ts";
import { assertSame } from "../support/same.ts";
import { Ways } from "../support/ways.ts";

const NESTS: Record<string, (inner: unknown) => unknown> = {
  "arrays": (inner) => [inner],
  "objects": (inner) => ({ a: inner }),
  "objects without a prototype": (inner) => withProperties(Object.create(null), { a: inner }),
  "maps": (inner) => new Map([["a", inner]]),
  "keys of maps": (inner) => new Map([[inner, 1]]),
  "sets": (inner) => new Set([inner]),
  "causes": (inner) => new Error("e", { cause: inner }),
  "arrays with holes": (inner) => arrayWith(2, { 1: inner }),
};

/** structuredClone() itself does not go as deep. */
function arrived(what: string, value: unknown, depth: number): unknown {
  return what === "objects without a prototype" ? nested(NESTS["objects"]!, depth) : value;
}

arcTest(
  "What is nested 3,000 and 9,999 levels deep arrives, whatever it is nested in; getters in it run once",
  (cell) => {
    using ways = new Ways(cell);
    for (const [what, nest] of Object.entries(NESTS)) {
      for (const way of ways) {
        if (way.name === "a channel, borrowed") continue; // it ends with structuredClone(), whose limit is not ours
        for (const depth of [3000, 9999]) {
          const value = nested(nest, depth);
          try {
            assertSame(way.go(value), arrived(what, value, depth));
          } catch (error) {
            throw new Error(`${what} through ${way.name}, ${depth} levels`, { cause: error });
          }
        }
      }
    }
    let runs = 0;
    const [way] = ways;
    const deep = nested((inner) => ({
      get a() {
        runs++;
        return inner;
      },
    }), 3000);
    assertSame(way!.go(deep), nested((a) => ({ a }), 3000));
    assertEquals(runs, 3000);
  },
);

arcTest("Deep within a value a getter may send a deep value, and the path to what is refused is named", (cell) => {
  using ways = new Ways(cell);
  const [other, inbox] = channel<unknown>();
  const shared = { n: 1 };
  const inside = {
    get sends() {
      other.sendSync(nested((inner) => [inner, shared], 1000));
      return nested((inner) => new Map([[1, inner]]), 400);
    },
    shared,
  };
  const outer = () => [
    nested((inner) => ({ inner, shared }), 500),
    nested((inner) => [inner === "innermost" ? inside : inner], 600),
  ];
  for (const way of ways) {
    const value = outer(), sent = way.go(value);
    assertSame(sent, structuredClone(outer()));
    inbox.recvMany();
  }
  other.close(), inbox.close();
  for (const way of ways) {
    const error = assertIpcErrorSync(
      "Serialization",
      () => way.go(nested((inner) => inner === "innermost" ? [() => {}] : { a: inner }, 2000)),
    );
    assert(/at value(\.a){16} … .*(\.a)\[0\]: /.test(error.message), error.message);
  }
  ways.expectUntouched();
});

arcTest("At any depth what is sent arrives, or is refused when it is sent; 100,000 levels are refused", (cell) => {
  using ways = new Ways(cell);
  const [channelWay] = ways;
  for (const [what, nest] of Object.entries(NESTS)) {
    for (const depth of [2500, 4000, 4999, 5000, 5001, 9998, 9999, 10_000, 10_001, 100_000]) {
      const value = nested(nest, depth);
      try {
        const received = channelWay!.go(value);
        assert(depth < 100_000, `${what}: ${depth} levels arrived`);
        assertSame(received, arrived(what, value, depth));
      } catch (error) {
        assert(
          error instanceof IpcError && error.code === "Serialization" && error.message.startsWith("Cannot encode"),
          `${what}, ${depth} levels: ${error}`,
        );
      }
    }
  }
  ways.expectUntouched();
});
