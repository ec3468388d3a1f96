// Every kind of value that structuredClone() takes, and the corners of each, against structuredClone() itself: through a channel and
// through a cell, alone, inside another, and in a message with every other kind beside it. And what it refuses.
import { assert, assertEquals } from "@std/assert";
import { channel, IpcArc, IpcError, IpcFd, IpcSharedMemory } from "../mod.ts";
import { cString, libc } from "../ffi/libc.ts";
import { MFD_CLOEXEC } from "../ffi/platform.ts";
import { assertIpcErrorSync } from "./support/assert_ipc.ts";
import { arcTest } from "./support/arc_processes.ts";
import { assertSame, text } from "./support/same.ts";
import { test } from "./support/test.ts";
import { Ways } from "./support/ways.ts";

// deno-lint-ignore no-explicit-any -- values of any shape
type Anything = any;

const bytes = (...values: number[]) => Uint8Array.from(values);
const filled = (length: number) => Uint8Array.from({ length }, (_, i) => i);
const withProperties = <T extends object>(object: T, properties: object): T => Object.assign(object, properties);
const defined = (object: object, key: string, value: unknown) =>
  Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });

function arrayWith(length: number, entries: Record<string, unknown>): unknown[] {
  const array: unknown[] = [];
  array.length = length;
  for (const [key, value] of Object.entries(entries)) defined(array, key, value);
  return array;
}

function without(object: Anything, ...keys: string[]): unknown {
  for (const key of keys) delete object[key];
  return object;
}

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

const manyKeys = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`key ${i}`, i]));

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
  "text that is no UTF-8": () => [
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
    { "\ud83d": 1, "\ude00": 2, "\ufffd": 3 },
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
    /\n[\]/"']/,
    /(?<x>[^/]+)\/"'/dgimsuy,
    /[\p{L}--[a-z]]/v,
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

/** One of every kind, to stand beside another. */
const allOthers = (): unknown[] => [
  ...[new Map<unknown, unknown>([["k", {}]]), new Set([[]]), new Date(4.4e15), /x/giy, new Error("e", { cause: [] })],
  ...[
    2n ** 80n,
    Object(true),
    new Float32Array([1]),
    new DataView(new ArrayBuffer(2)),
    filled(1200),
    "\ud800",
    "é".repeat(50),
  ],
  ...[new ArrayBuffer(4, { maxByteLength: 8 }), new DOMException("m", "AbortError"), arrayWith(9, { 4: 1, name: 2 })],
  ...[manyKeys(40), JSON.parse('{"__proto__":[]}'), Object.create(null), undefined, null, 1.5, -1, true],
];

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

// --- What is refused ---

const T = (globalThis as Anything).Temporal;

/** What structuredClone() refuses, and what cannot be done between processes: how it is made. */
const REFUSED: Record<string, () => unknown> = {
  "a function": () => () => {},
  "a class": () => Point,
  "a symbol": () => Symbol("s"),
  "a boxed symbol": () => Object(Symbol.iterator),
  "a Promise": () => Promise.resolve(),
  "a WeakMap": () => new WeakMap(),
  "a WeakSet": () => new WeakSet(),
  "a WeakRef": () => new WeakRef({}),
  "a FinalizationRegistry": () => new FinalizationRegistry(() => {}),
  "a Proxy": () => new Proxy({}, {}),
  "a Proxy of an array": () => new Proxy([], {}),
  "a Proxy of a typed array": () => new Proxy(new Uint8Array(1), {}),
  "a revoked Proxy": () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    return proxy;
  },
  "a generator": () => (function* () {})(),
  "an asynchronous generator": () => (async function* () {})(),
  "an iterator of an array": () => [1].values(),
  "an iterator of an array with a property": () => withProperties([1].values(), { more: 1 }),
  "an iterator of a map": () => new Map().entries(),
  "an iterator of a set": () => new Set().values(),
  "an iterator of text": () => "text"[Symbol.iterator](),
  "an iterator of matches": () => "text".matchAll(/t/g),
  "an iterator helper": () => [1].values().map((x) => x),
  "arguments": () =>
    (function (..._: unknown[]) {
      // deno-lint-ignore prefer-rest-params
      return arguments;
    })(1, 2),
  "a module": () => MODULE,
  "a detached buffer": () => {
    const buffer = new ArrayBuffer(8);
    buffer.transfer();
    return buffer;
  },
  "a view of a detached buffer": () => {
    const view = new Uint8Array(8);
    view.buffer.transfer();
    return view;
  },
  "shared memory of the language": () => new SharedArrayBuffer(8),
  "a view of shared memory": () => new Uint8Array(new SharedArrayBuffer(8)),
  "another view of shared memory": () => new Float64Array(new SharedArrayBuffer(8)),
  "a data view of shared memory": () => new DataView(new SharedArrayBuffer(8)),
  "a view beyond the end of its buffer": () => {
    const buffer = new ArrayBuffer(16, { maxByteLength: 16 }), view = new Uint8Array(buffer, 8, 8);
    buffer.resize(4);
    return view;
  },
  "a data view beyond the end of its buffer": () => {
    const buffer = new ArrayBuffer(16, { maxByteLength: 16 }), view = new DataView(buffer, 8, 8);
    buffer.resize(4);
    return view;
  },
  "a buffer that may grow much": () => new ArrayBuffer(0, { maxByteLength: 1 << 30 }),
  "a regular expression that is costly": () => /^\p{RGI_Emoji}$/v,
  "a regular expression that is long": () => new RegExp("a".repeat(100_000)),
  "Headers": () => new Headers({ a: "b" }),
  "Headers with a property": () => withProperties(new Headers(), { more: 1 }),
  "URLSearchParams": () => new URLSearchParams("a=b"),
  "FormData": () => new FormData(),
  "a URL": () => new URL("http://localhost/"),
  "a URLPattern": () => new URLPattern({ pathname: "/" }),
  "a Request": () => new Request("http://localhost/"),
  "a Response": () => new Response("x"),
  "a Blob": () => new Blob(["x"]),
  "a File": () => new File(["x"], "name"),
  "an AbortController": () => new AbortController(),
  "an AbortSignal": () => new AbortController().signal,
  "an Event": () => new Event("x"),
  "a CustomEvent": () => new CustomEvent("x", { detail: 1 }),
  "an EventTarget": () => new EventTarget(),
  "a TextEncoder": () => new TextEncoder(),
  "a ReadableStream": () => new ReadableStream(),
  "a WritableStream": () => new WritableStream(),
  "a TransformStream": () => new TransformStream(),
  "Intl.NumberFormat": () => new Intl.NumberFormat(),
  "Intl.DateTimeFormat": () => new Intl.DateTimeFormat(),
  "Intl.Collator": () => new Intl.Collator(),
  "Intl.Locale": () => new Intl.Locale("en"),
  "Intl.Segmenter": () => new Intl.Segmenter(),
  "segments of a text": () => new Intl.Segmenter("en").segment("text"),
  "Temporal.PlainDate": () => T.PlainDate.from("2020-01-01"),
  "Temporal.Instant": () => T.Instant.from("2020-01-01T00:00Z"),
  "Temporal.Duration": () => T.Duration.from("PT1S"),
  "Temporal.ZonedDateTime": () => T.Instant.from("2020-01-01T00:00Z").toZonedDateTimeISO("UTC"),
  "WebAssembly.Memory": () => new WebAssembly.Memory({ initial: 1 }),
  "WebAssembly.Module": () => new WebAssembly.Module(bytes(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0)),
  "WebAssembly.Global": () => new WebAssembly.Global({ value: "i32" }, 1),
  "a method": () => ({ toJSON: () => ({}) }),
  "an object that throws": () => ({
    get bad() {
      throw new Error("no");
    },
  }),
};
const MODULE = await import("./support/choices.ts");

