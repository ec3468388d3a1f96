// Every kind of value that structuredClone() takes, and the corners of each, against structuredClone() itself: through a channel
// and through a cell, alone, inside another, and in a message with every other kind beside it.
import { assert, assertEquals } from "@std/assert";
import { IpcError } from "../../mod.ts";
import { arcTest } from "../support/arc_processes.ts";
import { allOthers, arrayWith, defined, filled, manyKeys, without, withProperties } from "../support/odd_values.ts";
import { assertSame, text } from "../support/same.ts";
import { Ways } from "../support/ways.ts";

// deno-lint-ignore no-explicit-any -- values of any shape
type Anything = any;

class Point {
  #secret = 1;
  constructor(public x: number, public y: number) {}
  get length() {
    return Math.hypot(this.x, this.y) + this.#secret;
  }
  method() {}
}
class OwnError extends RangeError {
  override name = "OwnError";
  more = "lost, as with structuredClone()";
}
class OwnArray extends Array<unknown> {}
class OwnMap extends Map<unknown, unknown> {
  more = 1;
}
class OwnDate extends Date {}
class OwnBytes extends Uint8Array {
  override get length() {
    return 2;
  }
  override get byteLength() {
    return 2;
  }
}

/** Values by kind. Each is made anew, as some have an identity. */
const TAKEN: Record<string, () => unknown[]> = {
  "nothing and truth": () => [null, undefined, true, false],
  "numbers": () => [
    ...[
      0,
      -0,
      1,
      -1,
      23,
      24,
      -24,
      -25,
      255,
      256,
      -256,
      -257,
      65_535,
      65_536,
      2 ** 31,
      -(2 ** 31),
      2 ** 32 - 1,
      2 ** 32,
    ],
    ...[
      -(2 ** 32),
      -(2 ** 32) - 1,
      2 ** 40,
      2 ** 53 - 1,
      2 ** 53,
      2 ** 53 + 2,
      -(2 ** 53) + 1,
      -(2 ** 53),
      2 ** 64,
      -(2 ** 64),
    ],
    ...[NaN, Infinity, -Infinity, 0.5, 0.1, 1 / 3, 5e-324, -5e-324, 1.1e-310, Number.MAX_VALUE, -1e300],
  ],
  "big integers": () => [
    ...[
      0n,
      1n,
      -1n,
      23n,
      255n,
      256n,
      -256n,
      -257n,
      2n ** 32n,
      2n ** 53n - 1n,
      2n ** 53n,
      -(2n ** 53n) + 1n,
      -(2n ** 53n),
    ],
    ...[
      2n ** 63n,
      2n ** 64n - 1n,
      2n ** 64n,
      -(2n ** 64n),
      -(2n ** 64n) - 1n,
      3n ** 500n,
      -(3n ** 501n),
      2n ** 65_536n,
    ],
  ],
  "text": () => [
    ...["", "a", "x".repeat(23), "x".repeat(24), "x".repeat(63), "x".repeat(64), "x".repeat(255), "x".repeat(256)],
    ...[
      "x".repeat(70_000),
      "é".repeat(30),
      "é".repeat(300),
      "日本語".repeat(30_000),
      "👍🏽",
      "\0\u007f\u0080\u07ff\u0800\uffff",
    ],
    ...["\ufffd", "\ufeff", "\ufeffafter it", "\ufeff" + "x".repeat(100), "\ufeff" + "x".repeat(70_000), "a\ufeffb"],
  ],
  "text that is not UTF-8": () => [
    ...[
      "\ud83d",
      "\ude00",
      "\ude00\ud83d",
      "a\ud800",
      "\udfffz",
      "\ud800\ud800\udc00",
      "ü\udc00日\ud800👍",
      "\ufeff\ud800",
    ],
    ...["\ud800" + "x".repeat(100), "x".repeat(5000) + "\udbff", "\udc00".repeat(2000)],
    ["\ud83d", "\ude00"],
    Object.fromEntries([["\ud83d", 1], ["\ude00", 2], ["\ufffd", 3]]),
    new Map([["\ud83d", 1], ["\ude00", 2], ["\ufffd", 3]]),
    new Set(["\ud83d", "\ude00", "\ufffd"]),
    new Error("\ud83d"),
    new Error("cause", { cause: "\udc00" }),
    Object("\ud83d"),
    /\ud83d/,
    new DOMException("\ud83d", "\udc00"),
  ],
  "objects": () => [
    {},
    { a: undefined },
    { a: { b: { c: [] } } },
    { "": 1, " ": 2, "0": 3, "-1": 4, "01": 5, "4294967294": 6, "4294967295": 7 },
    { z: 1, a: 2, "2": 3, "1": 4 },
    { ["x".repeat(300)]: 1, ["é".repeat(40)]: 2, ["\ufeff" + "k".repeat(80)]: 3 },
    Object.create(null),
    withProperties(Object.create(null), { a: 1, b: Object.create(null) }),
    Object.create({ inherited: 1 }),
    withProperties(Object.create({ inherited: 1 }), { own: 2 }),
    Object.defineProperties({ a: 1 }, { hidden: { value: () => {}, enumerable: false } }),
    { [Symbol("left out")]: () => {}, a: 1 },
    Object.freeze({ a: 1 }),
    new Point(3, 4),
    ...[8, 9, 23, 24, 25, 31, 32, 33, 255, 256, 257, 1000].map(manyKeys),
  ],
  "objects with keys that mean something": () => [
    JSON.parse('{"__proto__":1,"__proto_":2}'),
    JSON.parse('{"__proto__":{"a":1}}'),
    JSON.parse('[{"a":1,"__proto__":null},{"__proto__":null,"a":1}]'),
    { constructor: 1, prototype: 2, hasOwnProperty: 3, valueOf: 4, toString: 5 },
    { constructor: null },
    { constructor: { name: "x" } },
    { then: 1 },
    { then: null, catch: {} },
    { length: 1 },
    { toJSON: 1 },
    { isthmus: 1 },
    ["isthmus", "fd", 0],
    ["isthmus"],
  ],
  "arrays": () => [
    [],
    [1, "two", [3, [4]]],
    [undefined, null],
    new Array(24).fill(0),
    new Array(300).fill(7),
    new OwnArray(1, 2, 3),
    Array.from({ length: 300 }, (_, i) => ({ i })),
  ],
  "arrays with holes, and with properties": () => [
    new Array(1),
    new Array(3),
    // deno-lint-ignore no-sparse-arrays
    [, 1],
    // deno-lint-ignore no-sparse-arrays
    [1, , 2, ,],
    arrayWith(1000, { 999: "last" }),
    arrayWith(2 ** 32 - 1, {}),
    arrayWith(2 ** 32 - 1, { 0: "first", 4294967294: "last" }),
    arrayWith(4_000_000_000, { 5: [] }),
    arrayWith(2, { 0: 1, 1: 2, name: "x" }),
    arrayWith(0, { name: "x" }),
    arrayWith(1, { "-1": 1, "01": 2, "1.5": 3, "": 4, "4294967295": 5, "4294967296": 6 }),
    arrayWith(1, { __proto__x: 1, constructor: 2, then: 3, push: 4 }),
    defined(arrayWith(1, { 0: 1 }), "__proto__", 5),
    "abc".match(/(?<x>b)/),
    ((strings: unknown) => strings)`tagged`,
  ],
  "dates": () => [
    ...[0, 1, -1, 999, 1500, 1.5e12, 1_700_000_000_123, -62_135_596_800_000, 4.4e15, 4_503_599_627_370_497].map((t) =>
      new Date(t)
    ),
    ...[8.64e15, -8.64e15, 8.64e15 - 1, -8.64e15 + 1, 8_639_999_999_999_001, NaN].map((t) => new Date(t)),
    new OwnDate(5),
    withProperties(new Date(5), { more: "lost" }),
  ],
  "regular expressions": () => [
    /a/,
    new RegExp(""),
    new RegExp("/"),
    new RegExp("\\n[\\]/\"']"),
    /(?<x>[^/]+)\/"'/dgimsuy,
    // deno-lint-ignore no-invalid-regexp -- it is one; the linter knows no flag v
    new RegExp("[\\p{L}--[a-z]]", "v"),
    /\u{1f600}/u,
    withProperties(/a/g, { lastIndex: 3 }),
  ],
  "boxed values": () => [
    ...[
      Object(1),
      Object(-0),
      Object(NaN),
      Object(""),
      Object("text"),
      Object(true),
      Object(false),
      Object(0n),
      Object(2n ** 70n),
    ],
    withProperties(new String("x"), { more: "lost" }),
  ],
  "maps": () => [
    new Map(),
    new Map<unknown, unknown>([[1, "a"], ["1", "b"], [{ k: 1 }, [2]], [null, undefined], [undefined, null], [NaN, -0]]),
    new Map<unknown, unknown>([[1n, 1], [1, 2], [true, 3], ["__proto__", 4], [new Date(0), 5], [[], 6]]),
    new Map([[new Map([[1, 2]]), new Set([3])]]),
    new OwnMap([[1, 2]]),
    new Map(Array.from({ length: 300 }, (_, i) => [i, `${i}`])),
  ],
  "sets": () => [
    new Set(),
    new Set([1, "1", 1n, null, undefined, NaN, true]),
    new Set([[1], { a: 1 }, new Set([1])]),
    new Set(Array.from({ length: 300 }, (_, i) => i)),
  ],
  "byte strings": () => [
    ...[0, 1, 23, 24, 47, 49, 255, 256, 1023, 1024, 1025, 70_000].map(filled),
    filled(20).subarray(3, 9),
    filled(3000).subarray(100, 2900),
    new OwnBytes(5).fill(7),
  ],
  "typed arrays": () => [
    new Int8Array([-1, 2]),
    new Uint8ClampedArray([255, 0]),
    new Int16Array([-300, 300]),
    new Uint16Array([60_000]),
    new Int32Array([-1, 2 ** 31 - 1]),
    new Uint32Array([4_000_000_000]),
    new BigInt64Array([-5n, 2n ** 63n - 1n]),
    new BigUint64Array([2n ** 63n]),
    new Float16Array([1.5, -0, NaN, 65504]),
    new Float32Array([0.1, NaN, -0]),
    new Float64Array([Math.PI, -0, NaN, 5e-324]),
    new Float64Array(0),
    new Uint16Array([9, 1, 2]).subarray(1),
    new Float64Array(1000).fill(0.25),
    withProperties(new Float32Array([1]), { more: "lost" }),
  ],
  "buffers and data views": () => [
    new ArrayBuffer(0),
    filled(300).buffer,
    filled(3000).buffer,
    new DataView(filled(8).buffer, 1, 2),
    new DataView(filled(8).buffer),
    new DataView(new ArrayBuffer(0)),
  ],
  "buffers that can grow, and views of them": () => {
    const buffer = new ArrayBuffer(16, { maxByteLength: 64 });
    new Uint8Array(buffer).set(filled(16));
    return [
      buffer,
      new ArrayBuffer(0, { maxByteLength: 0 }),
      new ArrayBuffer(8, { maxByteLength: 8 }),
      new ArrayBuffer(0, { maxByteLength: 1 << 20 }),
      [new Uint8Array(buffer), new Uint8Array(buffer, 4), new Uint8Array(buffer, 4, 4), new Float64Array(buffer, 8)],
      [new DataView(buffer), new DataView(buffer, 8), new DataView(buffer, 8, 8), new BigInt64Array(buffer, 0, 1)],
      { buffer, view: new Uint16Array(buffer, 2) },
    ];
  },
  "errors": () => {
    const error = new Error("with more");
    return [
      ...[Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError].map((made) =>
        new made(made.name)
      ),
      new Error(),
      new Error("m", { cause: new SyntaxError("inner") }),
      new Error("m", { cause: undefined }),
      new Error("m", { cause: { code: 5, deep: [new Map([[1, new Error("in")]])] } }),
      new OwnError("own"),
      new AggregateError([1, 2], "many"),
      withProperties(error, { more: () => {} }), // lost, and so not refused
      withProperties(new Error("named"), { name: "TypeError" }),
      withProperties(new Error("named"), { name: "Unknown" }),
      withProperties(new Error("no stack"), { stack: undefined }),
      withProperties(new Error("other stack"), { stack: "here" }),
      without(new Error("no message"), "message"),
      without(new TypeError("no stack at all"), "stack"),
      defined(new Error("a number"), "message", 5),
    ];
  },
  "exceptions of the platform": () => [
    new DOMException(),
    new DOMException("m"),
    new DOMException("m", "AbortError"),
    new DOMException("m", "Unknown"),
    new DOMException("", "DataCloneError"),
  ],
};

