// Concept: the doorbell.
import type { IpcFd } from "../file/fd.ts";
import type { Trusted } from "../file/trust.ts";

/** The listening end of a doorbell. */
export interface DoorbellListener {
  /** Blocks until rung, until every ringer is gone, or until the deadline, on the clock of `performance.now()`. */
  waitSync(deadline: number): "rung" | "hangup" | "timeout";
  /** Takes out what ringers left. */
  clear(): void;
  /** Whether every ringer is gone. Rings they left do not count. */
  readonly hungUp: boolean;
  /** Has a function called by the event loop after rings, and when all ringers are gone. */
  listen(onRing: () => void): void;
  /** Whether the process stays alive for it. */
  awaited: boolean;
  /** Closes it. */
  close(): void;
}

/**
 * Wakes another process, which sleeps or has an event loop. What it is woken for stands in shared memory; the doorbell adds
 * the two facts that memory cannot hold: that all ringers are gone, and that the listener is, however they ended.
 */
export interface Doorbells {
  /** A new one: the end to listen on, and the end to ring with. */
  create(): [listen: IpcFd, ring: IpcFd];
  /**
   * Makes an end that came from a peer this process's own: the peer cannot make a ring or a wait block any more.
   *
   * @throws {IpcError} `Corrupt` if it is no such end; it is closed then.
   */
  accept(end: IpcFd, role: "listen" | "ring"): IpcFd;
  /** Rings; never blocks. Rings may be counted as one. @returns `false` if no listener is left. */
  ring(end: IpcFd): boolean;
  /** Whether anybody holds the listening end. */
  hasListener(end: IpcFd): boolean;
  /** Listens; the end is the listener's from then on. */
  listener(end: IpcFd): DoorbellListener;
  /**
   * Makes a doorbell with a name, in the place of one that a dead listener left: for those who share no handle.
   *
   * @param mode Permission bits: who may write may ring.
   * @param trusted Whose doorbell is used, if another user's cannot be removed.
   * @returns The listening end; `undefined` where it cannot be had.
   */
  createNamed(path: string, mode: number, trusted: Trusted): IpcFd | undefined;
  /** Rings the doorbell at a path. @returns The ringing end, for the next time; `undefined` if nobody listens. */
  ringByName(path: string): IpcFd | undefined;
}