arcTest(
  "What structuredClone() refuses is refused, with the path to it; nothing is sent, all stays usable",
  async (cell) => {
    using ways = new Ways(cell);
    const makers: [string, () => unknown][] = Object.entries(REFUSED);
    const key = await crypto.subtle.generateKey({ name: "AES-GCM", length: 128 }, false, ["encrypt"]);
    makers.push(["a CryptoKey", () => key]);
    for (const [what, make] of makers) {
      for (const way of ways) {
        try {
          const value = make();
          const places: [unknown, string][] = [
            [value, ""],
            [[0, value], "[1]"],
            [{ a: { "b c": value } }, '.a["b c"]'],
            [new Map([["k", [value]]]), ".entries()[0][1][0]"],
            [new Map([[value, 1]]), ".entries()[0][0]"],
            [new Set([1, value]), ".values()[1]"],
            [new Error("x", { cause: { value } }), ".cause.value"],
            [arrayWith(9, { 4: value }), "[4]"],
            [arrayWith(1, { 0: 1, name: value }), ".name"],
            [[...allOthers(), { value }], `[${allOthers().length}].value`],
          ];
          for (const [placed, path] of places) {
            const error = assertIpcErrorSync("Serialization", () => way.go(placed));
            assert(error.message.startsWith("Cannot encode "), error.message);
            if (what === "an object that throws") continue; // that it throws is known, and not where
            const within = what === "a method" ? ".toJSON" : "";
            assert(error.message.includes(` at value${path}${within}: `), `no path ${path} in: ${error.message}`);
          }
        } catch (error) {
          throw new Error(`${what} through ${way.name}`, { cause: error });
        }
      }
      ways.expectUntouched();
    }
  },
);

