// Views on a cell with a layout behave like objects and arrays of the program.
import { assertEquals, assertThrows } from "@std/assert";
import { array, bool, f64, IpcArc, type Layout, struct, u32 } from "../../arc/mod.ts";
import { arcTest, codeOf } from "../support/arc_processes.ts";

const item = struct({ id: u32, at: struct({ x: f64 }), hits: array(u32, 2), flags: array(bool, 2) });
interface Item {
  id: number;
  at: { x: number };
  hits: Uint32Array;
  flags: boolean[];
}
const plain = (id: number): Item => ({
  id,
  at: { x: id / 2 },
  hits: new Uint32Array([id, id * 10]),
  flags: [id % 2 === 0, true],
});
const LENGTH = 7;
const list = array(item, LENGTH) as Layout<Item[]>;
const items = (...ids: number[]) => ids.map(plain);

/** What programs do with arrays: the same is done to an array of plain objects, and to a view. */
const changes: Record<string, (v: Item[]) => unknown> = {
  "sort()": (v) => v.sort((a, b) => a.id - b.id),
  "sort() by a nested field": (v) => v.sort((a, b) => b.at.x - a.at.x),
  "sort() by a typed array": (v) => v.sort((a, b) => a.hits[1]! - b.hits[1]!),
  "reverse()": (v) => v.reverse(),
  "a swap by destructuring": (v) => [v[0], v[3]] = [v[3]!, v[0]!],
  "a swap by a temporary": (v) => {
    const first = v[0]!;
    v[0] = v[1]!;
    v[1] = first;
  },
  "a rotation": (v) => {
    const first = v[0]!;
    for (let i = 1; i < v.length; i++) v[i - 1] = v[i]!;
    v[v.length - 1] = first;
  },
  "copyWithin()": (v) => v.copyWithin(1, 0, 4),
  "fill()": (v) => v.fill(v[2]!, 3),
  "splice()": (v) => v.splice(1, 3, v[3]!, v[2]!, v[1]!),
  "Object.assign() of what was sorted": (v) => Object.assign(v, v.toSorted((a, b) => a.id - b.id)),
  "a swap of fields that are structs": (v) => [v[0]!.at, v[1]!.at] = [v[1]!.at, v[0]!.at],
  "a swap of fields that are numbers": (v) => [v[0]!.hits, v[1]!.hits] = [v[1]!.hits, v[0]!.hits],
  "a swap of fields that are arrays": (v) => [v[0]!.flags, v[1]!.flags] = [v[1]!.flags, v[0]!.flags],
  "a swap of fields, then of elements": (v) => {
    [v[0]!.hits, v[1]!.hits] = [v[1]!.hits, v[0]!.hits];
    [v[0], v[2]] = [v[2]!, v[0]!];
    [v[0]!.at, v[2]!.at] = [v[2]!.at, v[0]!.at];
  },
  "changes through a view that was taken before a swap": (v) => {
    const first = v[0]!, hits = first.hits;
    [v[0], v[1]] = [v[1]!, v[0]!];
    v[1] = first;
    v[0]!.id = 77;
    v[0]!.hits[0] = 5;
    return hits[0];
  },
  "an element made of parts of others": (v) => v[4] = { ...v[4]!, at: v[0]!.at, hits: v[1]!.hits },
};

for (const [name, change] of Object.entries(changes)) {
  arcTest(`Elements stay whole and right after ${name}`, (cell) => {
    const before = [3, 1, 2, 9, 5, 4, 8];
    using arc = IpcArc.create(cell, items(...before), { layout: list });
    const expected = items(...before);
    const made = change(expected);
    {
      using guard = arc.acquireSync();
      const found = change(guard.value);
      if (typeof made === "number") assertEquals(found, made);
      assertEquals(JSON.stringify(guard.value), JSON.stringify(expected));
    }
    // Plain arrays keep references; what is stored is copied.
    assertEquals(arc.read(), structuredClone(expected));
  });
}

arcTest("Random programs on views do what they do on plain objects", (cell) => {
  let seed = 7;
  const random = (below: number) => {
    seed = (Math.imul(seed, 1103515245) + 12345) | 0;
    return (seed >>> 8) % below;
  };
  using arc = IpcArc.create(cell, items(1, 2, 3, 4, 5, 6, 7), { layout: list });
  const copy = (value: Item): Item => structuredClone({ ...value, at: { ...value.at }, flags: [...value.flags] });
  const model = arc.read();
  for (let round = 0; round < 200; round++) {
    using guard = arc.acquireSync();
    // Of what was taken out, the model has what the view has: what it replaced stays as it was.
    const taken: [Item, Item][] = [];
    for (let step = 0; step < 30; step++) {
      const i = random(LENGTH), j = random(LENGTH);
      const live = guard.value;
      switch (random(7)) {
        case 0:
          taken.push([live[i]!, model[i]!]);
          break;
        case 1: {
          const from = taken[random(Math.max(1, taken.length))];
          if (from === undefined) break;
          live[i] = from[0], model[i] = copy(from[1]);
          break;
        }
        case 2:
          live[i]!.hits = live[j]!.hits, model[i]!.hits = model[j]!.hits.slice();
          break;
        case 3:
          live[i]!.hits[j & 1] = model[i]!.hits[j & 1] = random(1000);
          break;
        case 4:
          live[i]!.at = live[j]!.at, model[i]!.at = { ...model[j]!.at };
          break;
        case 5:
          [live[i], live[j]] = [live[j]!, live[i]!];
          if (i !== j) [model[i], model[j]] = [copy(model[j]!), copy(model[i]!)];
          else model[i] = copy(model[i]!);
          break;
        case 6:
          guard.value = guard.value.toReversed(), model.reverse().forEach((value, k) => model[k] = copy(value));
          break;
      }
    }
    assertEquals(JSON.stringify(guard.value), JSON.stringify(model), `round ${round}`);
    guard.release();
    assertEquals(arc.read(), model, `round ${round}`);
  }
});

