// Puts objects together.
//
// `object[key] = value` is fast only where it has served one key: the engine notes with each place in the code where such
// a property is in the object. A place that serves many takes 15 ns a property, one of its own 2 ns (measured: an object
// of eight, 119 and 20 ns). So the shapes that come often get places of their own, as long as there are some left. They
// are written out, as making code at run time would need `eval`; and each in a row of which nothing leads into the middle,
// so that the compiler knows what the object looks like after each of them.
//
// A row begins with an object that has room for as many properties as its shape has: what `{}` makes has room for four, and
// those behind them are moved again and again (measured: eight properties 36 and 25 ns; reading twenty 1.6 and 0.5 µs).
import type { Row, Shape } from "./property_names.ts";

/** So often a shape must have come. */
const OFTEN = 32;

/** Makes an object of the shape. There may be more values than it has properties. */
export function build(shape: Shape, values: readonly unknown[]): Record<string, unknown> {
  const { keys, row } = shape, count = keys.length;
  if (row === undefined) {
    const object: Record<string, unknown> = {};
    for (let i = 0; i < count; i++) object[keys[i]!] = values[i];
    if (++shape.built === OFTEN && count > 0) giveRows(shape);
    return object;
  }
  const object = row(undefined, keys, values, 0, count);
  for (let i = 8, { more } = shape; i < count; i += 8) more[(i >> 3) - 1]!(object, keys, values, i, count - i);
  return object;
}

let rowsGiven = 0;

function giveRows(shape: Shape): void {
  const needed = Math.ceil(shape.keys.length / 8);
  if (rowsGiven + needed > ROWS.length) return;
  shape.row = ROWS[rowsGiven];
  shape.more = ROWS.slice(rowsGiven + 1, rowsGiven + needed);
  rowsGiven += needed;
}

type Eight = Record<"a" | "b" | "c" | "d" | "e" | "f" | "g" | "h", unknown>;
type Maker = new (never?: true) => Record<string, unknown>;

/**
 * Makes a constructor of plain objects for one row. The engine gives room for the properties that it sees in the code, and
 * some more; and after the first few objects, for as many as those have.
 */
function maker(): Maker {
  const make = function Object(this: Partial<Eight>, never?: true): void {
    if (never) {
      this.a =
        this.b =
        this.c =
        this.d =
        this.e =
        this.f =
        this.g =
        this.h =
          undefined;
    }
  };
  make.prototype = Object.prototype;
  return make as unknown as Maker;
}

const Object0 = maker(), Object1 = maker(), Object2 = maker();
const Object3 = maker(), Object4 = maker(), Object5 = maker();
const Object6 = maker(), Object7 = maker(), Object8 = maker();
const Object9 = maker(), Object10 = maker(), Object11 = maker();

