// Whether a value arrived as structuredClone() would have made it: classes, order and flags of properties, holes, -0, and which
// objects are the same one.
//
// Two things differ on purpose, and are not looked at: a view arrives in memory of its own, so what lies around it in its buffer,
// its offset there, and which views share a buffer (that of a resizable one counts).
import { types } from "node:util";

// deno-lint-ignore no-explicit-any -- values of any shape
type Anything = any;

/** Throws, with the path to the first difference, if `actual` is not what `expected` is. */
export function assertSame(actual: unknown, expected: unknown): void {
  const difference = differenceOf(actual, expected);
  if (difference !== undefined) throw new Error(difference);
}

/** The first difference with the path to it; `undefined` if there is none. Goes to any depth. */
export function differenceOf(actual: unknown, expected: unknown): string | undefined {
  const partner = new Map<unknown, unknown>(), back = new Map<unknown, unknown>();
  const open: [actual: Anything, expected: Anything, path: Path][] = [[actual, expected, { step: "value" }]];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const [a, e, path] = next;
    if (typeof e !== "object" || e === null || typeof a !== "object" || a === null) {
      if (!Object.is(a, e)) return `${text(a)} instead of ${text(e)}, at ${shown(path)}`;
      continue;
    }
    if (partner.has(e) || back.has(a)) {
      if (partner.get(e) !== a || back.get(a) !== e) {
        return `not the same object as where it stood before, at ${shown(path)}`;
      }
      continue;
    }
    partner.set(e, a), back.set(a, e);
    const within: [a: unknown, e: unknown, step: string][] = [];
    const why = compare(a, e, within);
    if (why !== undefined) return `${why}, at ${shown(path)}`;
    for (const [a, e, step] of within) {
      if (typeof e === "object" && e !== null || !Object.is(a, e)) open.push([a, e, { step, before: path }]);
    }
  }
  return undefined;
}

interface Path {
  readonly step: string;
  readonly before?: Path;
}

function shown(path: Path): string {
  const steps: string[] = [];
  for (let at: Path | undefined = path; at !== undefined; at = at.before) steps.push(at.step);
  steps.reverse();
  return (steps.length <= 40 ? steps : [...steps.slice(0, 20), " … ", ...steps.slice(-20)]).join("");
}

/** A short text for any value. */
export function text(value: unknown): string {
  return Deno.inspect(value, { depth: 2, strAbbreviateSize: 60, iterableLimit: 8, showHidden: false }).slice(0, 500);
}

const nameOf = (object: object) => Object.getPrototypeOf(object)?.constructor?.name ?? "no prototype";

const CODE_OF = Object.getOwnPropertyDescriptor(DOMException.prototype, "code")!.get!;

/** What is wrong with an object by itself; what it holds goes to `within`. */
function compare(a: Anything, e: Anything, within: [unknown, unknown, string][]): string | undefined {
  const prototype = Object.getPrototypeOf(e);
  if (Object.getPrototypeOf(a) !== prototype) {
    return `another class: ${nameOf(a)} instead of ${nameOf(e)}`;
  }
  if (Array.isArray(a) !== Array.isArray(e)) return "an array, or none";
  if (types.isDate(e)) within.push([Date.prototype.getTime.call(a), e.getTime(), ".getTime()"]);
  else if (types.isRegExp(e)) {
    for (const  of of["source", "flags", "lastIndex"] as const) within.push([a[of], e[of], `.${of}`]);
    return undefined;
  } else if (types.isMap(e)) {
    if (a.size !== e.size) return `${a.size} entries instead of ${e.size}`;
    const others = [...a];
    let i = 0;
    for (const [key, value] of e) {
      within.push([others[i][0], key, `.entries()[${i}][0]`], [others[i][1], value, `.entries()[${i}][1]`]);
      i++;
    }
  } else if (types.isSet(e)) {
    if (a.size !== e.size) return `${a.size} items instead of ${e.size}`;
    const others = [...a];
    let i = 0;
    for (const item of e) within.push([others[i], item, `.values()[${i}]`]), i++;
  } else if (types.isBoxedPrimitive(e)) within.push([a.valueOf(), (e as Anything).valueOf(), ".valueOf()"]);
  else if (types.isAnyArrayBuffer(e)) {
    const buffer = e as ArrayBuffer;
    if (a.resizable !== buffer.resizable || a.maxByteLength !== buffer.maxByteLength) {
      return "another size, or none, to grow to";
    }
    return bytesDiffer(new Uint8Array(a), new Uint8Array(buffer));
  } else if (ArrayBuffer.isView(e)) {
    return views(a, e as ArrayBufferView<ArrayBuffer>, within);
  } else if (e instanceof DOMException) {
    within.push([a.name, e.name, ".name"], [a.message, e.message, ".message"], [
      CODE_OF.call(a),
      CODE_OF.call(e),
      ".code",
    ]);
    within.push([a.stack, e.stack, ".stack"]);
    return undefined;
  }
  return properties(a, e, within);
}

function views(
  a: ArrayBufferView<ArrayBuffer>,
  e: ArrayBufferView<ArrayBuffer>,
  within: [unknown, unknown, string][],
): string | undefined {
  if (a.buffer.resizable !== e.buffer.resizable) return "its buffer can change its size, or cannot";
  if (e.buffer.resizable) {
    within.push([a.buffer, e.buffer, ".buffer"]);
    within.push([a.byteOffset, e.byteOffset, ".byteOffset"], [a.byteLength, e.byteLength, ".byteLength"]);
  }
  const bytes = (view: ArrayBufferView) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  return bytesDiffer(bytes(a), bytes(e));
}

function bytesDiffer(a: Uint8Array, e: Uint8Array): string | undefined {
  if (a.length !== e.length) return `${a.length} bytes instead of ${e.length}`;
  for (let i = 0; i < e.length; i++) if (a[i] !== e[i]) return `byte ${i} is ${a[i]} instead of ${e[i]}`;
  return undefined;
}

function properties(a: Anything, e: Anything, within: [unknown, unknown, string][]): string | undefined {
  const keys = Reflect.ownKeys(e), others = Reflect.ownKeys(a);
  // The order of those of an error is the engine's affair.
  if (types.isNativeError(e)) keys.sort(), others.sort();
  if (keys.length !== others.length) return `properties ${text(others)} instead of ${text(keys)}`;
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i]!;
    if (others[i] !== key) return `property ${text(others[i])} instead of ${text(key)}`;
    const one = Object.getOwnPropertyDescriptor(a, key)!, other = Object.getOwnPropertyDescriptor(e, key)!;
    if ("value" in one !== "value" in other) return `an accessor for ${text(key)}`;
    for (const flag of ["enumerable", "configurable", "writable"] as const) {
      if (one[flag] !== other[flag]) return `another "${flag}" of ${text(key)}`;
    }
    within.push([one.value, other.value, `[${typeof key === "string" ? JSON.stringify(key) : String(key)}]`]);
  }
  return undefined;
}
