// What this isolate has open, to be let go of when it ends without having closed it.
//
// Where the process ends with the isolate, the kernel does that. But `deno run --watch` and `deno serve --watch` put a new
// isolate into the same process, on the same thread: to everybody else, and to the new program, what the old one held
// would look as if it were in use.
import { runtime } from "../runtime/mod.ts";

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

/** Waits for the end of the isolate. */
function watch(): void {
  isWatching = true;
  runtime.atExit(OpenThing.endAll);
}
