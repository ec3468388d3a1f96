// POD layouts: types, live views, and what they refuse.
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  array,
  bool,
  bytes,
  f32,
  f64,
  i16,
  i32,
  i64,
  i8,
  IpcArc,
  type Layout,
  type LayoutValue,
  struct,
  u16,
  u32,
  u64,
  u8,
} from "../../arc/mod.ts";
import { arcTest, codeOf } from "../support/arc_processes.ts";

const reading = struct({
  id: u32,
  at: f64,
  place: struct({ x: f32, y: f32 }),
  hits: array(u16, 3),
  flags: array(bool, 2),
  trail: array(struct({ x: i16, on: bool }), 2),
  digest: bytes(4),
  total: u64,
});
const value = (): LayoutValue<typeof reading> => ({
  id: 1,
  at: 0.5,
  place: { x: 1, y: 2 },
  hits: new Uint16Array([1, 2, 3]),
  flags: [true, false],
  trail: [{ x: -1, on: true }, { x: 2, on: false }],
  digest: new Uint8Array([9, 8, 7, 6]),
  total: 1n << 60n,
});

// The types follow from the layout: this is checked when the file is.
const _typed: {
  id: number;
  at: number;
  place: { x: number; y: number };
  hits: Uint16Array;
  flags: boolean[];
  trail: { x: number; on: boolean }[];
  digest: Uint8Array;
  total: bigint;
} = value();

Deno.test("Sizes and alignments are those of C", () => {
  const sizes: [Layout<unknown>, number, number][] = [
    [u8, 1, 1],
    [i8, 1, 1],
    [u16, 2, 2],
    [i16, 2, 2],
    [u32, 4, 4],
    [i32, 4, 4],
    [u64, 8, 8],
    [i64, 8, 8],
    [f32, 4, 4],
    [f64, 8, 8],
    [bool, 1, 1],
    [bytes(5), 5, 1],
    [array(f64, 3), 24, 8],
    [struct({ a: u8, b: u32 }), 8, 4],
    [struct({ a: u32, b: u8 }), 8, 4],
    [array(struct({ a: u8, b: u16 }), 3), 12, 2],
    [reading, 56, 8],
  ];
  for (const [layout, size, alignment] of sizes) {
    assertEquals([layout.size, layout.alignment], [size, alignment], layout.description);
  }
});

arcTest("read() returns plain values", (cell) => {
  using arc = IpcArc.create(cell, value(), { layout: reading });
  assertEquals(arc.read(), value());
});

arcTest("The fields of guard.value are shared memory", (cell) => {
  using arc = IpcArc.create(cell, value(), { layout: reading });
  {
    using guard = arc.acquireSync();
    const live = guard.value;
    live.id = 2;
    live.at *= 2;
    live.place.x = 10;
    live.hits[1] = 65535;
    live.flags[1] = true;
    live.trail[1]!.x = -5;
    live.trail[0] = { x: 7, on: false };
    live.digest.fill(1);
    live.total += 1n;
    // Every way to the same memory shows the same.
    assertEquals(guard.value.id, 2);
    assertEquals(guard.value.hits[1], 65535);
    assertEquals([...live.trail].map((item) => item.x), [7, -5]);
    assertEquals([Array.isArray(live.trail), live.trail.length, 2 in live.trail], [true, 2, false]);
    assert(live.hits instanceof Uint16Array);
    assertEquals(JSON.parse(JSON.stringify(live.place)), { x: 10, y: 2 });
    assertEquals(Deno.inspect(live.place), "{ x: 10, y: 2 }");
  }
  assertEquals(arc.read(), {
    id: 2,
    at: 1,
    place: { x: 10, y: 2 },
    hits: new Uint16Array([1, 65535, 3]),
    flags: [true, true],
    trail: [{ x: 7, on: false }, { x: -5, on: false }],
    digest: new Uint8Array(4).fill(1),
    total: (1n << 60n) + 1n,
  });
});

arcTest("Whole parts can be assigned, plain or live", (cell) => {
  using arc = IpcArc.create(cell, value(), { layout: reading });
  {
    using guard = arc.acquireSync();
    guard.value = { ...value(), id: 5 };
    guard.value.place = { x: 3, y: 4 };
    guard.value.hits = new Uint16Array([7, 7, 7]);
    guard.value.trail = [{ x: 1, on: false }, { x: 1, on: true }];
    guard.value.trail[0] = guard.value.trail[1]!;
  }
  assertEquals(arc.read(), {
    ...value(),
    id: 5,
    place: { x: 3, y: 4 },
    hits: new Uint16Array([7, 7, 7]),
    trail: [{ x: 1, on: true }, { x: 1, on: true }],
  });
  assertEquals(arc.updateSync((old) => ({ ...old, id: old.id + 1 })).id, 6);
  assertEquals(arc.read().id, 6);
});

