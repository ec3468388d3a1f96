// Concept: identity and liveness.
import type { ThreadIdentity } from "../process/liveness.ts";

/**
 * Who a thread is, as numbers that may lie in shared memory, and whether it lives. Numbers of threads are used again; an
 * identity is not, as long as the machine runs.
 */
export interface Identities {
  /** The thread of this isolate. */
  own(): ThreadIdentity;
  /** The process of this isolate. */
  ownProcess(): number;
  /** The user of this process. */
  ownUser(): number;
  /** Whether a thread lives. One that is only stopped does; where it cannot be known the answer is `true`. */
  isAlive(thread: ThreadIdentity): boolean;
  /** Whether a thread has certainly ended, by one cheap look: `false` may be wrong. */
  hasEnded(process: number, thread: number): boolean;
}
