// The mark of what can travel inside a message, and only there, and of what cannot travel at all. Imports nothing.

/** Implemented by endpoints and memory: puts their descriptors beside a message, and returns what to write in it. */
export const PACK: unique symbol = Symbol("isthmus.pack");

/**
 * Has the objects of a class refused by the encoder: they stand for something of this process, and without that are empty.
 *
 * @param instead What to send instead.
 */
export function cannotTravel(prototype: object, instead: string): void {
  Object.defineProperty(prototype, PACK, { value: instead });
}
