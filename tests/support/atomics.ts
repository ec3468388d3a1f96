// A process can be killed, or overtaken, between any two instructions; between two that others can see is enough.

type Atomic = (...args: unknown[]) => unknown;

/** Those that others can see. */
export const WRITES = ["store", "compareExchange"];

/** Calls `act` before the `nth` atomic operation of what follows; returns how to stop that. */
export function beforeAtomic(nth: number, act: () => void, names = ["load", ...WRITES]): () => void {
  const all = Atomics as unknown as Record<string, Atomic>;
  const originals = new Map(names.map((name) => [name, all[name]!]));
  const restore = () => originals.forEach((original, name) => all[name] = original);
  for (const [name, original] of originals) {
    all[name] = (...args) => {
      if (--nth === 0) {
        restore();
        act();
      }
      return original(...args);
    };
  }
  return restore;
}
