// What is refused on either side: the limits that hold for writing and for reading alike, so that nothing is sent that
// nobody can read, and how a value that cannot be sent is reported. Imports nothing but the error.
import { IpcError } from "../base/error.ts";

/** Most levels of items within one another. */
export const MAX_DEPTH = 10_000;
/** The same in what is written: an error, or an array with holes, has its parts two items deeper than itself. */
export const MAX_ITEM_DEPTH = 2 * MAX_DEPTH + 2;

/** Bytes of address space that resizable buffers in a message of so many bytes may reserve. */
export function reservable(length: number): number {
  return (16 << 20) + 64 * length;
}

// --- Regular expressions ---------------------------------------------------------------------------------------------
//
// The engine reads the source when the object is made, and for some it takes far longer than the source is long (measured:
// a property of strings 2.5 ms, 22 ms the first time; a property of characters 0.2 ms; with the flag v a class takes time by
// the square of its length, 0.2 s for 8,000 characters; so do references to names that occur many times).

/** Most characters of a source; of one with the flag `v`. */
const SOURCE = 16 << 10, SOURCE_V = 512;
/** Most properties of characters, `\p{…}`, in one source. */
const PROPERTIES = 16;
/** Most pairs of a named group and a reference to a name. */
const PAIRS = 1 << 14;

const count = (source: string, what: string) => source.split(what).length - 1;

/** What is wrong with a regular expression that must not be made out of a message; `undefined` if nothing is. */
export function tooCostly(source: string, flags: string): string | undefined {
  const limit = flags.includes("v") ? SOURCE_V : SOURCE;
  if (source.length > limit) return `${source.length} characters, and ${limit} are the most`;
  const properties = count(source, "\\p") + count(source, "\\P");
  if (properties > PROPERTIES) return `${properties} properties of characters, and ${PROPERTIES} are the most`;
  if (flags.includes("v") && /\\[pP]\{(?:RGI_|Basic_Emoji|Emoji_Keycap)/.test(source)) return "a property of strings";
  if (count(source, "(?<") * count(source, "\\k") > PAIRS) return "too many references to named groups";
  return undefined;
}

// --- Values that cannot be sent --------------------------------------------------------------------------------------

/** Returned, in place of where to go on, for what cannot be sent. */
export const REFUSED = -1;

let refusedWhat = "", advice = "";
const steps: string[] = [];

/** Notes what cannot be sent, and what to send instead. */
export function refuse(what: string, instead: string): typeof REFUSED {
  refusedWhat = what;
  advice = instead;
  steps.length = 0;
  return REFUSED;
}

/** The same, of what is nested too deeply. */
export function tooDeep(): typeof REFUSED {
  return refuse(`what is nested more than ${MAX_DEPTH} levels deep`, "send it in a flatter form");
}

/** Notes one step of the path to what was refused, from the inside out. */
export function refusedAt(step: string): typeof REFUSED {
  steps.push(step);
  return REFUSED;
}

/** The step to a property. */
export function propertyStep(key: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}

/** Steps of a path that are shown from either end. */
const SHOWN = 16;

/** The error for what was refused last. */
export function refusal(): IpcError {
  const path = steps.reverse();
  const shown = path.length <= 2 * SHOWN ? path : [...path.slice(0, SHOWN), " … ", ...path.slice(-SHOWN)];
  return new IpcError("Serialization", `Cannot encode ${refusedWhat} at value${shown.join("")}: ${advice}`);
}
