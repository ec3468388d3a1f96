// Blocking until a descriptor is ready.
import { interrupted, libc, systemError } from "../libc/libc.ts";

/**
 * `struct pollfd { int fd; short events; short revents; }`, for one descriptor: to make an array costs more than the call, and
 * nothing else runs in this isolate meanwhile.
 */
const pollfd = new Int32Array(2);

/**
 * Blocks the thread until one of the events, an error or a hang-up, or until the deadline.
 *
 * @param fd The descriptor.
 * @param events `POLLIN` or `POLLOUT`.
 * @param deadline On the clock of `performance.now()`; `Infinity` for none, 0 to look without waiting.
 * @returns The events that are there; 0 when the deadline passed.
 */
export function pollUntil(fd: number, events: number, deadline: number): number {
  pollfd[0] = fd;
  pollfd[1] = events;
  return pollMany(pollfd, deadline) === 0 ? 0 : pollfd[1] >>> 16;
}

/**
 * Blocks until one of several descriptors is ready.
 *
 * @param pollfds Two words a descriptor, `struct pollfd`: its number, then the events wanted in the low half and, on
 * return, the events found in the high half.
 * @param deadline As for {@linkcode pollUntil}.
 * @returns How many are ready; 0 when the deadline passed.
 */
export function pollMany(pollfds: Int32Array<ArrayBuffer>, deadline: number): number {
  const { c, errnoCell } = libc();
  const count = BigInt(pollfds.length >> 1);
  for (;;) {
    let wait = -1;
    if (deadline !== Infinity) {
      const left = deadline === 0 ? 0 : deadline - performance.now();
      wait = left <= 0 ? 0 : Math.min(Math.ceil(left), 0x7fff_ffff);
    }
    const ready = c.poll(pollfds, count, wait);
    const errno = errnoCell[0]!;
    if (interrupted(ready, errno)) continue;
    if (ready < 0) throw systemError("Cannot wait for a descriptor", "poll", errno);
    if (ready === 0 && deadline !== Infinity && deadline !== 0 && performance.now() < deadline) continue;
    return ready;
  }
}
