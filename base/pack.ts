// The mark of what can travel inside a message, and only there, and of what cannot travel at all. Imports nothing.

/** On the prototypes of endpoints and memory; and of what cannot travel, with what to send instead. */
export const PACK: unique symbol = Symbol("isthmus.pack");

/**
 * Marks the objects of a class as ones that the encoder asks its caller about: it is nothing but a mark,
 * and says nothing of how they travel.
 */
export function canTravel(prototype: object): void {
  Object.defineProperty(prototype, PACK, { value: true });
}

/**
 * Has the objects of a class refused by the encoder: they stand for something of this process, and without that are empty.
 *
 * @param instead What to send instead.
 */
export function cannotTravel(prototype: object, instead: string): void {
  Object.defineProperty(prototype, PACK, { value: instead });
}
