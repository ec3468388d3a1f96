import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { channel, IpcError } from "../../../mod.ts";
import { decodeCbor, encodeCbor } from "../../../cbor/mod.ts";
import { assertIpcErrorSync } from "../../support/assert_ipc.ts";
import { openChannel, Random } from "../../support/open_channel.ts";
import { patience } from "../../support/patience.ts";
import { test } from "../../support/test.ts";
import { Message } from "../../../channel/message/outgoing.ts";

// deno-lint-ignore no-explicit-any -- values of any shape
type Anything = any;

function roundTrip(value: unknown): Anything {
  return decodeCbor(Uint8Array.from(encodeCbor(value)));
}

function text(value: unknown): string {
  return Deno.inspect(value, { depth: 2, strAbbreviateSize: 40, iterableLimit: 5 });
}

/** Equal as structuredClone would have it: -0, NaN, holes, order of keys and classes count. */
function same(actual: Anything, expected: Anything, path = "value"): void {
  if (typeof expected !== "object" || expected === null) {
    if (!Object.is(actual, expected)) throw new Error(`${path}: ${text(actual)} instead of ${text(expected)}`);
    return;
  }
  if (typeof actual !== "object" || actual === null) throw new Error(`${path}: ${text(actual)} instead of an object`);
  const kind = Object.prototype.toString.call(expected);
  assertEquals(Object.prototype.toString.call(actual), kind, path);
  if (expected instanceof Date) return same(actual.getTime(), expected.getTime(), path);
  if (expected instanceof RegExp) return assertEquals([actual.source, actual.flags], [expected.source, expected.flags]);
  if (expected instanceof Map) return same([...actual], [...expected], `${path}<Map>`);
  if (expected instanceof Set) return same([...actual], [...expected], `${path}<Set>`);
  if (expected instanceof ArrayBuffer) return assertEquals(new Uint8Array(actual), new Uint8Array(expected), path);
  if (ArrayBuffer.isView(expected)) {
    const bytes = (view: ArrayBufferView) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
    return assertEquals(bytes(actual), bytes(expected), path);
  }
  if (expected instanceof Error) {
    assertEquals([actual.name, actual.message, "cause" in actual], [
      expected.name,
      expected.message,
      "cause" in expected,
    ]);
    return same(actual.cause, expected.cause, `${path}.cause`);
  }
  assertEquals(Object.keys(actual), Object.keys(expected), path);
  for (const key of Object.keys(expected)) same(actual[key], expected[key], `${path}.${key}`);
}