for (const [kind, make] of Object.entries(TAKEN)) {
  arcTest(`What structuredClone() takes arrives as it makes it, through a channel and a cell: ${kind}`, (cell) => {
    using ways = new Ways(cell);
    for (const way of ways) {
      for (const value of make()) {
        try {
          for (
            const placed of [
              value,
              [value],
              { a: value, b: [value] }, // twice the same
              new Map<unknown, unknown>([[value, 1], ["v", value]]),
              new Set([value]),
              [...allOthers(), value, ...allOthers(), { value }],
            ]
          ) assertSame(way.go(placed), structuredClone(placed));
        } catch (error) {
          throw new Error(`${text(value)} through ${way.name}`, { cause: error });
        }
      }
      const all = make();
      assertSame(way.go(all), structuredClone(all));
    }
  });
}

arcTest("Objects of 65,536 keys and more arrive beside anything, and so do large arrays, maps and sets", (cell) => {
  using ways = new Ways(cell);
  const large = manyKeys(70_000);
  for (const way of ways) {
    for (const value of [large, { large, date: new Date(0) }, [new Set(["\ufeff" + "x".repeat(80)]), large]]) {
      assertSame(way.go(value), structuredClone(value));
    }
    const list = Array.from({ length: 70_000 }, (_, i) => i);
    const lists = [list, new Set(list), new Map(list.map((i) => [i, i])), arrayWith(80_000, { ...list })];
    assertSame(way.go(lists), structuredClone(lists));
  }
});

