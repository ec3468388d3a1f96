// Loads of shared memory in order, and what orders stores.
import { fence } from "../../base/fence.ts";
import { runtime } from "../runtime/mod.ts";

/**
 * On x86-64 every load is one that later loads and stores do not overtake, and one that comes after an atomic store or
 * swap of the same thread, which are locked instructions, is not overtaken by those either. Nor does V8 move the loads
 * of an array over each other, over stores, or over calls, as every function of `Atomics` is one to it.
 */
const EVERY_LOAD = runtime.keepsLoads && runtime.target.endsWith("-x86_64");

/**
 * `Atomics.load()`, at the price of a plain load where that is the same: 1 ns in place of 9, as the other is a call.
 *
 * Not for a loop that does nothing but look: without a call in it a compiler may look just once.
 */
export function loadOrdered(words: Int32Array, index: number): number {
  return EVERY_LOAD ? words[index]! : Atomics.load(words, index);
}

/** The same for a look that comes after plain reads of other memory, which may not be delayed beyond it. */
export function loadAfterReads(words: Int32Array, index: number): number {
  if (EVERY_LOAD) return words[index]!;
  fence();
  return Atomics.load(words, index);
}

/** A full memory barrier right after an atomic store, which is one itself where it is a locked instruction. */
export function fenceAfterStore(): void {
  if (!EVERY_LOAD) fence();
}
