// Concept: the carrier of handles.
import type { IpcFd } from "../file/fd.ts";

/** What came in one message. */
export interface CarriedMessage {
  /** Bytes; 0 is the end. */
  readonly length: number;
  /** The handles, in the order in which they were sent; the caller's. */
  readonly fds: IpcFd[];
}

/**
 * Carries handles of open things from process to process, beside a few bytes. Nothing waits. A message that was sent, and
 * that nobody received, takes its handles with it when the carrier goes.
 */
export interface HandleCarrier {
  /** Most handles in one message. */
  readonly most: number;
  /** Two ends of a carrier. */
  pair(): [IpcFd, IpcFd];
  /**
   * Sends one message; the handles stay the caller's.
   *
   * @returns Bytes sent, or a failure below 0 that the functions below tell apart.
   */
  send(end: number, bytes: Uint8Array, handles: readonly number[]): number;
  /**
   * Receives one message.
   *
   * @param most Handles expected.
   * @returns It, or a failure below 0.
   * @throws {IpcError} `Corrupt` if it brings more, all of which are closed; `System` if this process has no room.
   */
  receive(end: number, bytes: Uint8Array, most: number): CarriedMessage | number;
  /** Looks at the bytes that come next; everything stays. @returns How many, or a failure below 0. */
  peek(end: number, bytes: Uint8Array<ArrayBuffer>): number;
  /** Whether a failure means: full, or nothing there. */
  wouldWait(failure: number): boolean;
  /** Whether a failure means that the other end is gone. */
  isPeerGone(failure: number): boolean;
  /** Closes handles that a peer chose, without waiting for what is behind them. */
  dispose(handles: readonly IpcFd[]): void;
}
