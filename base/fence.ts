// A full memory barrier, which JavaScript has no name for.

const cell = new Int32Array(1);

/**
 * Nothing before it can be seen after anything that follows it, by any other processor.
 *
 * On arm64 an atomic store alone lets later plain accesses pass, and an atomic load lets earlier ones; a store followed
 * by a load lets neither, as these two never pass each other. On x86-64 the store is a locked exchange, 5 ns.
 */
export function fence(): void {
  Atomics.store(cell, 0, 0);
  Atomics.load(cell, 0);
}
