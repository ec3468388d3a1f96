// The back ends that the conformance tests run against, by name: a process that a test starts finds the same one.
import { linux } from "../../../ffi/linux.ts";
import type { System } from "../../../ffi/contract/system.ts";

export const BACKENDS: Readonly<Record<string, System>> = { linux };

/** One back end. */
export function backendOf(name: string): System {
  const found = BACKENDS[name];
  if (found === undefined) throw new Error(`There is no back end "${name}"`);
  return found;
}
