// Items of which parts are still to come, as `strict_reader.ts` keeps them in its list: one class for each kind.
import { type Budget, makeOf, type Making } from "./class_objects.ts";
import { keyAdded, MANY_KEYS } from "./slow_keys.ts";

/** Gives back what a collector wrote: gets the array that it returned; `undefined` for what it knows nothing of. */
export type Revive = (written: readonly unknown[]) => unknown;

/** Stands for what is shared and cannot be referred to yet. */
export const UNMADE: unique symbol = Symbol("unmade");

/** Arrays of more items than this grow as the items come. */
const MADE_AT_ONCE = 1 << 16;

/** An item of which parts are still to come. */
export abstract class Frame {
  /** Its number among those that are shared, or -1. */
  share = -1;
  /** How many parts are still to come; -1 until there is a break. */
  left: number;

  constructor(left: number) {
    this.left = left;
  }

  /** What can be referred to before all of it is there. */
  abstract readonly early: unknown;
  /** Takes the next part. */
  abstract add(part: unknown): void;
  /** The item; called when all parts are there. */
  abstract end(): unknown;
}

export class ArrayFrame extends Frame {
  readonly early: unknown[];
  #count = 0;
  constructor(left: number) {
    super(left);
    this.early = left > 0 && left <= MADE_AT_ONCE ? new Array(left) : [];
  }
  add(part: unknown): void {
    this.early[this.#count++] = part;
  }
  end(): unknown[] {
    return this.early;
  }
}

export class SetFrame extends Frame {
  readonly early = new Set<unknown>();
  readonly #budget: Budget;
  constructor(left: number, budget: Budget) {
    super(left);
    this.#budget = budget;
  }
  add(part: unknown): void {
    if (this.early.size < MANY_KEYS) {
      this.early.add(part);
    } else {
      const began = performance.now();
      this.early.add(part);
      keyAdded(began, this.#budget);
    }
  }
  end(): Set<unknown> {
    return this.early;
  }
}

export class MapFrame extends Frame {
  readonly early = new Map<unknown, unknown>();
  readonly #budget: Budget;
  #key: unknown = UNMADE;
  constructor(left: number, budget: Budget) {
    super(left);
    this.#budget = budget;
  }
  add(part: unknown): void {
    if (this.#key === UNMADE) {
      this.#key = part;
      return;
    }
    if (this.early.size < MANY_KEYS) {
      this.early.set(this.#key, part);
    } else {
      const began = performance.now();
      this.early.set(this.#key, part);
      keyAdded(began, this.#budget);
    }
    this.#key = UNMADE;
  }
  end(): Map<unknown, unknown> {
    if (this.#key !== UNMADE) throw new Error("a map with a key and no value");
    return this.early;
  }
}

/** A map without a tag: an object if all its keys are text, a Map if one is not. */
export class ObjectFrame extends Frame {
  early: Record<string, unknown> | undefined = {};
  readonly #budget: Budget;
  #map: MapFrame | undefined;
  #key: unknown = UNMADE;
  constructor(left: number, budget: Budget) {
    super(left);
    this.#budget = budget;
  }
  add(part: unknown): void {
    if (this.#map !== undefined) return this.#map.add(part);
    if (this.#key === UNMADE) {
      if (typeof part !== "string") return this.#becomeMap(part);
      this.#key = part;
      return;
    }
    setProperty(this.early!, this.#key as string, part);
    this.#key = UNMADE;
  }
  #becomeMap(key: unknown): void {
    if (this.share >= 0) throw new Error("a shared map whose keys are not all text, without tag 259");
    this.#map = new MapFrame(-1, this.#budget);
    for (const name of Object.keys(this.early!)) {
      this.#map.add(name);
      this.#map.add(this.early![name]);
    }
    this.early = undefined;
    this.#map.add(key);
  }
  end(): unknown {
    if (this.#map !== undefined) return this.#map.end();
    if (this.#key !== UNMADE) throw new Error("a map with a key and no value");
    return this.early;
  }
}

/** Sets a property of an object's own, whatever its name means to the language. */
function setProperty(object: object, key: string, value: unknown): void {
  if (key === "__proto__") {
    Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
  } else {
    (object as Record<string, unknown>)[key] = value;
  }
}

/** An object of a named class: made as soon as what it needs is there, as what it holds may refer to it. */
export class GenericFrame extends Frame {
  readonly #parts: unknown[] = [];
  readonly #revive: Revive | undefined;
  readonly #budget: Budget;
  #making: Making | undefined;
  constructor(left: number, revive: Revive | undefined, budget: Budget) {
    super(left);
    this.#revive = revive;
    this.#budget = budget;
  }
  get early(): unknown {
    return this.#making?.early ?? UNMADE;
  }
  add(part: unknown): void {
    this.#parts.push(part);
    if (this.#parts.length === 1 && typeof part === "string") this.#making = makeOf(part, this.#budget);
    else this.#making?.add(part, this.#parts.length - 1);
  }
  end(): unknown {
    if (this.#making !== undefined) return this.#making.end();
    const revived = this.#revive?.(this.#parts);
    if (revived !== undefined) return revived;
    const [name] = this.#parts;
    throw new Error(
      typeof name === "string"
        ? `an object of the class ${JSON.stringify(name.slice(0, 40))}, which is not known here`
        : "an object without a class",
    );
  }
}
