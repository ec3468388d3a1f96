// Giving the processor away.
import { libc } from "../libc/libc.ts";

/** Blocks the thread for some milliseconds, or less if a signal comes. */
export function pauseSync(milliseconds: number): void {
  libc().c.usleep(Math.ceil(milliseconds * 1000));
}

/** Lets other threads run that wait for this processor, if there are any. */
export function yieldProcessor(): void {
  libc().c.sched_yield();
}
