// Whether memory files do here what everything else relies on.
import { Mapping } from "./mapping.ts";
import { canCutShort, checkSealed, sealedMemory } from "./sealed_memory.ts";

const LENGTH = 4096;

/** Whether a sealed memory file keeps its size, whatever its holders try. */
export function sealsHold(): boolean {
  const file = sealedMemory("isthmus-trial", LENGTH);
  try {
    checkSealed(file.fd);
    return !canCutShort(file.fd);
  } finally {
    file.close();
  }
}

/** Whether two mappings of one memory file show the same bytes. */
export function mappingsAgree(): boolean {
  const file = sealedMemory("isthmus-trial", LENGTH);
  try {
    const first = Mapping.shared(file.fd, LENGTH), second = Mapping.shared(file.fd, LENGTH);
    try {
      const here = new Int32Array(first.buffer), there = new Int32Array(second.buffer);
      Atomics.add(here, 0, 1);
      Atomics.add(there, 0, 1);
      return Atomics.load(here, 0) === 2;
    } finally {
      first.unmap();
      second.unmap();
    }
  } finally {
    file.close();
  }
}
