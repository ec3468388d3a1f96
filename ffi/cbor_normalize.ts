// Turns any value that can be sent into one that cbor-x writes as it should be read again.
//
// Everything that runs code of the user's (toJSON, getters of classes) runs here, before cbor-x starts: cbor-x keeps its state in
// its module, and a nested message would be written into the middle of the outer one.
import { NegativeZero, Reference, Shareable, Tag } from "./cbor_instance.ts";
import { type Collect, GENERIC_OBJECT } from "./cbor_write.ts";
import { IpcError } from "./error.ts";
import { IpcFd } from "./fd.ts";
import { PACK } from "./pack.ts";
import { ERRORS } from "./standard_errors.ts";

const NEGATIVE_ZERO = new NegativeZero();

const TWO_64 = 1n << 64n;

/** What `structuredClone` refuses, and what would silently become an empty object. */
const REFUSED: readonly (readonly [string, abstract new (...args: never[]) => object])[] = [
  ["a Promise", Promise],
  ["a WeakMap", WeakMap],
  ["a WeakSet", WeakSet],
  ["a WeakRef", WeakRef],
  ["a Blob", Blob],
  ["a ReadableStream", ReadableStream],
  ["a WritableStream", WritableStream],
  ["a MessagePort", MessagePort],
  ["an AbortSignal", AbortSignal],
  ["a Request", Request],
  ["a Response", Response],
];

/** Rebuilds a value out of what cbor-x writes right. */
export function normalize(value: unknown, collect: Collect | undefined): unknown {
  return new Normalizer(collect).node(value, undefined);
}

/** Where in the value the walk is, kept as a list from the inside out, and written only for an error. */
interface Path {
  readonly parent: Path | undefined;
  readonly step: string;
}

function pathText(path: Path | undefined): string {
  let text = "";
  for (; path !== undefined; path = path.parent) text = path.step + text;
  return "value" + text;
}

function refuse(what: string, path: Path | undefined): never {
  throw new IpcError(
    "Serialization",
    `Cannot encode ${what} at ${pathText(path)}: send what structuredClone takes, or an endpoint, memory or descriptor`,
  );
}

class Normalizer {
  readonly #collect: Collect | undefined;
  readonly #known = new Map<object, Shareable>();

  constructor(collect: Collect | undefined) {
    this.#collect = collect;
  }

  node(value: unknown, path: Path | undefined): unknown {
    switch (typeof value) {
      case "number":
        return Object.is(value, -0) ? NEGATIVE_ZERO : value;
      case "bigint":
        return value < TWO_64 && value >= -TWO_64 ? value : bigInteger(value);
      case "function":
        return refuse(value.name ? `the function "${value.name}"` : "a function", path);
      case "symbol":
        return refuse(`the symbol ${String(value)}`, path);
      case "object":
        return value === null ? null : this.#object(value, path);
      default:
        return value;
    }
  }

  #object(object: object, path: Path | undefined): unknown {
    const known = this.#known.get(object);
    if (known !== undefined) {
      known.shared = true;
      return new Reference(known);
    }
    const entry = new Shareable(undefined);
    this.#known.set(object, entry); // before its content, which may refer back to it
    entry.value = this.#content(object, path);
    return entry;
  }

  #content(object: object, path: Path | undefined): unknown {
    const collected = this.#collect?.(object);
    if (collected !== undefined) return new Tag(collected, GENERIC_OBJECT);
    if (PACK in object || object instanceof IpcFd) {
      // Nobody here to take its descriptors: as an object without properties it would be lost without a word.
      throw new IpcError(
        "Serialization",
        `Cannot encode an endpoint, shared memory or a descriptor at ${pathText(path)}: they travel in messages alone`,
      );
    }
    if (Array.isArray(object)) {
      return Array.from(object, (item, i) => this.node(item, { parent: path, step: `[${i}]` }));
    }
    if (object instanceof Map) {
      const map = new Map();
      let i = 0;
      for (const [key, item] of object) {
        const at = `.entries()[${i++}]`;
        map.set(
          this.node(key, { parent: path, step: at + "[0]" }),
          this.node(item, { parent: path, step: at + "[1]" }),
        );
      }
      return map;
    }
    if (object instanceof Set) {
      let i = 0;
      return new Tag(
        Array.from(object, (item) => this.node(item, { parent: path, step: `.values()[${i++}]` })),
        258,
      );
    }
    if (object instanceof Date) return new Date(object.getTime());
    if (object instanceof RegExp) return new Tag(["RegExp", object.source, object.flags], GENERIC_OBJECT);
    if (object instanceof Error) return this.#error(object, path);
    if (ArrayBuffer.isView(object)) return view(object);
    if (
      object instanceof ArrayBuffer || (typeof SharedArrayBuffer === "function" && object instanceof SharedArrayBuffer)
    ) {
      return new Tag(["ArrayBuffer", new Uint8Array(object)], GENERIC_OBJECT);
    }
    if (object instanceof Number || object instanceof String || object instanceof Boolean) {
      return this.node(object.valueOf(), path);
    }
    for (const [what, refused] of REFUSED) if (object instanceof refused) refuse(what, path);
    const { toJSON } = object as { toJSON?: unknown };
    if (typeof toJSON === "function") {
      const json: unknown = toJSON.call(object, "");
      if (json !== object) return this.node(json, { parent: path, step: ".toJSON()" });
    }
    const copy: Record<string, unknown> = {};
    for (const key of Object.keys(object)) {
      const item = this.node((object as Record<string, unknown>)[key], { parent: path, step: property(key) });
      // Assigning to "__proto__" would set the prototype instead.
      if (key === "__proto__") Object.defineProperty(copy, key, { value: item, enumerable: true });
      else copy[key] = item;
    }
    return copy;
  }

  #error(error: Error, path: Path | undefined): unknown {
    const details: Record<string, unknown> = {};
    if (typeof error.stack === "string") details["stack"] = error.stack;
    if ("cause" in error) details["cause"] = this.node(error.cause, { parent: path, step: ".cause" });
    // As structuredClone: the class survives for the standard ones, the others become Error.
    const name = Object.hasOwn(ERRORS, error.name) ? error.name : "Error";
    return new Tag([name, error.message, details], GENERIC_OBJECT);
  }
}

function property(key: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}

/** Views that cbor-x writes as typed arrays (RFC 8746) pass; the two that it does not know get a form of their own. */
function view(object: ArrayBufferView): unknown {
  const bytes = new Uint8Array(object.buffer, object.byteOffset, object.byteLength);
  if (object instanceof DataView) return new Tag(["DataView", bytes], GENERIC_OBJECT);
  const tag = Object.prototype.toString.call(object);
  if (tag === "[object Uint8Array]") return bytes; // also for subclasses, such as Node's Buffer
  if (tag === "[object Float16Array]") return new Tag(bytes, 84);
  return object;
}

/** Tags 2 and 3. By way of hexadecimal digits, since shifting out byte by byte takes time by the square. */
function bigInteger(value: bigint): unknown {
  const magnitude = value < 0n ? -1n - value : value;
  let digits = magnitude.toString(16);
  if (digits.length % 2 === 1) digits = "0" + digits;
  const bytes = Uint8Array.fromHex(digits);
  return new Tag(bytes, value < 0n ? 3 : 2);
}
