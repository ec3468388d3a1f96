// Concept: the end of a thread.

/** What is closed with the thread: nothing, where the end of the process sees to it. */
export type ThreadGuard = Int32Array | undefined;

/**
 * Handles that are closed when the thread of a Worker ends, also by `terminate()`: a system does so for processes only, and
 * a peer would wait for a dead Worker without end.
 */
export interface ThreadEnds {
  /** Has a handle closed when this thread ends. */
  guard(handle: number): ThreadGuard;
  /** The handle was closed before. Once only. */
  unguard(guard: ThreadGuard): void;
}
