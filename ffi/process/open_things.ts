// What this isolate has open, to be let go of when it ends without having closed it.
//
// Where the process ends with the isolate, the kernel does that. But `deno run --watch` and `deno serve --watch` put a new
// isolate into the same process, on the same thread: to everybody else, and to the new program, what the old one held
// would look as if it were in use.
import process from "node:process";

let newest: OpenThing | undefined;
let isWatching = false;
/** What ends after everything else: the descriptors. */
const atLast: (() => void)[] = [];

/**
 * Something that is open from {@linkcode OpenThing.opened} to {@linkcode OpenThing.ended}.
 *
 * A list through the objects themselves: a few nanoseconds for each of them, where a set would take fifty. What is in it
 * must not refer to an object of the program that is closed when it is forgotten.
 */
export abstract class OpenThing {
  #older: OpenThing | undefined;
  #newer: OpenThing | undefined;
  #isOpen = false;

  /** Whether others that are open may need it to let go of what they have. */
  protected get goesLast(): boolean {
    return false;
  }

  /** Lets go of everything, as far as that is possible. The program may still use the object that it belongs to. */
  abstract letGo(): void;

  /** It is open now. */
  protected opened(): void {
    if (this.#isOpen) return;
    this.#isOpen = true;
    this.#older = newest;
    if (newest !== undefined) newest.#newer = this;
    newest = this;
    if (!isWatching) watch();
  }

  /** It is closed, or somebody else's, from now on. */
  protected ended(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    if (this.#newer === undefined) newest = this.#older;
    else this.#newer.#older = this.#older;
    if (this.#older !== undefined) this.#older.#newer = this.#newer;
    this.#older = this.#newer = undefined;
  }

  /** Ends all of them, the newest first. */
  static endAll(): void {
    const later: OpenThing[] = [];
    for (let thing = newest; thing !== undefined; thing = newest) {
      thing.ended();
      if (thing.goesLast) later.push(thing);
      else letGoOf(thing);
    }
    later.forEach(letGoOf);
    for (const last of atLast) last();
  }
}

function letGoOf(thing: OpenThing): void {
  try {
    thing.letGo();
  } catch {
    // It is as far gone as it can be, and the others must have their turn.
  }
}

/** Has something done at the end, after everything else was let go of. */
export function atTheEnd(last: () => void): void {
  atLast.push(last);
  if (!isWatching) watch();
}

/**
 * Waits for the end of the isolate.
 *
 * The event "unload" comes first, and the program may have listeners of its own for it, in which it still sends or receives.
 * After it Deno tells `process` of the exit, so that is when things are let go of; but not after `Deno.exit()`, which
 * itself makes the event. An isolate that ends by an uncaught error, and a Worker that is terminated, hear of nothing.
 */
function watch(): void {
  isWatching = true;
  process.on("exit", OpenThing.endAll);
  globalThis.addEventListener("unload", () => {
    if (!isExitAnnounced()) OpenThing.endAll();
  });
}

/** Whether the event that is just dispatched comes from the runtime itself. */
function isExitAnnounced(): boolean {
  if ("WorkerGlobalScope" in globalThis) return false;
  const { stackTraceLimit, prepareStackTrace } = Error as { stackTraceLimit: number; prepareStackTrace?: unknown };
  Error.stackTraceLimit = 50;
  Object.assign(Error, { prepareStackTrace: undefined });
  const { stack } = new Error();
  Object.assign(Error, { stackTraceLimit, prepareStackTrace });
  return stack !== undefined && /dispatchUnloadEvent/.test(stack) && !/:deno_os\//.test(stack);
}
