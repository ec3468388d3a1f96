// Objects of the platform: what the runtime or the engine made of classes of its own, whose state is not in their
// properties. As plain properties they would arrive empty, and no error would say so.

/** Where the runtime keeps its classes. Those on the global object are not enumerable; what a program adds there is. */
function namespaces(): (Record<string, unknown> | undefined)[] {
  const all = globalThis as unknown as Record<string, Record<string, unknown> | undefined>;
  return ["Deno", "Intl", "WebAssembly", "Temporal"].map((name) => all[name]);
}

/** Classes of the language from which any object may inherit: whether it is one, it has inside. */
const OF_THE_LANGUAGE = new Set([
  ...["Object", "Function", "Array", "Map", "Set", "Date", "RegExp", "Promise", "ArrayBuffer", "SharedArrayBuffer"],
  ...[
    "DataView",
    "Number",
    "String",
    "Boolean",
    "BigInt",
    "Symbol",
    "Iterator",
    "Error",
    "AggregateError",
    "EvalError",
  ],
  ...["RangeError", "ReferenceError", "SyntaxError", "TypeError", "URIError", "SuppressedError"],
]);

/** How the language's own iterators are called: those of arrays, texts and so on, whose classes have no names. */
const ITERATOR = /^\[object (?:.+ Iterator|Iterator Helper)\]$/;

/** Whether an object, which is of no kind that can be sent, is one of the platform's. */
export function isPlatformObject(object: object): boolean {
  let ofTheLanguage = false;
  for (let p = Object.getPrototypeOf(object); p !== null && p !== Object.prototype; p = Object.getPrototypeOf(p)) {
    if (p === Iterator.prototype && ITERATOR.test(Object.prototype.toString.call(object))) return true;
    const made = Object.getOwnPropertyDescriptor(p, "constructor")?.value;
    if (typeof made !== "function" || typeof made.name !== "string" || made.name === "") continue;
    if (OF_THE_LANGUAGE.has(made.name)) {
      ofTheLanguage = true;
      continue;
    }
    const global = Object.getOwnPropertyDescriptor(globalThis, made.name);
    if (global !== undefined && !global.enumerable && (globalThis as Record<string, unknown>)[made.name] === made) {
      return true;
    }
    for (const namespace of namespaces()) if (namespace?.[made.name] === made) return true;
  }
  // What has no properties, or inherits from a class of the language, may be anything: the engine itself knows. Not so with
  // properties, as it would run their getters.
  if (Object.keys(object).length > 0 || !(ofTheLanguage || Object.getPrototypeOf(object) !== Object.prototype)) {
    return false;
  }
  return !isCloned(object);
}

function isCloned(object: object): boolean {
  try {
    structuredClone(object);
    return true;
  } catch {
    return false;
  }
}