const VALUES: Record<string, unknown[]> = {
  "nothing and truth": [null, undefined, true, false],
  "integers": [
    0,
    1,
    -1,
    23,
    24,
    -24,
    -25,
    255,
    256,
    65_535,
    65_536,
    -65_536,
    2 ** 31,
    2 ** 32 - 1,
    2 ** 32,
    -(2 ** 32),
  ],
  "numbers near the limits": [2 ** 53, 2 ** 53 - 1, -(2 ** 53), Number.MAX_VALUE, Number.MIN_VALUE, 1e21, -1e300],
  "numbers that are no integers": [0.5, -0, NaN, Infinity, -Infinity, 0.1, 1 / 3, 16_777_217.5],
  "big integers": [
    0n,
    1n,
    -1n,
    2n ** 53n,
    2n ** 63n,
    2n ** 64n - 1n,
    2n ** 64n,
    -(2n ** 64n),
    -(2n ** 64n) - 1n,
    3n ** 500n,
    -(3n ** 500n),
  ],
  "texts": [
    "",
    "a",
    "x".repeat(23),
    "x".repeat(24),
    "x".repeat(256),
    "é".repeat(300),
    "日本語",
    "👍🏽",
    "\0\u007f\u0080\uffff",
    "x".repeat(70_000),
    "ü".repeat(70_000),
  ],
  "objects": [
    {},
    { a: 1 },
    { a: { b: { c: [] } } },
    { "": 1, " ": 2, "0": 3, "-1": 4 },
    { length: 5 },
    { toString: 1 },
    { ["x".repeat(300)]: 1 },
  ],
  "objects with treacherous keys": [
    { constructor: "x" },
    { constructor: null },
    { hasOwnProperty: 1, valueOf: 2 },
    { then: 1 },
  ],
  "objects without a prototype": [Object.assign(Object.create(null), { a: 1, b: [Object.create(null)] })],
  "arrays": [[], [1, "two", [3, [4]]], new Array(300).fill(7), [undefined, null], [[], [[]]]],
  "dates": [
    new Date(0),
    new Date(1.5),
    new Date(-1),
    new Date(1_700_000_000_123),
    new Date(8.64e15),
    new Date(-8.64e15),
    new Date(NaN),
  ],
  "regular expressions": [/a/, /(?<x>[^/]+)\/"'/dgimsuy, new RegExp("")],
  "maps": [
    new Map(),
    new Map<unknown, unknown>([[1, "a"], ["1", "b"], [{ k: 1 }, [2]], [null, undefined], [NaN, -0]]),
    new Map([[new Map([[1, 2]]), new Set([3])]]),
  ],
  "sets": [new Set(), new Set([1, "1", null, undefined, NaN]), new Set([[1], { a: 1 }, new Set([1])])],
  "byte strings": [
    new Uint8Array(0),
    new Uint8Array([1, 2, 3]),
    new Uint8Array(70_000).fill(9),
    new Uint8Array([9, 1, 2, 9]).subarray(1, 3),
  ],
  "typed arrays": [
    new Int8Array([-1, 2]),
    new Uint8ClampedArray([255, 0]),
    new Int16Array([-300]),
    new Uint16Array([60_000]),
    new Int32Array([-1]),
    new Uint32Array([4_000_000_000]),
    new BigInt64Array([-5n]),
    new BigUint64Array([2n ** 63n]),
    new Float16Array([1.5, -0]),
    new Float32Array([0.1, NaN]),
    new Float64Array([Math.PI, -0]),
    new Float64Array(0),
    new Uint16Array([9, 1, 2]).subarray(1),
    new Float64Array(10_000).fill(0.25),
  ],
  "buffers and views": [
    new ArrayBuffer(0),
    new Uint8Array([1, 2, 3]).buffer,
    new DataView(new Uint8Array([9, 1, 2, 9]).buffer, 1, 2),
  ],
  "errors": [
    new Error("plain"),
    new TypeError("typed"),
    new RangeError(""),
    new Error("outer", { cause: new SyntaxError("inner") }),
    new Error("c", { cause: { code: 5 } }),
    new Error("undefined cause", { cause: undefined }),
  ],
};

for (const [what, values] of Object.entries(VALUES)) {
  test(`CBOR gives back what structuredClone() gives: ${what}`, () => {
    for (const value of values) {
      const expected = structuredClone(value);
      same(roundTrip(value), expected);
      same(roundTrip([value, { value }]), [expected, { value: expected }]);
      same(roundTrip(new Map([["in a map", value]])), new Map([["in a map", expected]]));
    }
    same(roundTrip(values), structuredClone(values));
  });
}

test("Objects of a class lose it as with structuredClone(), Error keeps its stack", () => {
  class Point {
    constructor(public x: number, public y: number) {}
    get length() {
      return Math.hypot(this.x, this.y);
    }
  }
  const received = roundTrip(new Point(3, 4));
  assertEquals(received, { x: 3, y: 4 });
  assertEquals(Object.getPrototypeOf(received), Object.prototype);
  const error = new TypeError("here");
  assertEquals(roundTrip(error).stack, error.stack);
  assertInstanceOf(roundTrip(error), TypeError);
  class MyError extends RangeError {}
  assertInstanceOf(roundTrip(new MyError("mine")), RangeError);
});

test("References are kept: the same object twice is the same again, and cycles close", () => {
  const shared = { n: 1 };
  const twice = roundTrip({ a: shared, b: [shared], c: new Map([[shared, shared]]), d: new Set([shared]) });
  assert(twice.a === twice.b[0] && twice.c.get(twice.a) === twice.a && twice.d.has(twice.a));
  const cyclic: Anything = { name: "cycle", list: [], map: new Map(), set: new Set() };
  cyclic.self = cyclic;
  cyclic.list.push(cyclic, cyclic.list);
  cyclic.map.set(cyclic, cyclic.map);
  cyclic.set.add(cyclic.set).add(cyclic);
  const back = roundTrip(cyclic);
  assert(back.self === back && back.list[0] === back && back.list[1] === back.list);
  assert(back.map.get(back) === back.map && back.set.has(back.set) && back.set.has(back) && back.set.size === 2);
  const error: Anything = new Error("self");
  error.cause = error;
  const sameError = roundTrip(error);
  assert(sameError.cause === sameError);
  const bytes = new Uint8Array([1]);
  const [one, two] = roundTrip([bytes, bytes]);
  assert(one === two);
});

test("What cannot be encoded is refused with the path to it", () => {
  const cases: [unknown, string][] = [
    [() => {}, "value"],
    [{ a: function named() {} }, "value.a"],
    [{ a: [0, { "b c": Symbol("s") }] }, 'value.a[1]["b c"]'],
    [new Map([["k", [Symbol.iterator]]]), "value.entries()[0][1][0]"],
    [new Map([[() => {}, 1]]), "value.entries()[0][0]"],
    [new Set([1, () => {}]), "value.values()[1]"],
    [new Error("x", { cause: { f() {} } }), "value.cause.f"],
    [{ p: Promise.resolve() }, "value.p"],
    [[new WeakMap()], "value[0]"],
    [{ w: new WeakRef({}) }, "value.w"],
    [{ s: new AbortController().signal }, "value.s"],
    [{ j: { toJSON: () => ({ deep: () => {} }) } }, "value.j.toJSON"],
  ];
  const [sender, receiver] = channel<unknown>();
  for (const [value, path] of cases) {
    const error = assertIpcErrorSync("Serialization", () => sender.sendSync(value));
    assert(error.message.includes(`at ${path}:`), `${error.message} does not name ${path}`);
  }
  assertEquals(receiver.tryRecv(), { state: "empty" }, "nothing was sent");
  sender.sendSync("still usable");
  assertEquals(receiver.recvSync({ timeout: 0 }), "still usable");
  sender.close(), receiver.close();
});

test("What is nested too deeply, and what throws while it is read, is Serialization, and the next value goes", () => {
  let deep: unknown = 0;
  for (let i = 0; i < 200_000; i++) deep = [deep];
  assertIpcErrorSync("Serialization", () => encodeCbor(deep));
  assertIpcErrorSync("Serialization", () =>
    encodeCbor({
      get bad() {
        throw new Error("no");
      },
    }));
  assertIpcErrorSync("Serialization", () =>
    encodeCbor(
      new Proxy({}, {
        ownKeys() {
          throw new Error("no");
        },
      }),
    ));
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  assertIpcErrorSync("Serialization", () => encodeCbor([proxy]));
  assertEquals(roundTrip({ fine: true }), { fine: true });
});

test("Plain values are plain CBOR that any library reads", () => {
  const hex = (value: unknown) => Uint8Array.from(encodeCbor(value)).toHex();
  // From RFC 8949, appendix A.
  assertEquals(hex({ a: 1, b: [2, 3] }), "a26161016162820203");
  assertEquals(hex("ü"), "62c3bc");
  assertEquals(hex([1, [2, 3], [4, 5]]), "8301820203820405");
  assertEquals(hex(new Uint8Array([1, 2, 3, 4])), "4401020304");
  assertEquals(hex(true), "f5");
  assertEquals(hex(undefined), "f7");
  assertEquals(hex(-1), "20");
  assertEquals(hex(1_000_000), "1a000f4240");
  assertEquals(hex(18446744073709551616n), "c249010000000000000000");
  assertEquals(hex(new Set([1])), "d9010281" + "01");
});

test("Foreign CBOR is read: indefinite arrays and maps, half floats, integers in long form", () => {
  const read = (hex: string) => decodeCbor(Uint8Array.fromHex(hex));
  assertEquals(read("9f018202039f0405ffff"), [1, [2, 3], [4, 5]]);
  assertEquals(read("bf61610161629f0203ffff"), { a: 1, b: [2, 3] });
  assertEquals(read("f93c00"), 1);
  assertEquals(read("1a0000000a"), 10);
  assertEquals(read("1b000000000000000a"), 10, "a number if it is safe, however it is written");
  assertEquals(read("1b8000000000000000"), 2n ** 63n);
});

test("A map with the key __proto__ from a peer pollutes nothing", () => {
  const received = decodeCbor(Uint8Array.fromHex("a1695f5f70726f746f5f5fa168706f6c6c7574656401")) as object; // {"__proto__":{"polluted":1}}
  assertEquals(({} as Anything).polluted, undefined);
  assertEquals(Object.getPrototypeOf(received), Object.prototype);
});

test("Bytes that are no CBOR are Serialization, reported once, and the next message arrives", () => {
  const { sender, receiver, ring, close } = openChannel<unknown>();
  const garbage = [
    "1c",
    "5f",
    "9f",
    "62c3",
    "7a7fffffff41",
    "9bffffffffffffffff",
    "5bffffffffffffffff",
    "bf01",
    "d81d05",
    "d81c",
    "d81b8261",
    "c2",
    "c25affffffff",
    "f8",
    "fb00",
    "0000",
  ];
  for (const hex of ["", ...garbage]) {
    const bytes = Uint8Array.fromHex(hex);
    assert(ring.trySend(Message.of(bytes)));
    sender.sendSync({ after: hex });
    assertIpcErrorSync("Serialization", () => receiver.recvSync({ timeout: 0 }));
    assertEquals(receiver.recvSync({ timeout: 0 }), { after: hex });
  }
  // Among good ones, for those who take many at a time.
  sender.sendSync(1);
  ring.trySend(Message.of(Uint8Array.of(0x1c)));
  sender.sendSync(2);
  assertEquals(receiver.recvMany(), [1]);
  assertIpcErrorSync("Serialization", () => receiver.recvMany());
  assertEquals(receiver.recvMany(), [2]);
  close();
});

test("Random bytes are a value or Serialization, 50,000 times, and cost no more time than good ones", () => {
  const random = new Random(4711);
  const good = Object.values(VALUES).flat().map((value) => Uint8Array.from(encodeCbor(value)));
  for (let i = 0; i < 50_000; i++) {
    let bytes: Uint8Array<ArrayBuffer>;
    if (i % 2 === 0) {
      bytes = new Uint8Array(random.below(40)).map(() => random.below(256));
    } else {
      bytes = random.of(good).slice(0, 300);
      for (let n = random.below(4); n >= 0 && bytes.length > 0; n--) {
        bytes[random.below(bytes.length)] = random.below(256);
      }
    }
    const began = performance.now();
    try {
      decodeCbor(bytes);
    } catch (error) {
      assert(error instanceof IpcError && error.code === "Serialization", `${bytes.toHex()}: ${String(error)}`);
    }
    assert(performance.now() - began < patience(2_000), `${bytes.toHex()} took ${performance.now() - began} ms`);
  }
});

test("Random values come back as structuredClone() gives them, 2000 times", () => {
  for (let seed = 1; seed <= 2000; seed++) {
    const value = randomValue(new Random(seed * 7919), 0, []);
    try {
      same(roundTrip(value), structuredClone(value));
    } catch (error) {
      throw new Error(`Seed ${seed}: ${text(value)}`, { cause: error });
    }
  }
});

const LEAVES = Object.entries(VALUES).filter(([what]) => what !== "objects with treacherous keys").flatMap(([, v]) =>
  v
);

function randomValue(random: Random, depth: number, seen: unknown[]): unknown {
  if (depth > 4 || random.below(3) === 0) return random.of(LEAVES);
  // The same object again.
  if (seen.length > 0 && random.below(10) === 0) return random.of(seen);
  const length = random.below(6);
  const next = () => randomValue(random, depth + 1, seen);
  const kind = random.below(4);
  const made = kind === 0
    ? Array.from({ length }, next)
    : kind === 1
    ? Object.fromEntries(Array.from({ length }, () => [random.of(["a", "b", "key", "ü", "0", "x".repeat(40)]), next()]))
    : kind === 2
    ? new Map(Array.from({ length }, () => [next(), next()]))
    : new Set(Array.from({ length }, next));
  seen.push(made);
  return made;
}
