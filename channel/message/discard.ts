// Lets go of a message that was decoded and that nobody will get.
import { disposeForeign } from "../../ffi/file/foreign_fd.ts";

/**
 * Closes every endpoint, shared memory and descriptor in a value that came out of a message, so that their peers need not
 * wait for the garbage collector.
 *
 * @param value Plain data, with travellers anywhere in it.
 */
export function discard(value: unknown): void {
  const seen = new Set<object>();
  const rest: unknown[] = [value]; // not recursive: a peer decides how deep it is
  while (rest.length > 0) {
    const item = rest.pop();
    if (typeof item !== "object" || item === null || ArrayBuffer.isView(item) || seen.has(item)) continue;
    seen.add(item);
    if (Symbol.dispose in item) disposeForeign(item as Disposable);
    else if (item instanceof Map) { for (const [key, inner] of item) rest.push(key, inner); }
    else if (item instanceof Set) { for (const inner of item) rest.push(inner); }
    else for (const inner of Object.values(item)) rest.push(inner);
  }
}