arcTest("A whole value may be made of its own parts", (cell) => {
  const pair = struct({ a: struct({ n: u32 }), b: struct({ n: u32 }), c: array(f64, 2), d: array(f64, 2) });
  const value = { a: { n: 1 }, b: { n: 2 }, c: new Float64Array([1, 2]), d: new Float64Array([3, 4]) };
  using arc = IpcArc.create(cell, value, { layout: pair });
  {
    using guard = arc.acquireSync();
    const v = guard.value;
    guard.value = { a: v.b, b: v.a, c: v.d, d: v.c };
    assertEquals([v.a.n, guard.value.a.n], [1, 2]); // what was taken before is what it was
    guard.value.c.reverse();
  }
  assertEquals(arc.read(), { a: { n: 2 }, b: { n: 1 }, c: new Float64Array([4, 3]), d: new Float64Array([1, 2]) });
});

arcTest("A view of a struct has its fields, and no others", (cell) => {
  const pod = struct({ id: u32, at: struct({ x: f64, y: f64 }), hits: array(u32, 2) });
  const value = { id: 1, at: { x: 2, y: 3 }, hits: new Uint32Array([4, 5]) };
  using arc = IpcArc.create(cell, value, { layout: pod });
  {
    using guard = arc.acquireSync();
    const v = guard.value;
    assertEquals(Object.keys(v), ["id", "at", "hits"]);
    assertEquals(Object.keys({ ...v }), ["id", "at", "hits"]);
    assertEquals({ ...v.at }, { x: 2, y: 3 });
    assertEquals(Object.entries(v.at), [["x", 2], ["y", 3]]);
    assertEquals(structuredClone(v), value);
    assertEquals(JSON.parse(JSON.stringify(v)), { id: 1, at: { x: 2, y: 3 }, hits: { 0: 4, 1: 5 } });
    assertEquals([Object.hasOwn(v, "id"), "id" in v, "hti" in v], [true, true, false]);
    assertEquals(Deno.inspect(v.at), "{ x: 2, y: 3 }");
    const loose = v as unknown as Record<string, unknown>;
    assertThrows(() => loose["hti"] = 1, TypeError, 'Cannot set "hti" of a struct: it has the fields id, at, hits');
    assertThrows(() => Object.assign(v, { ide: 1 }), TypeError, '"ide"');
    assertThrows(() => Object.defineProperty(v, "ide", { value: 1 }), TypeError);
    assertThrows(() => delete loose["id"], TypeError);
    const mistyped = { x: 1, y: 2, z: 3 };
    assertThrows(() => v.at = mistyped, TypeError, 'a field "at.z"');
    assertThrows(() => guard.value = { ...value, ...{ counts: 1 } }, TypeError, 'a field "counts"');
    Object.assign(v.at, { x: 9 });
  }
  assertEquals(arc.read(), { ...value, at: { x: 9, y: 3 } });
});

arcTest("An array of structs refuses what would change its length, before it changes anything", (cell) => {
  using arc = IpcArc.create(cell, items(1, 2, 3, 4, 5, 6, 7), { layout: list });
  {
    using guard = arc.acquireSync();
    const v = guard.value;
    for (
      const change of [
        () => v.push(plain(1)),
        () => v.pop(),
        () => v.shift(),
        () => v.unshift(plain(1)),
        () => v.splice(1, 1),
        () => v.splice(1, 0, plain(1)),
        () => v.length = 3,
        () => v[LENGTH] = plain(1),
        () => delete v[0],
      ]
    ) assertThrows(change, TypeError, "its length is fixed");
    v.length = LENGTH;
    assertEquals(v.splice(0, 0), []);
    assertEquals(v.at(-1)!.id, 7);
    assertEquals([v instanceof Array, Array.isArray(v), v.map(({ id }) => id)], [true, true, [1, 2, 3, 4, 5, 6, 7]]);
  }
  assertEquals(arc.read(), items(1, 2, 3, 4, 5, 6, 7));
});

arcTest("Getters of a value are looked at once, before anything is written", (cell) => {
  const pod = struct({ a: u32, b: u32 });
  using arc = IpcArc.create(cell, { in: { a: 1, b: 2 } }, { layout: struct({ in: pod }) });
  using guard = arc.acquireSync();
  let looks = 0;
  guard.value.in = {
    a: 3,
    get b() {
      return looks++ === 0 ? 4 : -1;
    },
  };
  assertEquals([guard.value.in.a, guard.value.in.b, looks], [3, 4, 1]);
  const view = guard.value.in;
  assertEquals(
    codeOf(() =>
      guard.value.in = {
        a: 5,
        get b() {
          guard.release();
          return 6;
        },
      }
    ),
    "Closed",
  );
  assertEquals(codeOf(() => view.a), "Closed");
  assertEquals(arc.read(), { in: { a: 3, b: 4 } });
});
