// Puts objects together.
//
// `object[key] = value` is fast only where it has served one key: the engine notes with each place in the code where such
// a property is in the object. A place that serves many takes 15 ns a property, one of its own 2 ns (measured: an object
// of eight, 119 and 20 ns). So the shapes that come often get places of their own, as long as there are some left. They
// are written out, as making code at run time would need `eval`; and each in a row of which nothing leads into the middle,
// so that the compiler knows what the object looks like after each of them.
import type { Row, Shape } from "./property_names.ts";

/** So often a shape must have come. */
const OFTEN = 32;

/** Makes an object of the shape. There may be more values than it has properties. */
export function build(shape: Shape, values: readonly unknown[]): Record<string, unknown> {
  const { keys, row } = shape, count = keys.length;
  const object: Record<string, unknown> = {};
  if (row === undefined) {
    for (let i = 0; i < count; i++) object[keys[i]!] = values[i];
    if (++shape.built === OFTEN && count > 0) giveRows(shape);
    return object;
  }
  row(object, keys, values, 0, count);
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

const ROWS: readonly Row[] = [
  (object, keys, values, at, count) => {
    object[keys[at]!] = values[at];
    if (count === 1) return;
    object[keys[at + 1]!] = values[at + 1];
    if (count === 2) return;
    object[keys[at + 2]!] = values[at + 2];
    if (count === 3) return;
    object[keys[at + 3]!] = values[at + 3];
    if (count === 4) return;
    object[keys[at + 4]!] = values[at + 4];
    if (count === 5) return;
    object[keys[at + 5]!] = values[at + 5];
    if (count === 6) return;
    object[keys[at + 6]!] = values[at + 6];
    if (count === 7) return;
    object[keys[at + 7]!] = values[at + 7];
  },
  (object, keys, values, at, count) => {
    object[keys[at]!] = values[at];
    if (count === 1) return;
    object[keys[at + 1]!] = values[at + 1];
    if (count === 2) return;
    object[keys[at + 2]!] = values[at + 2];
    if (count === 3) return;
    object[keys[at + 3]!] = values[at + 3];
    if (count === 4) return;
    object[keys[at + 4]!] = values[at + 4];
    if (count === 5) return;
    object[keys[at + 5]!] = values[at + 5];
    if (count === 6) return;
    object[keys[at + 6]!] = values[at + 6];
    if (count === 7) return;
    object[keys[at + 7]!] = values[at + 7];
  },
  (object, keys, values, at, count) => {
    object[keys[at]!] = values[at];
    if (count === 1) return;
    object[keys[at + 1]!] = values[at + 1];
    if (count === 2) return;
    object[keys[at + 2]!] = values[at + 2];
    if (count === 3) return;
    object[keys[at + 3]!] = values[at + 3];
    if (count === 4) return;
    object[keys[at + 4]!] = values[at + 4];
    if (count === 5) return;
    object[keys[at + 5]!] = values[at + 5];
    if (count === 6) return;
    object[keys[at + 6]!] = values[at + 6];
    if (count === 7) return;
    object[keys[at + 7]!] = values[at + 7];
  },
  (object, keys, values, at, count) => {
    object[keys[at]!] = values[at];
    if (count === 1) return;
    object[keys[at + 1]!] = values[at + 1];
    if (count === 2) return;
    object[keys[at + 2]!] = values[at + 2];
    if (count === 3) return;
    object[keys[at + 3]!] = values[at + 3];
    if (count === 4) return;
    object[keys[at + 4]!] = values[at + 4];
    if (count === 5) return;
    object[keys[at + 5]!] = values[at + 5];
    if (count === 6) return;
    object[keys[at + 6]!] = values[at + 6];
    if (count === 7) return;
    object[keys[at + 7]!] = values[at + 7];
  },
  (object, keys, values, at, count) => {
    object[keys[at]!] = values[at];
    if (count === 1) return;
    object[keys[at + 1]!] = values[at + 1];
    if (count === 2) return;
    object[keys[at + 2]!] = values[at + 2];
    if (count === 3) return;
    object[keys[at + 3]!] = values[at + 3];
    if (count === 4) return;
    object[keys[at + 4]!] = values[at + 4];
    if (count === 5) return;
    object[keys[at + 5]!] = values[at + 5];
    if (count === 6) return;
    object[keys[at + 6]!] = values[at + 6];
    if (count === 7) return;
    object[keys[at + 7]!] = values[at + 7];
  },
  (object, keys, values, at, count) => {
    object[keys[at]!] = values[at];
    if (count === 1) return;
    object[keys[at + 1]!] = values[at + 1];
    if (count === 2) return;
    object[keys[at + 2]!] = values[at + 2];
    if (count === 3) return;
    object[keys[at + 3]!] = values[at + 3];
    if (count === 4) return;
    object[keys[at + 4]!] = values[at + 4];
    if (count === 5) return;
    object[keys[at + 5]!] = values[at + 5];
    if (count === 6) return;
    object[keys[at + 6]!] = values[at + 6];
    if (count === 7) return;
    object[keys[at + 7]!] = values[at + 7];
  },
  (object, keys, values, at, count) => {
    object[keys[at]!] = values[at];
    if (count === 1) return;
    object[keys[at + 1]!] = values[at + 1];
    if (count === 2) return;
    object[keys[at + 2]!] = values[at + 2];
    if (count === 3) return;
    object[keys[at + 3]!] = values[at + 3];
    if (count === 4) return;
    object[keys[at + 4]!] = values[at + 4];
    if (count === 5) return;
    object[keys[at + 5]!] = values[at + 5];
    if (count === 6) return;
    object[keys[at + 6]!] = values[at + 6];
    if (count === 7) return;
    object[keys[at + 7]!] = values[at + 7];
  },
  (object, keys, values, at, count) => {
    object[keys[at]!] = values[at];
    if (count === 1) return;
    object[keys[at + 1]!] = values[at + 1];
    if (count === 2) return;
    object[keys[at + 2]!] = values[at + 2];
    if (count === 3) return;
    object[keys[at + 3]!] = values[at + 3];
    if (count === 4) return;
    object[keys[at + 4]!] = values[at + 4];
    if (count === 5) return;
    object[keys[at + 5]!] = values[at + 5];
    if (count === 6) return;
    object[keys[at + 6]!] = values[at + 6];
    if (count === 7) return;
    object[keys[at + 7]!] = values[at + 7];
  },
  (object, keys, values, at, count) => {
    object[keys[at]!] = values[at];
    if (count === 1) return;
    object[keys[at + 1]!] = values[at + 1];
    if (count === 2) return;
    object[keys[at + 2]!] = values[at + 2];
    if (count === 3) return;
    object[keys[at + 3]!] = values[at + 3];
    if (count === 4) return;
    object[keys[at + 4]!] = values[at + 4];
    if (count === 5) return;
    object[keys[at + 5]!] = values[at + 5];
    if (count === 6) return;
    object[keys[at + 6]!] = values[at + 6];
    if (count === 7) return;
    object[keys[at + 7]!] = values[at + 7];
  },
  (object, keys, values, at, count) => {
    object[keys[at]!] = values[at];
    if (count === 1) return;
    object[keys[at + 1]!] = values[at + 1];
    if (count === 2) return;
    object[keys[at + 2]!] = values[at + 2];
    if (count === 3) return;
    object[keys[at + 3]!] = values[at + 3];
    if (count === 4) return;
    object[keys[at + 4]!] = values[at + 4];
    if (count === 5) return;
    object[keys[at + 5]!] = values[at + 5];
    if (count === 6) return;
    object[keys[at + 6]!] = values[at + 6];
    if (count === 7) return;
    object[keys[at + 7]!] = values[at + 7];
  },
  (object, keys, values, at, count) => {
    object[keys[at]!] = values[at];
    if (count === 1) return;
    object[keys[at + 1]!] = values[at + 1];
    if (count === 2) return;
    object[keys[at + 2]!] = values[at + 2];
    if (count === 3) return;
    object[keys[at + 3]!] = values[at + 3];
    if (count === 4) return;
    object[keys[at + 4]!] = values[at + 4];
    if (count === 5) return;
    object[keys[at + 5]!] = values[at + 5];
    if (count === 6) return;
    object[keys[at + 6]!] = values[at + 6];
    if (count === 7) return;
    object[keys[at + 7]!] = values[at + 7];
  },
  (object, keys, values, at, count) => {
    object[keys[at]!] = values[at];
    if (count === 1) return;
    object[keys[at + 1]!] = values[at + 1];
    if (count === 2) return;
    object[keys[at + 2]!] = values[at + 2];
    if (count === 3) return;
    object[keys[at + 3]!] = values[at + 3];
    if (count === 4) return;
    object[keys[at + 4]!] = values[at + 4];
    if (count === 5) return;
    object[keys[at + 5]!] = values[at + 5];
    if (count === 6) return;
    object[keys[at + 6]!] = values[at + 6];
    if (count === 7) return;
    object[keys[at + 7]!] = values[at + 7];
  },
];
