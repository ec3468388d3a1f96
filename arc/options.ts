// How a cell is made or found: what a program says, and what was checked of it.
import { integerOf, modeOf, optionsOf } from "../base/arguments.ts";
import { type Trust, Trusted } from "../ffi/file/trust.ts";
import { type Layout, type PodLayout, podLayout } from "./layout/layout.ts";
import { MAX_CAPACITY } from "./segment/header.ts";

/** Bytes of the largest CBOR value by default. */
const DEFAULT_CAPACITY = 64 * 1024;

/**
 * How a cell is made, and what its values are.
 *
 * @example A cell of one number, for a group
 * ```ts
 * import { type ArcOptions, IpcArc, u32 } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const options: ArcOptions<number> = { layout: u32, mode: 0o660 };
 * const name = `visits-${crypto.randomUUID()}`;
 * using visits = IpcArc.createOrLoad(name, 0, options);
 * visits.atomic.add(1);
 * assertEquals(visits.read(), 1);
 * ```
 */
export interface ArcOptions<T> {
  /** How values lie in memory; CBOR without it. Every program that uses the cell must name the same layout. */
  layout?: Layout<T>;
  /**
   * Bytes of the largest CBOR value, for the one who creates the cell.
   *
   * @default 65536
   */
  capacity?: number;
  /**
   * Whose cell is used, if another user has made it: see {@linkcode Trust}. Another user's is refused without it.
   *
   * @default "user"
   */
  trust?: Trust;
  /**
   * Permission bits of the cell, for the one who creates it; by default it is for this user alone.
   *
   * @default 0o600
   */
  mode?: number;
}

/** The options of a call, checked. */
export interface Settings<T> {
  readonly layout: PodLayout<T> | undefined;
  readonly capacity: number;
  readonly mode: number;
  readonly trusted: Trusted;
}

/** Checks the options of a call; each is looked at once. */
export function settingsOf<T>(options: ArcOptions<T> | undefined): Settings<T> {
  const given = optionsOf(options, "Cannot use a cell");
  const { layout: wanted } = given; // looked at once: code of the program may run
  const layout = wanted === undefined ? undefined : podLayout(wanted, "the layout of a cell");
  const capacity = layout?.size ?? given.capacity ?? DEFAULT_CAPACITY;
  integerOf(capacity, 1, MAX_CAPACITY, "Cannot use a cell with the capacity");
  const mode = modeOf(given.mode, "a cell");
  return { layout, capacity, mode, trusted: new Trusted(given.trust, mode, "Cannot use a cell") };
}
