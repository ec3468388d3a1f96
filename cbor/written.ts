// What the writer is given besides the value, and what it returns. Imports nothing.

/** What is written inside tag 27 in place of an object: an array. */
export interface StandIn {
  /** Its first items, encoded: they are the same for many objects. */
  readonly begin: Uint8Array<ArrayBuffer>;
  /** How many these are. */
  readonly begun: number;
  /** The item behind them, an integer from 0: apart from the others, as these are the same for many objects, too. */
  readonly number: number;
  /** The items behind that. */
  readonly rest: readonly unknown[];
}

/**
 * Takes charge of an object that stands for something outside the value (an endpoint, a descriptor).
 *
 * @returns What to write in its place; `undefined` for objects that it does not handle.
 */
export type Collect = (object: object) => StandIn | undefined;

/** A byte string that belongs into an encoded message. */
export interface Insert {
  /** Where in the written bytes it belongs. */
  at: number;
  readonly bytes: Uint8Array;
  /** Its length when the head was written: a getter may have changed it since. */
  readonly length: number;
}

/** A written message: the first `end` bytes of `bytes`, with the inserts among them. */
export interface Written {
  bytes: Uint8Array<ArrayBuffer>;
  /** The bytes eight at a time: up to a multiple of eight, zeros follow them. */
  longs: BigInt64Array<ArrayBuffer>;
  end: number;
  /** In the order of their places. */
  inserts: Insert[];
}
