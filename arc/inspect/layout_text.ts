// Layouts from their texts, as the header of a cell has them: for programs that were not told the layout.
import { fingerprint, type Layout, PodLayout } from "../layout/layout.ts";
import { array, bytes } from "../layout/array.ts";
import { bool, f32, f64, i16, i32, i64, i8, u16, u32, u64, u8 } from "../layout/scalar.ts";
import { struct } from "../layout/struct.ts";
import { MAX_CAPACITY } from "../segment/header.ts";

/** A layout that was read from its text. */
export interface ReadLayout {
  readonly layout: PodLayout<unknown>;
  /**
   * Makes of a value what the layout takes, where that is plain: whole numbers become bigints where bigints belong.
   *
   * @throws {TypeError} If a struct has no such field.
   */
  fit(value: unknown): unknown;
}

const same = (value: unknown): unknown => value;
const toBigInt = (value: unknown): unknown => Number.isSafeInteger(value) ? BigInt(value as number) : value;

const SCALARS: Readonly<Record<string, Layout<unknown>>> = { u8, i8, u16, i16, u32, i32, u64, i64, f32, f64, bool };

/** Deeper layouts are not read: what reads them, and their values, calls itself. */
const MAX_DEPTH = 100;

/**
 * Reads the text of a layout.
 *
 * @param text The description of the layout.
 * @param print The fingerprint that it must have.
 * @param size The bytes that it must take.
 * @returns `undefined` if there is no such layout.
 */
export function readLayout(text: string, print: bigint, size: number): ReadLayout | undefined {
  if (text === "" || fingerprint(text) !== print) return undefined;
  try {
    const found = new LayoutReader(text).whole();
    return found.layout.size === size && found.layout.description === text ? found : undefined;
  } catch {
    return undefined; // not of this version's making
  }
}

/** The layout of values that nothing is known of but how many bytes they have. */
export function rawLayout(size: number): PodLayout<unknown> {
  return pod(bytes(size));
}

function pod(layout: Layout<unknown>): PodLayout<unknown> {
  if (layout instanceof PodLayout && layout.size <= MAX_CAPACITY) return layout;
  throw new SyntaxError("too large");
}

/** The grammar: a scalar's name, `[length]element`, or `{"field":layout,…}`. */
class LayoutReader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  whole(): ReadLayout {
    const found = this.#layout(0);
    if (this.#at !== this.#text.length) throw new SyntaxError("more than a layout");
    return found;
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found === undefined) throw new SyntaxError("no layout");
    this.#at += found.length;
    return found;
  }

  #layout(depth: number): ReadLayout {
    if (depth > MAX_DEPTH) throw new SyntaxError("too deep");
    switch (this.#text[this.#at]) {
      case "[":
        return this.#array(depth);
      case "{":
        return this.#struct(depth);
    }
    const name = this.#match(/[a-z]+\d*/y);
    if (!Object.hasOwn(SCALARS, name)) throw new SyntaxError("no scalar");
    return { layout: pod(SCALARS[name]!), fit: name === "u64" || name === "i64" ? toBigInt : same };
  }

  #array(depth: number): ReadLayout {
    const length = Number(this.#match(/\[\d{1,10}\]/y).slice(1, -1));
    const { layout, fit } = this.#layout(depth + 1);
    return {
      layout: pod(array(layout, length)),
      fit: (value) => Array.isArray(value) ? value.map(fit) : value,
    };
  }

  #struct(depth: number): ReadLayout {
    const fields = new Map<string, ReadLayout>();
    this.#match(/\{/y);
    do {
      const name = JSON.parse(this.#match(/"(?:[^"\\]|\\.)*"/y)) as string;
      this.#match(/:/y);
      fields.set(name, this.#layout(depth + 1));
    } while (this.#match(/[,}]/y) === ",");
    const layouts = Object.fromEntries([...fields].map(([name, { layout }]) => [name, layout]));
    return {
      layout: pod(struct(layouts)),
      fit(value) {
        if (typeof value !== "object" || value === null) return value;
        return Object.fromEntries(
          Object.entries(value).map(([name, inner]) => {
            const field = fields.get(name);
            if (field === undefined) {
              throw new TypeError(`The struct has no field "${name}", but ${[...fields.keys()]}`);
            }
            return [name, field.fit(inner)];
          }),
        );
      },
    };
  }
}
