// What must hold for every value and every message.
import { getHeapStatistics } from "node:v8";
import { decodeCbor, encodeCbor } from "../../cbor/mod.ts";
import { decode } from "../../cbor/strict_reader.ts";
import { copyOf, NOT_PLAIN, readPlain } from "../../cbor/plain_reader.ts";
import { IpcError } from "../../mod.ts";
import { ValueMaker } from "../support/any_value.ts";
import type { Choices } from "../support/choices.ts";
import { patience } from "../support/patience.ts";
import { differenceOf, text } from "../support/same.ts";
import { judge } from "./well_formed.ts";
import { anyMessage } from "./bytes.ts";

/** What a check found: what is wrong, and with what. */
export interface Finding {
  readonly wrong: string;
  readonly with: string;
}

/** A check of what choices make; `undefined` if all is well. */
export type Check = (choices: Choices) => Finding | undefined;

/** A value arrives as structuredClone() makes it, alone and beside others, by either reader. */
export function checkValue(choices: Choices): Finding | undefined {
  const maker = new ValueMaker(choices);
  const value = choices.below(16) === 15 ? maker.deepValue() : maker.value();
  const found = (wrong: string) => ({
    wrong,
    with: Deno.inspect(value, { depth: 6, strAbbreviateSize: 100 }).slice(0, 2000),
  });
  const expected = structuredClone(value);
  try {
    const bytes = Uint8Array.from(encodeCbor(value));
    let difference = differenceOf(decodeCbor(bytes), expected);
    if (difference !== undefined) return found(difference);
    difference = differenceOf(decode(bytes, 0, bytes.length, copyOf, undefined), expected);
    if (difference !== undefined) return found(`by the strict reader: ${difference}`);
    // With something that is not plain before it, so that it is shifted, and shared with what stands behind it.
    const around = [new Map([[value, value]]), value];
    difference = differenceOf(decodeCbor(Uint8Array.from(encodeCbor(around))), structuredClone(around));
    if (difference !== undefined) return found(`beside a Map: ${difference}`);
    if (!judge(bytes).wellFormed) return found(`what is written is not well-formed: ${bytes.toHex().slice(0, 200)}`);
  } catch (error) {
    return found(`${error}${error instanceof IpcError ? "" : (error as Error).stack}`);
  }
  return undefined;
}

/** A message is read or refused by one set of rules, in time, without much memory, and what it gives is nothing but data. */
export function checkMessage(choices: Choices): Finding | undefined {
  const bytes = anyMessage(choices);
  const wrong = wrongWith(bytes);
  return wrong === undefined ? undefined : { wrong, with: bytes.toHex() };
}

const REFUSED = Symbol("refused");

function tryRead(read: () => unknown): unknown {
  try {
    return read();
  } catch (error) {
    if (error instanceof IpcError && (error.code === "Serialization" || error.code === "TooLarge")) return REFUSED;
    throw error;
  }
}

/** Milliseconds that a message of so many bytes may take: 1 µs a byte, and 300 µs, as refusing one makes errors of 50 to 90. */
const allowed = (length: number) => length / 1000 + 0.3;

/** Turns in which a message that took long is tried again: what is slow is so every time. */
const AGAIN = 50;