arcTest("References are kept through every kind that can hold one, and cycles close", (cell) => {
  using ways = new Ways(cell);
  const shared = { n: 1 }, long = filled(3000);
  const cyclic: Anything = {
    list: [],
    map: new Map(),
    set: new Set(),
    error: new Error("e"),
    sparse: arrayWith(5, {}),
  };
  cyclic.self = cyclic;
  cyclic.list.push(cyclic, cyclic.list, shared, long);
  cyclic.map.set(cyclic, cyclic.map).set(cyclic.map, shared);
  cyclic.set.add(cyclic.set).add(cyclic).add(long);
  cyclic.error.cause = cyclic.error;
  cyclic.sparse[3] = cyclic.sparse;
  cyclic.sparse.more = cyclic;
  const cases: unknown[] = [
    cyclic,
    { a: shared, b: [shared], c: new Map([[shared, shared]]), d: new Set([shared]) },
    [long, { long }, long.buffer, new Date(5)],
    [shared, manyKeys(30), { ...manyKeys(30), shared, long }, shared, long],
    Array.from({ length: 40 }, () => [shared, long]),
    // Everything that has an identity, twice.
    (() => {
      const objects = Object.values(TAKEN).flatMap((make) => make()).filter((v) => typeof v === "object" && v !== null);
      return [objects, objects.toReversed(), new Set(objects)];
    })(),
  ];
  for (const way of ways) for (const value of cases) assertSame(way.go(value), structuredClone(value));
});

