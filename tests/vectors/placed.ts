// Puts the memory of a test vector where programs look for it.
import type { Vector, VectorMemory } from "./memory.ts";

/** Whether this processor can say anything of a vector. */
export function isForHere({ machine }: Vector): boolean {
  return machine === undefined || machine === Deno.build.arch;
}

/** Runs something with the memory at a path, which is that of a cell with the name as well; removes all of it afterwards. */
export function placed(vector: Vector, memory: VectorMemory, body: (name: string, path: string) => void): void {
  const name = `vector-${crypto.randomUUID()}`, path = `/dev/shm/isthmus.${name}`;
  try {
    Deno.writeFileSync(path, memory.bytes, { mode: 0o600 });
    using held = Deno.openSync(path, { read: true, write: true });
    if (vector.kind === "cell") held.lockSync(false); // somebody holds it: it is not a dead one
    body(name, path);
  } finally {
    for (const suffix of ["", ".bell", ".room", ".seats", ".bell.0"]) removeIfThere(path + suffix);
  }
}

function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