test("An endpoint in a value that is refused stays the caller's, and can be sent afterwards", () => {
  const [sender, receiver] = channel<unknown>();
  const [inner, moved] = channel<string>();
  using memory = IpcSharedMemory.from(bytes(1, 2, 3));
  for (const refused of [() => {}, Symbol("s"), new Blob([]), new Headers()]) {
    assertIpcErrorSync("Serialization", () => sender.sendSync({ inner, moved, memory, refused }));
    assertEquals([inner.closed, moved.closed], [false, false]);
  }
  inner.sendSync("before");
  sender.sendSync([moved, memory]);
  assert(moved.closed);
  const [arrived, same] = receiver.recvSync({ timeout: 0 }) as [typeof moved, IpcSharedMemory];
  assertEquals(arrived.recvSync({ timeout: 0 }), "before");
  assert(memory.equals(same));
  arrived.close(), same.close(), inner.close(), sender.close(), receiver.close();
});

arcTest("Endpoints, memory and descriptors are refused in a cell, with the path", (cell) => {
  const [sender, receiver] = channel<unknown>();
  using arc = IpcArc.create<unknown>(cell, 1);
  using memory = IpcSharedMemory.from(bytes(1));
  for (const value of [sender, receiver, memory]) {
    const error = assertIpcErrorSync("Serialization", () => arc.updateSync(() => ({ a: [value] })));
    assert(error.message.includes("at value.a[0]:"), error.message);
    assertEquals(arc.read(), 1);
  }
  sender.close(), receiver.close();
});

// --- Code of the program that runs while a value is written ---

arcTest("toJSON() is never called, and what is inherited is not asked for", (cell) => {
  using ways = new Ways(cell);
  let called = 0;
  class Inherits {
    own = 1;
    toJSON() {
      called++;
    }
    get asked() {
      return called++;
    }
    valueOf() {
      called++;
    }
    [Symbol.toPrimitive]() {
      called++;
    }
  }
  const date = new Date(5);
  date.toJSON = () => {
    called++;
    return "x";
  };
  for (const way of ways) {
    assertSame(way.go([new Inherits(), date, new Set()]), [{ own: 1 }, new Date(5), new Set()]);
    assertIpcErrorSync("Serialization", () => way.go({ toJSON: () => called++ }));
  }
  assertEquals(called, 0);
});

arcTest("Every getter runs once, wherever it stands", (cell) => {
  using ways = new Ways(cell);
  const names = [
    "a",
    "constructor",
    "then",
    "length",
    "name",
    "message",
    "toString",
    "size",
    "byteLength",
    "x".repeat(90),
  ];
  let calls: string[] = [];
  const getters = <T extends object>(object: T): T => {
    for (const name of names) {
      if (Object.hasOwn(object, name)) continue;
      Object.defineProperty(object, name, {
        get() {
          calls.push(name);
          return calls.length;
        },
        enumerable: true,
        configurable: true,
      });
    }
    return object;
  };
  const makers: [string, () => object][] = [
    ["an object", () => getters({})],
    ["an object without a prototype", () => getters(Object.create(null))],
    ["an object of a class", () => getters(new Point(1, 2))],
    ["an object that inherits from Error.prototype", () => getters(Object.create(Error.prototype))],
    ["an object that inherits from an object", () => getters(Object.create({ a() {} }))],
    ["an array", () => getters([1])],
    ["an array with holes", () => getters(new Array(3))],
  ];
  for (const [what, make] of makers) {
    for (const way of ways) {
      for (const around of [(value: object) => value, (value: object) => [new Map([[1, value]]), value]]) {
        calls = [];
        structuredClone(around(make()));
        const expected = calls;
        calls = [];
        way.go(around(make()));
        assertEquals(calls, expected, `${what} through ${way.name}`);
      }
    }
  }
  // An element of an array.
  let runs = 0;
  const list: unknown[] = [1, 2];
  Object.defineProperty(list, 1, { get: () => ++runs, enumerable: true });
  for (const way of ways) {
    runs = 0;
    assertEquals(way.go([list, list]), [[1, 1], [1, 1]]);
    assertEquals(runs, 1);
  }
});

