// What a POD layout is: a type with a fixed size and a fixed place for every part, as C lays it out.
/**
 * How a value of type `T` lies in memory: as a C compiler lays out the same type on this machine.
 *
 * Made by {@linkcode struct}, {@linkcode array} and {@linkcode bytes} from the scalars {@linkcode u8} to
 * {@linkcode f64} and {@linkcode bool}.
 *
 * @typeParam T The type of the values.
 *
 * @example The type of the values follows from the layout
 * ```ts
 * import { array, f64, type LayoutValue, struct, u32 } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const layout = struct({ x: f64, hits: array(u32, 4) });
 * const value: LayoutValue<typeof layout> = { x: 0.5, hits: new Uint32Array(4) };
 * assertEquals([layout.size, layout.alignment], [24, 8]);
 * assertEquals(value.hits.length, 4);
 * ```
 */
export interface Layout<T> {
  /** Bytes that a value takes, C's `sizeof`. */
  readonly size: number;
  /** What the address of a value is a multiple of, C's `alignof`. */
  readonly alignment: number;
  /** The layout as text; two layouts are the same if their texts are. */
  readonly description: string;
  /**
   * Checks a value without writing it.
   *
   * @param value What somebody wants to write.
   * @param path Where it would stand in the whole, for the message.
   * @throws {TypeError} If it is of another type.
   * @throws {RangeError} If it does not fit.
   */
  check(value: unknown, path?: string): void;
  /**
   * Reads a plain value, a copy.
   *
   * @param memory Where to read.
   * @param offset Where the value begins, in bytes.
   * @returns The value.
   */
  read(memory: DataView, offset: number): T;
  /**
   * Writes a value that was checked.
   *
   * @param memory Where to write.
   * @param offset Where the value begins, in bytes.
   * @param value The value.
   */
  write(memory: DataView, offset: number, value: T): void;
}

/**
 * The type of the values of a {@linkcode Layout}.
 *
 * @example The values of a layout
 * ```ts
 * import { f64, i32, type LayoutValue, struct } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const point = struct({ id: i32, x: f64 });
 * type Point = LayoutValue<typeof point>;
 * const origin: Point = { id: 0, x: 0 };
 * assertEquals(Object.keys(origin), ["id", "x"]);
 * ```
 */
export type LayoutValue<L> = L extends Layout<infer T> ? T : never;

/** How long views live, and where the memory of parts that have moved belongs: see `live_scope.ts`. */
export interface Scope {
  /** Throws once the guard was released. */
  mustLive(): void;
  /** Whether any part lies elsewhere than in its place. */
  readonly anyMoved: boolean;
  /** Memory of a part that has moved: taken away from its views at the end, too. */
  adopt(buffer: ArrayBuffer): void;
  /** Memory of a slot for views that hold on to it: at the end it is taken away from them. */
  window(slot: Slot): { buffer: ArrayBuffer; offset: number };
}

/** One part of a value, or the whole, while a guard is open: see `live_slot.ts`. */
export interface Slot {
  readonly scope: Scope;
  readonly layout: PodLayout<unknown>;
  /** Where it lies. */
  readonly memory: DataView<ArrayBuffer>;
  readonly offset: number;
  /** The view of a part that is not primitive. */
  part(layout: PodLayout<unknown>, offset: number): unknown;
  /** Replaces a part that is not primitive. */
  replace(layout: PodLayout<unknown>, offset: number, value: unknown, path: string): void;
  /** A copy of its bytes as they are now. */
  snapshot(): Uint8Array<ArrayBuffer>;
}

/** What this package's layouts add for themselves. */
export abstract class PodLayout<T> implements Layout<T> {
  readonly size: number;
  readonly alignment: number;
  readonly description: string;

  constructor(size: number, alignment: number, description: string) {
    this.size = size;
    this.alignment = alignment;
    this.description = description;
  }

  abstract check(value: unknown, path?: string): void;
  abstract read(memory: DataView, offset: number): T;
  abstract write(memory: DataView, offset: number, value: T): void;
  /**
   * Checks a value and writes it, looking at each of its parts once: code of the program may run at every look, so the
   * memory must be one that nobody else sees.
   *
   * @param path Where the value would stand in the whole, for messages.
   */
  abstract store(memory: DataView<ArrayBuffer>, offset: number, value: unknown, path: string): void;
  /** The value as a view on the memory of a slot; a scalar is read. */
  abstract live(slot: Slot): T;

  /**
   * The bytes of a value in memory of their own: checked, and independent of what the value was made of.
   *
   * @param value What somebody wants to write.
   * @param path Where it would stand in the whole, for messages.
   */
  encode(value: unknown, path = ""): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(this.size);
    this.store(new DataView(bytes.buffer), 0, value, path);
    return bytes;
  }
}

/** The layout of an option or an argument, or `TypeError`. */
export function podLayout<T>(layout: Layout<T>, what: string): PodLayout<T> {
  if (layout instanceof PodLayout) return layout;
  throw new TypeError(`Cannot use ${what}: it must be made by struct, array or bytes, or be a scalar such as u32`);
}

/** FNV-1a, 64 bits, of the description: what the header of a cell says about its layout. Never 0, which means CBOR. */
export function fingerprint(description: string): bigint {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(description)) {
    hash = ((hash ^ BigInt(byte)) * 0x100000001b3n) & 0xffff_ffff_ffff_ffffn;
  }
  return hash === 0n ? 1n : hash;
}

/** A value for a message: short, whatever it is. */
export function show(value: unknown): string {
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "an array" : "an object";
  if (typeof value === "string") return JSON.stringify(value.length > 40 ? value.slice(0, 40) + "…" : value);
  return String(value);
}

/** " at "path"", or nothing at the top. */
export function at(path: string): string {
  return path === "" ? "" : ` at "${path}"`;
}
