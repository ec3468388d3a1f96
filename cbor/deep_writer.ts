// Writes what lies deep within a value without the stack: there is room on it for some thousand levels only, for fewer the
// deeper the program is that sends. Up to SHALLOW levels the functions of `writer.ts` call each other, which is faster.
import { propertyStep, refuse, REFUSED, refusedAt } from "./limits.ts";
import type { Writer } from "./special_writer.ts";

/** From this depth on, objects are kept in a list while their parts are written. */
export const SHALLOW = 300;

/** An object of which parts are still to be written. */
interface Frame {
  /** Writes the next part; `undefined` when there is none. */
  next(to: number): number | undefined;
  /** The step of the path to the part that was written last. */
  step(): string;
}

let frames: Frame[] | undefined;

/** Puts the list of one message aside, and takes that of another. */
export function swapFrames(others: Frame[] | undefined): Frame[] | undefined {
  const mine = frames;
  frames = others;
  return mine;
}

/** Whether objects are kept in the list now. */
export function isDeep(): boolean {
  return frames !== undefined;
}

/** Writes an object, and all that it holds, by `open`, which calls {@linkcode openParts} or {@linkcode openProperties}. */
export function writeDeep(value: object, to: number, open: (value: object, to: number) => number, w: Writer): number {
  const mine: Frame[] = frames = [];
  try {
    to = open(value, to);
    while (mine.length > 0 && to !== REFUSED) {
      const next = mine[mine.length - 1]!.next(to);
      if (next === undefined) {
        mine.pop();
        w.leave();
      } else {
        to = next;
      }
    }
    if (to === REFUSED) { for (let i = mine.length - 1; i >= 0; i--) refusedAt(mine[i]!.step()); }
    return to;
  } finally {
    frames = undefined;
  }
}

/** Begins an object that has parts; its head is written. */
export function openParts(parts: readonly unknown[], to: number, stepAt: (i: number) => string, w: Writer): number {
  if (w.enter() === REFUSED) return REFUSED;
  let i = 0;
  frames!.push({
    next: (to) => i < parts.length ? w.item(parts[i++], to) : undefined,
    step: () => stepAt(i - 1),
  });
  return to;
}

const MAP = 0xa0;

/** Begins an object that has properties. */
export function openProperties(value: Record<string, unknown>, to: number, w: Writer): number {
  if (w.enter() === REFUSED) return REFUSED;
  const keys = Object.keys(value);
  let i = 0;
  frames!.push({
    next(to) {
      if (i === keys.length) return undefined;
      const key = keys[i++]!;
      if (!Object.hasOwn(value, key)) return refuse("an object that its own getters change", "send a copy of it");
      return w.item(value[key], w.text(key, to));
    },
    step: () => propertyStep(keys[i - 1]!),
  });
  return w.head(MAP, keys.length, to);
}
