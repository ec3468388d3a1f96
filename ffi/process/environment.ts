// Environment variables by libc, which needs no permission of its own: a program that may call libc may read them.
import { cString, libc } from "../libc/libc.ts";
import { runtime } from "../runtime/mod.ts";

/**
 * An environment variable.
 *
 * @returns Its text; `undefined` if it is not set.
 */
export function environmentVariable(name: string): string | undefined {
  const value = libc().c.getenv(cString(name));
  return value === null ? undefined : runtime.textAt(value, 0);
}
