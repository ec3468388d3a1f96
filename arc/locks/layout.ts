// The file of a lock, drawn once.
//
// ```text
// byte
//    0  magic (8)        "ISTHLOCK"
//    8  format version (4)
//   12  NEXT (4)         ticket of the next request
//   16  DIED (4)         process of a holder that has died, of which nobody who got the lock has been told yet; or 0
//  256  requests         256 of 16 bytes:
//         0  state (4)     0 free · 1 about to get its ticket · 2 waits · 3 holds the lock
//         4  ticket (4)    of two that exclude each other, the lower one comes first
//         8  mode (4)      0 exclusive · 1 shared
//        12  process (4)   whose it is, for those who ask; nobody relies on it
//
// lock on the file      shared: somebody has it open, and may find out who comes next · alone: may remove it
// lock on byte n        who made request n lives
// ```
//
// Beside it lies a FIFO for each request n, `isthmus-lock-life.NAME.n`, which who made the request has open for reading and
// writing, and nobody else for writing: it hangs up when the request ends.

/** "ISTHLOCK", as two little-endian words. */
export const MAGIC_LOW = 0x48545349, MAGIC_HIGH = 0x4b434f4c;
/** Of this layout. */
export const FORMAT_VERSION = 1;

/** Word indices. */
export const W_MAGIC = 0, W_VERSION = 2, W_NEXT = 3, W_DIED = 4, W_REQUESTS = 64;

/** Requests for one lock that there can be at a time, and words of one. */
export const REQUESTS = 256, REQUEST_WORDS = 4;
/** Word offsets in a request. */
export const R_STATE = 0, R_TICKET = 1, R_MODE = 2, R_PID = 3;

/** What is done with a request. */
export const FREE = 0, CHOOSING = 1, WAITING = 2, HELD = 3;
/** How a lock is held. */
export const EXCLUSIVE = 0, SHARED = 1;

/** Bytes of the file. */
export const LOCK_FILE_SIZE = 8192;

/** Word index of a request. */
export function requestAt(n: number): number {
  return W_REQUESTS + n * REQUEST_WORDS;
}
