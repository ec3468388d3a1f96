// One wait for several doorbells.
import { POLLHUP, POLLIN } from "../libc/platform.ts";
import type { BellListener } from "./doorbell.ts";
import { pollMany } from "./poll.ts";

/**
 * Blocks until one of several doorbells is rung, or has lost all its ringers, or until the deadline. Rings that were heard
 * are taken out.
 *
 * @param rings Whether rings count; `false` only asks who has lost its ringers.
 * @param deadline On the clock of `performance.now()`; `Infinity` for none, 0 to look without waiting.
 * @returns For each whether there was something; `undefined` when the deadline passed.
 */
export function waitForBells(bells: readonly BellListener[], rings: boolean, deadline: number): boolean[] | undefined {
  const pollfds = new Int32Array(bells.length * 2);
  for (let i = 0; i < bells.length; i++) {
    pollfds[2 * i] = bells[i]!.fd.fd;
    pollfds[2 * i + 1] = rings ? POLLIN : 0;
  }
  if (pollMany(pollfds, deadline) === 0) return undefined;
  return bells.map((bell, i) => {
    const found = pollfds[2 * i + 1]! >>> 16;
    if ((found & POLLIN) !== 0) bell.clear();
    return (found & (POLLIN | POLLHUP)) !== 0;
  });
}