/** What is wrong with how a message is read. */
export function wrongWith(bytes: Uint8Array<ArrayBuffer>): string | undefined {
  const judgement = judge(bytes);
  let value: unknown;
  try {
    const before = memory(), began = performance.now();
    value = tryRead(() => decodeCbor(bytes));
    let took = performance.now() - began;
    const used = memory() - before;
    if (took > allowed(bytes.length)) {
      for (let i = 0; i < AGAIN && took > allowed(bytes.length); i++) {
        const again = performance.now();
        tryRead(() => decodeCbor(bytes));
        took = Math.min(took, performance.now() - again);
      }
      if (took > patience(allowed(bytes.length))) return `${bytes.length} bytes take ${took.toFixed(3)} ms`;
    }
    // What other work of the isolate takes in between is in it: what counts is what it takes every time.
    if (used > 64 * bytes.length + (1 << 20)) {
      const least = Math.min(used, ...Array.from({ length: 5 }, () => usedBy(() => tryRead(() => decodeCbor(bytes)))));
      if (least > 64 * bytes.length + (1 << 20)) return `${bytes.length} bytes take ${least} bytes of memory`;
    }
  } catch (error) {
    return `not an IpcError: ${(error as Error)?.stack ?? error}`;
  }
  const sound = judgement.wellFormed && judgement.utf8;
  if (!sound && value !== REFUSED) {
    return `read, although ${judgement.wellFormed ? "no UTF-8" : "not well-formed"}: ${text(value)}`;
  }
  if (sound && !judgement.tagged && value === REFUSED) return "refused, although well-formed and without tags";
  // The fast reader, if it takes it, by the same rules as the strict one.
  let plain: unknown, strict: unknown = REFUSED;
  try {
    plain = readPlain(bytes, 0, bytes.length, copyOf);
  } catch (error) {
    return `the fast reader throws ${error}`;
  }
  try {
    strict = decode(bytes, 0, bytes.length, copyOf, undefined);
  } catch {
    // refused
  }
  if ((strict === REFUSED) !== (value === REFUSED)) return "refused by one reader alone";
  if (value === REFUSED) return undefined;
  if (plain !== NOT_PLAIN) {
    const difference = differenceOf(plain, strict);
    if (difference !== undefined) return `the readers differ: ${difference}`;
  }
  return notData(value) ?? notAgain(value);
}

function usedBy(act: () => unknown): number {
  const before = memory();
  act();
  return memory() - before;
}

function memory(): number {
  const { used_heap_size, external_memory } = getHeapStatistics();
  return used_heap_size + external_memory;
}

const PROTOTYPES = new Set<unknown>([
  ...[Object, Array, Map, Set, Date, RegExp, ArrayBuffer, DataView, Number, String, Boolean, BigInt, DOMException],
  ...[Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError],
  ...[Uint8Array, Int8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array, BigInt64Array],
  ...[BigUint64Array, Float16Array, Float32Array, Float64Array],
].map(({ prototype }) => prototype));

/** What in a value is more than data. */
function notData(value: unknown): string | undefined {
  const seen = new Set<unknown>(), open: unknown[] = [value];
  for (let at = 0; at < open.length; at++) {
    const next = open[at];
    if (typeof next === "function" || typeof next === "symbol") return `a ${typeof next} came out: ${String(next)}`;
    if (typeof next !== "object" || next === null || seen.has(next)) continue;
    seen.add(next);
    if (PROTOTYPES.has(next)) return "a prototype came out";
    if (!PROTOTYPES.has(Object.getPrototypeOf(next))) return `an object with a prototype of its own: ${text(next)}`;
    if (ArrayBuffer.isView(next) || next instanceof DOMException) continue;
    if (next instanceof Map) { for (const [key, item] of next) open.push(key, item); }
    if (next instanceof Set) open.push(...next);
    for (const key of Object.keys(next)) open.push((next as Record<string, unknown>)[key]);
    if (next instanceof Error) open.push(next.cause);
  }
  for (const  of of[Object.prototype, Array.prototype, Map.prototype]) {
    if (Object.keys(of).length > 0) return `properties were left on a prototype: ${Object.keys(of)}`;
  }
  return undefined;
}

/** What was read can be sent, and arrives as it is. */
function notAgain(value: unknown): string | undefined {
  try {
    const difference = differenceOf(decodeCbor(Uint8Array.from(encodeCbor(value))), value);
    return difference === undefined ? undefined : `sent on, it is another: ${difference}`;
  } catch (error) {
    const { message } = error as Error;
    // The limit is by the length of the message, and this one is shorter.
    return /may grow/.test(message) ? undefined : `it cannot be sent on: ${message}`;
  }
}
