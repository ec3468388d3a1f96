// Whether a process that waits does nothing.
import { assert } from "@std/assert";

/** Milliseconds of one look: what looks every second is seen in it, three times. */
const WINDOW = 3000;
/** Looks, as engine and runtime have things to do for a while after a start. */
const WINDOWS = 6;
/** Times that the main thread of an idle program may run in a window: Deno itself does, now and then. */
const MOST_SWITCHES = 3;

/** How often the main thread of a process has gone to sleep. */
function switchesOf(pid: number): number {
  const found = /^voluntary_ctxt_switches:\s*(\d+)$/m.exec(Deno.readTextFileSync(`/proc/${pid}/status`));
  return Number(found![1]);
}

/**
 * Checks that a process of somebody who waits is not woken by the clock.
 *
 * @param what What it waits for, for the message.
 */
export async function assertIdle(pid: number, what: string): Promise<void> {
  const seen: number[] = [];
  while (seen.length < WINDOWS) {
    const before = switchesOf(pid);
    await new Promise((resolve) => setTimeout(resolve, WINDOW));
    seen.push(switchesOf(pid) - before);
    if (seen.at(-1)! <= MOST_SWITCHES) return;
  }
  assert(false, `Who waits for ${what} ran ${seen.join(", ")} times in ${WINDOW} ms each`);
}
