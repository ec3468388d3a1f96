// Puts objects together.
//
// `object[key] = value` is fast only where it has served one key: the engine notes with each place in the code where such
// a property is in the object. A place that serves many takes 15 ns a property, one of its own 2 ns (measured: an object
// of eight, 119 and 16 ns). So the shapes that come often get places of their own, as long as there are some left. They
// are written out, as making code at run time would need `eval`.
//
// deno-lint-ignore-file no-fallthrough
import type { Shape } from "./cbor_names.ts";

/** Places there are; they are numbered from 1. */
const SITES = 64;
/** So often a shape must have come. */
const OFTEN = 32;

let nextSite = 1;

/** Makes an object of the shape. There may be more values than it has properties. */
export function build(shape: Shape, values: readonly unknown[]): Record<string, unknown> {
  const { keys, site } = shape, count = keys.length;
  const object: Record<string, unknown> = {};
  if (count === 0) return object;
  if (site <= 0) {
    for (let i = 0; i < count; i++) object[keys[i]!] = values[i];
    if (site > -OFTEN) shape.site--;
    else if (nextSite + count - 1 <= SITES) shape.site = nextSite, nextSite += count;
    return object;
  }
  let i = 0;
  switch (site) {
    case 1:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 2:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 3:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 4:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 5:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 6:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 7:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 8:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 9:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 10:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 11:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 12:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 13:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 14:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 15:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 16:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 17:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 18:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 19:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 20:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 21:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 22:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 23:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 24:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 25:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 26:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 27:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 28:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 29:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 30:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 31:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 32:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 33:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 34:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 35:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 36:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 37:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 38:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 39:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 40:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 41:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 42:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 43:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 44:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 45:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 46:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 47:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 48:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 49:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 50:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 51:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 52:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 53:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 54:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 55:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 56:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 57:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 58:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 59:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 60:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 61:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 62:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 63:
      object[keys[i]!] = values[i];
      if (++i === count) break;
    case 64:
      object[keys[i]!] = values[i];
      if (++i === count) break;
  }
  return object;
}
