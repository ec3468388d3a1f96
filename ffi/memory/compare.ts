// Comparing bytes at the speed of the C library.
import { libc } from "../libc/libc.ts";

/** Whether two ranges of bytes are equal. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length &&
    libc().c.memcmp(a as Uint8Array<ArrayBuffer>, b as Uint8Array<ArrayBuffer>, BigInt(a.length)) === 0;
}