arcTest("Views die with their guard and never write to shared memory again", (cell) => {
  using arc = IpcArc.create(cell, value(), { layout: reading });
  const guard = arc.acquireSync();
  const live = guard.value;
  const { hits, trail, place, digest, flags } = live;
  const item = trail[0]!;
  guard.release();
  for (
    const use of [
      () => live.id,
      () => (live.id = 9),
      () => place.x,
      () => (place.x = 9),
      () => trail[0],
      () => (trail[0] = { x: 1, on: true }),
      () => item.x,
      () => (item.x = 9),
      () => flags[0],
      () => (flags[0] = false),
      () => JSON.stringify(live),
    ]
  ) {
    assertEquals(codeOf(use), "Closed", use.toString());
  }
  assertEquals([hits.length, digest.length], [0, 0]);
  hits[0] = 99;
  digest[0] = 99;
  // Nor does the next guard bring them back.
  using next = arc.acquireSync();
  assertEquals(next.value.id, 1);
  assertEquals(codeOf(() => live.id), "Closed");
  hits[0] = 99;
  next.release();
  assertEquals(arc.read(), value());
});

arcTest("Arrays of numbers, and scalars, can be the whole value", (cell) => {
  using ring = IpcArc.create(`${cell}-ring`, new Float64Array(100), { layout: array(f64, 100) });
  {
    using guard = ring.acquireSync();
    assert(guard.value instanceof Float64Array);
    guard.value[99] = 1.5;
    guard.value.fill(2, 0, 2);
  }
  assertEquals([...ring.read()].filter((x) => x !== 0), [2, 2, 1.5]);
  const scalars: [Layout<unknown>, unknown, unknown][] = [
    [u8, 1, 255],
    [i8, 1, -128],
    [u16, 1, 65535],
    [i16, 1, -32768],
    [u32, 1, 4294967295],
    [i32, 1, -2147483648],
    [u64, 1n, (1n << 64n) - 1n],
    [i64, 1n, -(1n << 63n)],
    [f32, 1, -0.5],
    [f64, 1, NaN],
    [bool, false, true],
  ];
  for (const [layout, first, second] of scalars) {
    using arc = IpcArc.create(`${cell}-${layout.description}`, first, { layout });
    assertEquals(arc.read(), first);
    {
      using guard = arc.acquireSync();
      assertEquals(guard.value, first);
      guard.value = second;
      assertEquals(guard.value, second);
    }
    assertEquals(arc.read(), second);
    assertEquals(arc.updateSync(() => first), first);
  }
});

arcTest(
  "A value that does not fit its layout is refused with the path to what is wrong, and nothing is written",
  (cell) => {
    using arc = IpcArc.create(cell, value(), { layout: reading });
    // deno-lint-ignore no-explicit-any
    const wrong: [(v: any) => unknown, typeof TypeError | typeof RangeError, string][] = [
      [(v) => (v.id = -1), RangeError, '-1 at "id": u32'],
      [(v) => (v.id = 1.5), RangeError, '"id"'],
      [(v) => (v.id = 2 ** 32), RangeError, '"id"'],
      [(v) => (v.id = "1"), TypeError, '"id": u32 is a number'],
      [(v) => (v.total = 1), TypeError, '"total": u64 is a bigint'],
      [(v) => (v.total = -1n), RangeError, '"total"'],
      [(v) => (v.place = { x: 1 }), TypeError, 'its field "place.y"'],
      [(v) => (v.place = null), TypeError, '"place": a struct is an object'],
      [(v) => (v.hits = [1, 2]), RangeError, '2 elements at "hits": [3]u16'],
      [(v) => (v.hits = [1, 2, 65536]), RangeError, '65536 at "hits[2]"'],
      [(v) => (v.flags = [1, 0]), TypeError, '"flags[0]": bool'],
      [(v) => (v.trail = [{ x: 1, on: true }, { x: 40000, on: true }]), RangeError, '"trail[1].x"'],
    ];
    for (const [spoil, error, message] of wrong) {
      const spoiled = value();
      spoil(spoiled);
      assertThrows(() => arc.updateSync(() => spoiled), error, message);
      assertThrows(() => IpcArc.create(`${cell}-2`, spoiled, { layout: reading }), error, message);
      using guard = arc.acquireSync();
      assertThrows(() => spoil(guard.value), error);
    }
    {
      using guard = arc.acquireSync();
      const { trail } = guard.value;
      assertThrows(() => trail.push({ x: 1, on: true }), TypeError, "its length is fixed");
      assertThrows(() => (trail.length = 0), TypeError, "its length is fixed");
      assertThrows(() => delete trail[0], TypeError, "its length is fixed");
    }
    assertEquals(arc.read(), value());
  },
);

Deno.test("Layouts that make no sense are refused", () => {
  for (const length of [0, -1, 1.5, NaN]) {
    assertThrows(() => array(u8, length), RangeError);
    assertThrows(() => bytes(length), RangeError);
  }
  assertThrows(() => struct({}), TypeError, "without fields");
  assertThrows(() => struct({ 0: u8 }), TypeError, '"0"');
  // deno-lint-ignore no-explicit-any
  assertThrows(() => struct({ a: "u8" as any }), TypeError, '"a"');
  // deno-lint-ignore no-explicit-any
  assertThrows(() => array({} as any, 1), TypeError, "elements");
});
