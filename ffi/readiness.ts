// Waiting for a descriptor that the event loop cannot adopt, without a thread.
import { IpcError } from "./error.ts";
import { pollUntil } from "./poll.ts";
import { deadlineAfter, timeoutError, timeoutOf, type WaitOptions } from "./wait.ts";

/** Longest pause between two looks, in milliseconds: what a peer may have to wait at most. */
const LONGEST_PAUSE = 8;

/** What owns a descriptor and can close it. */
export interface FdOwner {
  /** The descriptor. */
  readonly fd: number;
  /** Whether it was closed. */
  readonly closed: boolean;
}

/**
 * Resolves when a descriptor is ready: by looking at it with growing pauses. For waits that are rare or short, such as
 * a handshake; endpoints and servers wait on doorbells and on adopted sockets instead.
 *
 * @param owner Whose descriptor it is; closing it ends the wait with `Closed`.
 * @param events `POLLIN` or `POLLOUT`.
 * @param what What is waited for, for error messages ("accept a client").
 * @param options How long to wait at most, and how to call it off.
 * @returns The events found.
 */
export async function pollEventually(
  owner: FdOwner,
  events: number,
  what: string,
  options?: WaitOptions,
): Promise<number> {
  const timeout = timeoutOf(options);
  const deadline = deadlineAfter(timeout);
  for (let pause = 0;; pause = Math.min(pause === 0 ? 0.5 : pause * 2, LONGEST_PAUSE)) {
    options?.signal?.throwIfAborted();
    if (owner.closed) throw new IpcError("Closed", `Cannot ${what}: the socket was closed`);
    const found = pollUntil(owner.fd, events, 0);
    if (found !== 0) return found;
    const left = deadline - performance.now();
    if (left <= 0) throw timeoutError(what, timeout);
    await sleep(Math.min(pause, left), options?.signal);
  }
}

function sleep(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal?.addEventListener("abort", done, { once: true });
  });
}
