// Structs, laid out by the rules of C: fields in their order, each at a multiple of its alignment, the whole padded to a
// multiple of the largest.
import { at, type Layout, type LayoutValue, PodLayout, podLayout, show } from "./layout.ts";
import { isScalar } from "./layout_scalar.ts";
import type { LiveScope } from "./live_scope.ts";

/**
 * The values of a struct with these fields.
 *
 * @example The values of some fields
 * ```ts
 * import { bool, struct, type StructValue, u16 } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const fields = { port: u16, open: bool };
 * const closed: StructValue<typeof fields> = { port: 443, open: false };
 * struct(fields).check(closed);
 * assertEquals(closed.port, 443);
 * ```
 */
export type StructValue<S> = { [K in keyof S]: LayoutValue<S[K]> };

interface Field {
  readonly name: string;
  readonly layout: PodLayout<unknown>;
  readonly offset: number;
}

/** A struct in shared memory. Its fields are accessors, which each kind of struct adds. */
class StructView {
  readonly #scope: LiveScope;
  readonly #offset: number;
  readonly #layout: StructLayout;

  constructor(scope: LiveScope, offset: number, layout: StructLayout) {
    this.#scope = scope;
    this.#offset = offset;
    this.#layout = layout;
  }

  static scopeOf(view: StructView): LiveScope {
    return view.#scope;
  }

  static offsetOf(view: StructView): number {
    return view.#offset;
  }

  /** A plain copy, for JSON and for printing. */
  static plain(view: StructView): Record<string, unknown> {
    return view.#layout.read(view.#scope.view, view.#offset);
  }
}

class StructLayout extends PodLayout<Record<string, unknown>> {
  readonly #fields: readonly Field[];
  readonly #View: typeof StructView;

  constructor(fields: readonly Field[], size: number, alignment: number) {
    const description = fields.map((field) => `${JSON.stringify(field.name)}:${field.layout.description}`).join(",");
    super(size, alignment, `{${description}}`);
    this.#fields = fields;
    this.#View = viewClass(fields);
  }

  override check(value: unknown, path = ""): void {
    if (typeof value !== "object" || value === null) {
      throw new TypeError(`Cannot write ${show(value)}${at(path)}: a struct is an object`);
    }
    for (const { name, layout } of this.#fields) {
      const inner = path === "" ? name : `${path}.${name}`;
      if (!(name in value)) throw new TypeError(`Cannot write a struct without its field "${inner}"`);
      layout.check((value as Record<string, unknown>)[name], inner);
    }
  }

  override read(memory: DataView, offset: number): Record<string, unknown> {
    const value: Record<string, unknown> = {};
    for (const field of this.#fields) value[field.name] = field.layout.read(memory, offset + field.offset);
    return value;
  }

  override write(memory: DataView, offset: number, value: Record<string, unknown>): void {
    for (const field of this.#fields) field.layout.write(memory, offset + field.offset, value[field.name]);
  }

  override live(scope: LiveScope, offset: number): Record<string, unknown> {
    return new this.#View(scope, offset, this) as unknown as Record<string, unknown>;
  }
}

/** A class with an accessor for each field, so that the engine compiles each into a few instructions. */
function viewClass(fields: readonly Field[]): typeof StructView {
  const { scopeOf, offsetOf, plain } = StructView;
  class View extends StructView {}
  for (const { name, layout, offset } of fields) {
    const get = isScalar(layout)
      ? function (this: StructView): unknown {
        return layout.read(scopeOf(this).view, offsetOf(this) + offset);
      }
      : function (this: StructView): unknown {
        return layout.live(scopeOf(this), offsetOf(this) + offset);
      };
    const set = function (this: StructView, value: unknown): void {
      layout.check(value, name);
      layout.write(scopeOf(this).view, offsetOf(this) + offset, value);
    };
    Object.defineProperty(View.prototype, name, { get, set, enumerable: true, configurable: true });
  }
  const hidden = { configurable: true, enumerable: false, writable: true };
  Object.defineProperty(View.prototype, Symbol.for("Deno.customInspect"), {
    ...hidden,
    value(this: StructView, inspect: (value: unknown, options?: unknown) => string, options?: unknown): string {
      return inspect(plain(this), options);
    },
  });
  if (!fields.some((field) => field.name === "toJSON")) {
    Object.defineProperty(View.prototype, "toJSON", {
      ...hidden,
      value(this: StructView): unknown {
        return plain(this);
      },
    });
  }
  return View;
}

/**
 * A struct: named fields in their order, laid out as C does it.
 *
 * @typeParam S The layouts of the fields.
 * @param fields The layouts by name. A name that is a decimal integer is refused, as objects reorder those.
 * @returns The layout of the struct.
 * @throws {TypeError} If there is no field, or a name or a layout cannot be used.
 *
 * @example Nested structs
 * ```ts
 * import { bool, f64, struct, u32 } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const point = struct({ x: f64, y: f64 });
 * const body = struct({ id: u32, at: point, moving: bool });
 * assertEquals(body.size, 32); // 4, 4 of padding, 16, 1, 7 of padding
 * ```
 */
export function struct<S extends Record<string, Layout<unknown>>>(fields: S): Layout<StructValue<S>> {
  const placed: Field[] = [];
  let end = 0, alignment = 1;
  for (const [name, layout] of Object.entries(fields)) {
    if (/^(0|[1-9][0-9]*)$/.test(name) || name === "__proto__" || name === "constructor") {
      throw new TypeError(`Cannot name a field "${name}": use a name that is no integer, "__proto__" or "constructor"`);
    }
    const pod = podLayout(layout, `the layout of the field "${name}"`);
    const offset = Math.ceil(end / pod.alignment) * pod.alignment;
    placed.push({ name, layout: pod, offset });
    end = offset + pod.size;
    alignment = Math.max(alignment, pod.alignment);
  }
  if (placed.length === 0) throw new TypeError("Cannot lay out a struct without fields");
  const size = Math.ceil(end / alignment) * alignment;
  return new StructLayout(placed, size, alignment) as unknown as Layout<StructValue<S>>;
}
