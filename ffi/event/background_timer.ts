// Looking now and then for something that nobody waits for.
import { runtime } from "../runtime/mod.ts";

/**
 * Calls a function every so many milliseconds; does not keep the process alive.
 *
 * @returns Ends it.
 */
export function backgroundTimer(look: () => void, milliseconds: number): () => void {
  const timer = setInterval(look, milliseconds);
  runtime.timerAwaited(timer, false);
  return () => clearInterval(timer);
}
