// Stops or kills this process between two steps of the sending protocol.
import { setStepHook } from "../../base/step_hook.ts";
import { self } from "./actor.ts";

/** The steps of sending, in their order. */
export const STEPS = ["recorded", "claimed", "descriptors-sent", "copied", "committed", "ringing"] as const;

/** A moment in the life of a sender. */
export interface Trap {
  readonly step: typeof STEPS[number];
  /** The step before it; any one by default. */
  readonly after?: typeof STEPS[number];
  /** The how-manieth time that this step is reached, from 1. */
  readonly occurrence: number;
  readonly signal: "SIGKILL" | "SIGSTOP";
}

/** Said by a process that is about to get its signal. */
export interface Trapped {
  /** Records committed before. */
  readonly committed: number;
  /** The last step before the one that has the trap. */
  readonly after: string | undefined;
}

/**
 * Sends this process a signal at the given moment, after it has said how far it got. A signal that a process sends to
 * itself is delivered before the call returns, if the caller is its main thread.
 *
 * @param before Called at every step that has no trap.
 * @returns Whether it has sprung, at any time.
 */
export function setTrap(trap: Trap, before?: (step: string) => void): () => boolean {
  let committed = 0;
  let reached = 0;
  let after: string | undefined;
  setStepHook((step) => {
    if (step === "committed") committed++;
    const here = step === trap.step && (trap.after ?? after) === after;
    if (here && ++reached === trap.occurrence) {
      self.say({ committed, after } satisfies Trapped);
      Deno.kill(Deno.pid, trap.signal);
    } else {
      before?.(step);
    }
    after = step;
  });
  return () => reached >= trap.occurrence;
}
