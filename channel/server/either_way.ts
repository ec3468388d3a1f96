// What is written once and done in two ways: blocking the thread, or awaited.

/** One wait, in both ways. */
interface Wait {
  readonly blocking: () => unknown;
  readonly awaited: () => Promise<unknown>;
}

/** Steps with waits between them, written as a generator that yields `either()`. */
// deno-lint-ignore no-explicit-any -- what a wait returns is known to `either` alone
export type Steps<R> = Generator<Wait, R, any>;

/** Waits in the way in which the steps are done. To be called by `yield*`. */
export function* either<R>(blocking: () => R, awaited: () => Promise<R>): Steps<R> {
  return (yield { blocking, awaited }) as R;
}

/** Does the steps, blocking the thread in each wait. */
export function doBlocking<R>(steps: Steps<R>): R {
  let step = steps.next();
  while (step.done !== true) {
    let outcome: unknown;
    try {
      outcome = step.value.blocking();
    } catch (error) {
      step = steps.throw(error);
      continue;
    }
    step = steps.next(outcome);
  }
  return step.value;
}

/** Does the steps, awaiting each wait. */
export async function doAwaited<R>(steps: Steps<R>): Promise<R> {
  let step = steps.next();
  while (step.done !== true) {
    let outcome: unknown;
    try {
      outcome = await step.value.awaited();
    } catch (error) {
      step = steps.throw(error);
      continue;
    }
    step = steps.next(outcome);
  }
  return step.value;
}
