// Structs, laid out by the rules of C: fields in their order, each at a multiple of its alignment, the whole padded to a
// multiple of the largest.
import { at, type Layout, type LayoutValue, PodLayout, podLayout, show, type Slot } from "./layout.ts";
import { isPrimitive } from "./scalar.ts";

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

/**
 * What a view of a struct inherits. The fields are its own accessors, so that all that looks at the fields of an object
 * finds them. What is not its own comes here: a name that no field has.
 */
const FIELDS_ONLY: object = new Proxy(Object.prototype, {
  set(_target, key, _value, view) {
    throw new TypeError(
      `Cannot set "${String(key)}" of a struct: it has the fields ${Object.keys(view as object).join(", ")}`,
    );
  },
});

/** A struct in shared memory. */
class StructView {
  readonly #slot: Slot;

  constructor(slot: Slot) {
    this.#slot = slot;
  }

  /** The slot of a view of exactly this layout. */
  static slotOf(value: object, layout: PodLayout<unknown>): Slot | undefined {
    return #slot in value && value.#slot.layout.description === layout.description ? value.#slot : undefined;
  }

  /** An accessor for a field, the same function for all views of a layout. */
  static accessor({ name, layout, offset }: Field): Accessor {
    const get = isPrimitive(layout)
      ? function (this: StructView): unknown {
        const slot = this.#slot;
        slot.scope.mustLive();
        return layout.read(slot.memory, slot.offset + offset);
      }
      : function (this: StructView): unknown {
        return this.#slot.part(layout, offset);
      };
    const set = isPrimitive(layout)
      ? function (this: StructView, value: unknown): void {
        const slot = this.#slot;
        slot.scope.mustLive();
        layout.check(value, name);
        layout.write(slot.memory, slot.offset + offset, value);
      }
      : function (this: StructView, value: unknown): void {
        this.#slot.replace(layout, offset, value, name);
      };
    return { name, get, set };
  }

  /** A plain copy, for JSON and for printing. */
  static plain(view: StructView): unknown {
    return view.#slot.layout.read(new DataView(view.#slot.snapshot().buffer), 0);
  }
}

interface Accessor {
  readonly name: string;
  readonly get: (this: StructView) => unknown;
  readonly set: (this: StructView, value: unknown) => void;
}

// Several times as fast as `Object.defineProperty`, and there is a view for nearly every guard.
const { __defineGetter__: defineGetter, __defineSetter__: defineSetter } = Object.prototype as unknown as {
  __defineGetter__(this: object, name: string, get: () => unknown): void;
  __defineSetter__(this: object, name: string, set: (value: unknown) => void): void;
};

class StructLayout extends PodLayout<Record<string, unknown>> {
  readonly #fields: readonly Field[];
  readonly #accessors: readonly Accessor[];
  readonly #View: typeof StructView;

  constructor(fields: readonly Field[], size: number, alignment: number) {
    const description = fields.map((field) => `${JSON.stringify(field.name)}:${field.layout.description}`).join(",");
    super(size, alignment, `{${description}}`);
    this.#fields = fields;
    this.#accessors = fields.map(StructView.accessor);
    this.#View = viewClass(fields);
  }

  override check(value: unknown, path = ""): void {
    const object = fieldsOf(value, path);
    for (const { name, layout } of this.#fields) {
      layout.check(fieldOf(object, name, path), pathOf(name, path));
    }
    this.#refuseOthers(object, path);
  }

  override read(memory: DataView, offset: number): Record<string, unknown> {
    const value: Record<string, unknown> = {};
    for (const field of this.#fields) value[field.name] = field.layout.read(memory, offset + field.offset);
    return value;
  }

  override write(memory: DataView, offset: number, value: Record<string, unknown>): void {
    for (const field of this.#fields) field.layout.write(memory, offset + field.offset, value[field.name]);
  }

  override store(memory: DataView<ArrayBuffer>, offset: number, value: unknown, path: string): void {
    const object = fieldsOf(value, path);
    const slot = StructView.slotOf(object, this);
    if (slot !== undefined) {
      new Uint8Array(memory.buffer, memory.byteOffset + offset, this.size).set(slot.snapshot());
      return;
    }
    for (const { name, layout, offset: within } of this.#fields) {
      layout.store(memory, offset + within, fieldOf(object, name, path), pathOf(name, path));
    }
    this.#refuseOthers(object, path);
  }

  /** A field that the struct has not: nearly always a name that was mistyped, and it would be kept nowhere. */
  #refuseOthers(object: Record<string, unknown>, path: string): void {
    const keys = Object.keys(object);
    if (keys.length === this.#fields.length) {
      // As many as there are, and all of those were found: unless one is inherited.
      if (this.#fields.every(({ name }) => Object.hasOwn(object, name))) return;
    }
    const names = this.#fields.map(({ name }) => name);
    const other = keys.find((key) => !names.includes(key));
    if (other === undefined) return;
    throw new TypeError(
      `Cannot write a struct with a field "${pathOf(other, path)}": it has the fields ${names.join(", ")}`,
    );
  }

  override live(slot: Slot): Record<string, unknown> {
    const view = new this.#View(slot);
    for (const { name, get, set } of this.#accessors) {
      defineGetter.call(view, name, get);
      defineSetter.call(view, name, set);
    }
    return Object.seal(view) as unknown as Record<string, unknown>;
  }
}

function fieldsOf(value: unknown, path: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null) {
    throw new TypeError(`Cannot write ${show(value)}${at(path)}: a struct is an object`);
  }
  return value as Record<string, unknown>;
}

function fieldOf(object: Record<string, unknown>, name: string, path: string): unknown {
  const value = object[name];
  if (value === undefined && !(name in object)) {
    throw new TypeError(`Cannot write a struct without its field "${pathOf(name, path)}"`);
  }
  return value;
}

function pathOf(name: string, path: string): string {
  return path === "" ? name : `${path}.${name}`;
}

/** What the views of one kind of struct inherit. */
function viewClass(fields: readonly Field[]): typeof StructView {
  const { plain } = StructView;
  class View extends StructView {}
  Object.setPrototypeOf(View.prototype, FIELDS_ONLY);
  const hidden = { configurable: true, enumerable: false, writable: true };
  Object.defineProperty(View.prototype, "constructor", { ...hidden, value: Object });
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
      throw new TypeError(
        `Cannot name a field "${name}": use a name that is not an integer, "__proto__" or "constructor"`,
      );
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
