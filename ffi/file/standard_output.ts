// Whether anybody still reads the standard output, and whether a write to it would wait: what no write tells in advance.
import { POLLERR, POLLHUP, POLLNVAL, POLLOUT } from "../libc/platform.ts";
import { pollUntil } from "../event/poll.ts";

const STDOUT = 1;

/** Bytes that a write takes without waiting while there is room: Linux calls a pipe writable when it has a page free. */
export const WRITTEN_AT_ONCE = 4096;

/** `closed`: its reader is gone, or the terminal. */
export type StandardOutputState = "room" | "full" | "closed";

/** Looks at the standard output; never waits. */
export function standardOutputState(): StandardOutputState {
  const found = pollUntil(STDOUT, POLLOUT, 0);
  if ((found & (POLLERR | POLLHUP | POLLNVAL)) !== 0) return "closed";
  return (found & POLLOUT) !== 0 ? "room" : "full";
}
