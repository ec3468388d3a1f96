// The mark of what can travel inside a message, and only there. Imports nothing.

/** Implemented by endpoints and memory: puts their descriptors beside a message, and returns what to write in it. */
export const PACK: unique symbol = Symbol("isthmus.pack");