arcTest("Buffers that can grow do so where they arrive, with the views that follow them", (cell) => {
  using ways = new Ways(cell);
  const buffer = new ArrayBuffer(8, { maxByteLength: 32 });
  const value = {
    follows: new Uint8Array(buffer, 2),
    fixed: new Uint8Array(buffer, 2, 4),
    view: new DataView(buffer),
    buffer,
  };
  for (const way of ways) {
    const received = way.go(value) as typeof value;
    assert(received.follows.buffer === received.buffer && received.view.buffer === received.buffer);
    received.buffer.resize(20);
    assertEquals([received.follows.length, received.fixed.length, received.view.byteLength], [18, 4, 20]);
  }
});

arcTest("Several buffers that can grow arrive together, or are refused together", (cell) => {
  using ways = new Ways(cell);
  const value = Array.from({ length: 4 }, () => new ArrayBuffer(8, { maxByteLength: 6 << 20 }));
  for (const way of ways) {
    try {
      assertSame(way.go(value), structuredClone(value));
    } catch (error) {
      assert(error instanceof IpcError && /^Cannot encode/.test(error.message), String(error));
    }
    ways.expectUntouched();
  }
});

arcTest("A view arrives with its bytes alone, whatever lies beside them in its buffer", (cell) => {
  using ways = new Ways(cell);
  const buffer = new TextEncoder().encode("secret  abcdefgh secret ".padEnd(64)).buffer;
  for (const way of ways) {
    for (const view of [new Uint8Array(buffer, 8, 8), new Float64Array(buffer, 8, 1), new DataView(buffer, 8, 8)]) {
      const [received] = way.go([view, new Set()]) as [typeof view];
      assertSame(received, view);
      // A small Uint8Array may share its buffer with others that were received, but not with what was beside it.
      assert(!new TextDecoder().decode(received.buffer).includes("secret"));
      if (!(received instanceof Uint8Array)) assertEquals([received.buffer.byteLength, received.byteOffset], [8, 0]);
    }
  }
});
