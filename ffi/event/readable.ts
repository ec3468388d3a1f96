// Waiting until there is something to read, or the other end is gone.
import type { WaitOptions } from "../../base/wait.ts";
import { POLLHUP, POLLIN } from "../libc/platform.ts";
import { pollMany, pollUntil } from "./poll.ts";
import { type FdOwner, pollEventually } from "./readiness.ts";

/**
 * Blocks until a descriptor has something to read, or its other end is gone, or until the deadline.
 *
 * @param deadline On the clock of `performance.now()`; `Infinity` for none, 0 to look without waiting.
 * @returns `false` when the deadline passed.
 */
export function waitReadable(fd: number, deadline: number): boolean {
  return pollUntil(fd, POLLIN, deadline) !== 0;
}

/** The same for several descriptors: until one of them is ready. */
export function waitAnyReadable(fds: readonly number[], deadline: number): boolean {
  return pollMany(new Int32Array(fds.flatMap((fd) => [fd, POLLIN])), deadline) !== 0;
}

/**
 * Resolves when a descriptor has something to read, or its other end is gone.
 *
 * @param owner Whose descriptor it is; closing it ends the wait with `Closed`.
 * @param what What is waited for, for error messages ("accept a client").
 * @param options How long to wait at most, and a signal that ends the wait.
 */
export async function untilReadable(owner: FdOwner, what: string, options?: WaitOptions): Promise<void> {
  await pollEventually(owner, POLLIN, what, options);
}

/** Whether the other end is gone, by one system call. What it left to be read does not count. */
export function isHungUp(fd: number): boolean {
  return (pollUntil(fd, 0, 0) & POLLHUP) !== 0;
}
