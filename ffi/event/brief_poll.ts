// Blocking for a moment, over and over.
//
// A sleep with a time-out of its own sets the processor's timer when it begins, and again when it ends early: in a virtual
// machine these are two exits to the host. On one processor, with 160 µs, that made 33 µs there and back of 11. So the
// moments of an isolate share a timer, which is set once for many of them.
import { type IpcFd, unwatchedFd } from "../file/fd.ts";
import { libc } from "../libc/libc.ts";
import { CLOCK_MONOTONIC, POLLIN, TFD_CLOEXEC, TFD_NONBLOCK } from "../libc/platform.ts";

/** The part of a moment that must be left of the timer for it to serve once more. */
const LEAST = 1 / 4;

/** Two of `struct pollfd { int fd; short events; short revents; }`: the descriptor, and the timer. */
const pollfds = new Int32Array(4);

/** `struct itimerspec { struct timespec interval, value; }` of less than a second, once. */
const itimerspec = new BigInt64Array(4);

/** `struct timespec { time_t tv_sec; long tv_nsec; }`. */
const timespec = new BigInt64Array(2);

let timer: IpcFd | undefined;
/** When it rings, or rang, on the clock of `performance.now()`. */
let ringsAt = -Infinity;

/**
 * Blocks the thread until something can be read, or the other end is gone, for some microseconds at most.
 *
 * @param microseconds At most so many, from 0 to 999,999; the kernel may add 50.
 * @returns The events that are there; 0 when the time is over, or a signal came.
 */
export function pollBriefly(fd: number, microseconds: number): number {
  const { c } = libc();
  timer ??= newTimer();
  pollfds[0] = fd;
  if (timer === undefined) { // the descriptor table is full
    pollfds[1] = POLLIN;
    timespec[1] = nanoseconds(microseconds);
    return c.ppoll(pollfds, 1n, timespec, null) > 0 ? pollfds[1] >>> 16 : 0;
  }
  let left = microseconds, polls = 0;
  const until = performance.now() + left / 1000;
  do {
    const rings = ringsAt <= until && ringsAt >= until - (1 - LEAST) * left / 1000;
    if (!rings && !set(timer, left, until)) return 0;
    pollfds[1] = POLLIN;
    pollfds[2] = timer.fd;
    pollfds[3] = POLLIN;
    if (c.poll(pollfds, 2n, -1) <= 0) return 0;
    const events = pollfds[1] >>> 16;
    if (events !== 0) return events;
    left = (until - performance.now()) * 1000;
    // Once more if it rang for an earlier moment; not more often, as the clock of a program that is tested may stand still.
  } while (left > 0 && ++polls < 2);
  return 0;
}

function newTimer(): IpcFd | undefined {
  const fd = libc().c.timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  return fd < 0 ? undefined : unwatchedFd(fd);
}

/** Has the timer ring once, and no more for what it was set to before; `false` if it does not. */
function set(timer: IpcFd, microseconds: number, until: number): boolean {
  itimerspec[3] = nanoseconds(microseconds);
  ringsAt = until;
  return libc().c.timerfd_settime(timer.fd, 0, itimerspec, null) === 0;
}

/** As a time to come: 0 would take the timer down. */
function nanoseconds(microseconds: number): bigint {
  return BigInt(Math.max(1, Math.round(microseconds * 1000)));
}