arcTest("A getter may send, receive, and update a cell; nothing of that is mixed up", (cell) => {
  using ways = new Ways(cell);
  const [other, inbox] = channel<unknown>();
  using arc = IpcArc.create<unknown>(`${cell}-other`, 0);
  const inner = { long: filled(2000), map: new Map([["in", "ner"]]), text: "é".repeat(100), many: manyKeys(40) };
  for (const way of ways) {
    const shared = { n: 1 };
    const value = {
      first: filled(1500),
      shared,
      get sends() {
        other.sendSync(inner);
        assertIpcErrorSync("Serialization", () => other.sendSync({ no: [() => {}] }));
        return "sent";
      },
      ...manyKeys(30),
      list: [shared, {
        get updates() {
          arc.updateSync(() => inner);
          other.sendSync([arc.read(), shared, shared]);
          return [shared];
        },
      }],
      last: filled(1600),
      date: new Date(7),
    };
    const expected = structuredClone(value);
    assertEquals(inbox.recvMany().length, 2, "by structuredClone() itself");
    assertSame(way.go(value), expected);
    const [one, two] = inbox.recvMany() as [unknown, unknown];
    assertSame(one, inner);
    assertSame(two, [inner, { n: 1 }, { n: 1 }].map((v, i, all) => i === 2 ? all[1] : v));
  }
  other.close(), inbox.close();
});

test("A getter may send on the channel that its value is sent on: that message is first", () => {
  const [sender, receiver] = channel<unknown>();
  let deep = 0;
  const nested = (level: number): object => ({
    level,
    bytes: filled(1100),
    get inner() {
      if (level < 5) sender.sendSync(nested(level + 1));
      deep = Math.max(deep, level);
      return level;
    },
  });
  sender.sendSync(nested(0));
  for (let level = 5; level >= 0; level--) {
    assertEquals(receiver.recvSync({ timeout: 0 }), { level, bytes: filled(1100), inner: level });
  }
  assertEquals(deep, 5);
  sender.close(), receiver.close();
});

/** A descriptor of memory of this name. */
function named(name: string): IpcFd {
  return new IpcFd(libc().c.memfd_create(cString(name), MFD_CLOEXEC));
}

test("A getter that closes a descriptor of the same value: the one that stood there arrives, or an error", () => {
  const [sender, receiver] = channel<Anything>();
  const around: ((swapping: object, fd: IpcFd) => unknown)[] = [
    (swapping, fd) => ({ fd, swapping }),
    (swapping, fd) => [[fd], new Map([[1, { swapping }]]), new Date(0)],
    (swapping, fd) => ({ fds: [fd, fd], ...manyKeys(30), swapping }),
  ];
  for (const place of around) {
    for (const what of ["descriptor", "memory"]) {
      const fd = named("right");
      let second: IpcFd | undefined;
      const swapping = {
        get now() {
          const { fd: number } = fd;
          fd.close();
          second = named("wrong");
          assertEquals(second.fd, number, "it must get the same number, or this tests nothing");
          if (what === "memory") fd.close();
          return 1;
        },
      };
      try {
        sender.sendSync(place(swapping, fd));
        const arrived = fdsIn(receiver.recvSync({ timeout: 0 }));
        for (const each of arrived) {
          assertEquals(Deno.readLinkSync(`/proc/self/fd/${each.fd}`), "/memfd:right (deleted)");
          each.close();
        }
      } catch (error) {
        assert(error instanceof IpcError, String(error));
        assertEquals(receiver.tryRecv(), { state: "empty" });
      }
      fd.close(), second?.close();
    }
  }
  sender.sendSync("still usable");
  assertEquals(receiver.recvSync({ timeout: 0 }), "still usable");
  sender.close(), receiver.close();
});

function fdsIn(value: Anything, found: Set<IpcFd> = new Set()): Set<IpcFd> {
  if (value instanceof IpcFd) found.add(value);
  else if (typeof value === "object" && value !== null) { for (const each of Object.values(value)) fdsIn(each, found); }
  return found;
}

test("A Proxy in a value runs none of its traps", () => {
  const [sender, receiver] = channel<Anything>();
  const fd = named("right");
  let trapped = 0;
  const traps = new Proxy({}, {
    get: (_, trap) => () => {
      trapped++;
      fd.close();
      throw new Error(String(trap));
    },
  });
  const error = assertIpcErrorSync("Serialization", () => sender.sendSync({ fd, list: [new Proxy({}, traps)] }));
  assert(error.message.includes("a Proxy at value.list[0]"), error.message);
  assertEquals([trapped, fd.closed, receiver.tryRecv().state], [0, false, "empty"]);
  fd.close(), sender.close(), receiver.close();
});

// --- Depth ---

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

function nested(nest: (inner: unknown) => unknown, depth: number): unknown {
  let value: unknown = "innermost";
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  for (let i = 0; i < depth; i++) value = nest(value);
  Error.stackTraceLimit = stackTraceLimit;
  return value;
}

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
  const inner = nested((inner) => [inner, shared], 1000);
  const outer = () =>
    nested((inner) => [shared, inner], 500) && [
      nested((a) => ({ a, shared }), 500),
      nested((inner) =>
        inner === "innermost"
          ? {
            get sends() {
              other.sendSync(inner);
              return nested((inner) => new Map([[1, inner]]), 400);
            },
            shared,
          }
          : [inner], 600),
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