const ROWS: readonly Row[] = [
  (begun, keys, values, at, count) => {
    const object = begun ?? new Object0();
    object[keys[at]!] = values[at];
    if (count === 1) return object;
    object[keys[at + 1]!] = values[at + 1];
    if (count === 2) return object;
    object[keys[at + 2]!] = values[at + 2];
    if (count === 3) return object;
    object[keys[at + 3]!] = values[at + 3];
    if (count === 4) return object;
    object[keys[at + 4]!] = values[at + 4];
    if (count === 5) return object;
    object[keys[at + 5]!] = values[at + 5];
    if (count === 6) return object;
    object[keys[at + 6]!] = values[at + 6];
    if (count === 7) return object;
    object[keys[at + 7]!] = values[at + 7];
    return object;
  },
  (begun, keys, values, at, count) => {
    const object = begun ?? new Object1();
    object[keys[at]!] = values[at];
    if (count === 1) return object;
    object[keys[at + 1]!] = values[at + 1];
    if (count === 2) return object;
    object[keys[at + 2]!] = values[at + 2];
    if (count === 3) return object;
    object[keys[at + 3]!] = values[at + 3];
    if (count === 4) return object;
    object[keys[at + 4]!] = values[at + 4];
    if (count === 5) return object;
    object[keys[at + 5]!] = values[at + 5];
    if (count === 6) return object;
    object[keys[at + 6]!] = values[at + 6];
    if (count === 7) return object;
    object[keys[at + 7]!] = values[at + 7];
    return object;
  },
  (begun, keys, values, at, count) => {
    const object = begun ?? new Object2();
    object[keys[at]!] = values[at];
    if (count === 1) return object;
    object[keys[at + 1]!] = values[at + 1];
    if (count === 2) return object;
    object[keys[at + 2]!] = values[at + 2];
    if (count === 3) return object;
    object[keys[at + 3]!] = values[at + 3];
    if (count === 4) return object;
    object[keys[at + 4]!] = values[at + 4];
    if (count === 5) return object;
    object[keys[at + 5]!] = values[at + 5];
    if (count === 6) return object;
    object[keys[at + 6]!] = values[at + 6];
    if (count === 7) return object;
    object[keys[at + 7]!] = values[at + 7];
    return object;
  },
  (begun, keys, values, at, count) => {
    const object = begun ?? new Object3();
    object[keys[at]!] = values[at];
    if (count === 1) return object;
    object[keys[at + 1]!] = values[at + 1];
    if (count === 2) return object;
    object[keys[at + 2]!] = values[at + 2];
    if (count === 3) return object;
    object[keys[at + 3]!] = values[at + 3];
    if (count === 4) return object;
    object[keys[at + 4]!] = values[at + 4];
    if (count === 5) return object;
    object[keys[at + 5]!] = values[at + 5];
    if (count === 6) return object;
    object[keys[at + 6]!] = values[at + 6];
    if (count === 7) return object;
    object[keys[at + 7]!] = values[at + 7];
    return object;
  },
  (begun, keys, values, at, count) => {
    const object = begun ?? new Object4();
    object[keys[at]!] = values[at];
    if (count === 1) return object;
    object[keys[at + 1]!] = values[at + 1];
    if (count === 2) return object;
    object[keys[at + 2]!] = values[at + 2];
    if (count === 3) return object;
    object[keys[at + 3]!] = values[at + 3];
    if (count === 4) return object;
    object[keys[at + 4]!] = values[at + 4];
    if (count === 5) return object;
    object[keys[at + 5]!] = values[at + 5];
    if (count === 6) return object;
    object[keys[at + 6]!] = values[at + 6];
    if (count === 7) return object;
    object[keys[at + 7]!] = values[at + 7];
    return object;
  },
  (begun, keys, values, at, count) => {
    const object = begun ?? new Object5();
    object[keys[at]!] = values[at];
    if (count === 1) return object;
    object[keys[at + 1]!] = values[at + 1];
    if (count === 2) return object;
    object[keys[at + 2]!] = values[at + 2];
    if (count === 3) return object;
    object[keys[at + 3]!] = values[at + 3];
    if (count === 4) return object;
    object[keys[at + 4]!] = values[at + 4];
    if (count === 5) return object;
    object[keys[at + 5]!] = values[at + 5];
    if (count === 6) return object;
    object[keys[at + 6]!] = values[at + 6];
    if (count === 7) return object;
    object[keys[at + 7]!] = values[at + 7];
    return object;
  },
  (begun, keys, values, at, count) => {
    const object = begun ?? new Object6();
    object[keys[at]!] = values[at];
    if (count === 1) return object;
    object[keys[at + 1]!] = values[at + 1];
    if (count === 2) return object;
    object[keys[at + 2]!] = values[at + 2];
    if (count === 3) return object;
    object[keys[at + 3]!] = values[at + 3];
    if (count === 4) return object;
    object[keys[at + 4]!] = values[at + 4];
    if (count === 5) return object;
    object[keys[at + 5]!] = values[at + 5];
    if (count === 6) return object;
    object[keys[at + 6]!] = values[at + 6];
    if (count === 7) return object;
    object[keys[at + 7]!] = values[at + 7];
    return object;
  },
  (begun, keys, values, at, count) => {
    const object = begun ?? new Object7();
    object[keys[at]!] = values[at];
    if (count === 1) return object;
    object[keys[at + 1]!] = values[at + 1];
    if (count === 2) return object;
    object[keys[at + 2]!] = values[at + 2];
    if (count === 3) return object;
    object[keys[at + 3]!] = values[at + 3];
    if (count === 4) return object;
    object[keys[at + 4]!] = values[at + 4];
    if (count === 5) return object;
    object[keys[at + 5]!] = values[at + 5];
    if (count === 6) return object;
    object[keys[at + 6]!] = values[at + 6];
    if (count === 7) return object;
    object[keys[at + 7]!] = values[at + 7];
    return object;
  },
  (begun, keys, values, at, count) => {
    const object = begun ?? new Object8();
    object[keys[at]!] = values[at];
    if (count === 1) return object;
    object[keys[at + 1]!] = values[at + 1];
    if (count === 2) return object;
    object[keys[at + 2]!] = values[at + 2];
    if (count === 3) return object;
    object[keys[at + 3]!] = values[at + 3];
    if (count === 4) return object;
    object[keys[at + 4]!] = values[at + 4];
    if (count === 5) return object;
    object[keys[at + 5]!] = values[at + 5];
    if (count === 6) return object;
    object[keys[at + 6]!] = values[at + 6];
    if (count === 7) return object;
    object[keys[at + 7]!] = values[at + 7];
    return object;
  },
  (begun, keys, values, at, count) => {
    const object = begun ?? new Object9();
    object[keys[at]!] = values[at];
    if (count === 1) return object;
    object[keys[at + 1]!] = values[at + 1];
    if (count === 2) return object;
    object[keys[at + 2]!] = values[at + 2];
    if (count === 3) return object;
    object[keys[at + 3]!] = values[at + 3];
    if (count === 4) return object;
    object[keys[at + 4]!] = values[at + 4];
    if (count === 5) return object;
    object[keys[at + 5]!] = values[at + 5];
    if (count === 6) return object;
    object[keys[at + 6]!] = values[at + 6];
    if (count === 7) return object;
    object[keys[at + 7]!] = values[at + 7];
    return object;
  },
  (begun, keys, values, at, count) => {
    const object = begun ?? new Object10();
    object[keys[at]!] = values[at];
    if (count === 1) return object;
    object[keys[at + 1]!] = values[at + 1];
    if (count === 2) return object;
    object[keys[at + 2]!] = values[at + 2];
    if (count === 3) return object;
    object[keys[at + 3]!] = values[at + 3];
    if (count === 4) return object;
    object[keys[at + 4]!] = values[at + 4];
    if (count === 5) return object;
    object[keys[at + 5]!] = values[at + 5];
    if (count === 6) return object;
    object[keys[at + 6]!] = values[at + 6];
    if (count === 7) return object;
    object[keys[at + 7]!] = values[at + 7];
    return object;
  },
  (begun, keys, values, at, count) => {
    const object = begun ?? new Object11();
    object[keys[at]!] = values[at];
    if (count === 1) return object;
    object[keys[at + 1]!] = values[at + 1];
    if (count === 2) return object;
    object[keys[at + 2]!] = values[at + 2];
    if (count === 3) return object;
    object[keys[at + 3]!] = values[at + 3];
    if (count === 4) return object;
    object[keys[at + 4]!] = values[at + 4];
    if (count === 5) return object;
    object[keys[at + 5]!] = values[at + 5];
    if (count === 6) return object;
    object[keys[at + 6]!] = values[at + 6];
    if (count === 7) return object;
    object[keys[at + 7]!] = values[at + 7];
    return object;
  },
];
