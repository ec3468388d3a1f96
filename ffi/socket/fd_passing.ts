// Descriptors over a Unix socket, for programs that speak plain SCM_RIGHTS with others.
import { asFound, integerOf } from "../../base/arguments.ts";
import { IpcError } from "../../base/error.ts";
import { giveWay, mustGiveWay } from "../../base/event_loop.ts";
import type { IpcFd } from "../file/fd.ts";
import { systemError } from "../libc/libc.ts";
import { EAGAIN, POLLIN, POLLOUT } from "../libc/platform.ts";
import { pollUntil } from "../event/poll.ts";
import { pollEventually } from "../event/readiness.ts";
import {
  END_LOOKS,
  MAX_FDS_PER_MESSAGE,
  type ReceivedMessage,
  receiveMessage,
  sendMessage,
  tellsEnd,
  wasCutOff,
} from "./socket_message.ts";
import { UnixSocket } from "./unix_socket.ts";
import { deadlineAfter, type SyncWaitOptions, timeoutError, timeoutOf, type WaitOptions } from "../../base/wait.ts";

/**
 * What {@linkcode recvFds} received.
 *
 * @example Bytes and descriptors of one message
 * ```ts
 * import { type ReceivedFds, recvFdsSync, sendFdsSync, UnixSocket } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const [here, there] = UnixSocket.pair();
 * sendFdsSync(here, new Uint8Array([1, 2]), [0, 1]);
 *
 * const { data, fds }: ReceivedFds = recvFdsSync(there, 16);
 * assertEquals([data.length, fds.length], [2, 2]);
 * for (const fd of fds) fd.close();
 * here.close(), there.close();
 * ```
 */
export interface ReceivedFds {
  /** The bytes; empty at the end of the stream. */
  readonly data: Uint8Array<ArrayBuffer>;
  /** The descriptors, in the order in which they were sent; the caller owns them. */
  readonly fds: IpcFd[];
}

const SEND = "send descriptors", RECEIVE = "receive descriptors";

/** Checks the options; returns what is left of the time-out, as options, whenever it is asked. */
function timeLeft(options: WaitOptions | undefined): () => { timeout?: number } {
  const timeout = timeoutOf(options);
  if (timeout === Infinity) return () => ({});
  const deadline = deadlineAfter(timeout);
  return () => ({ timeout: timeout === 0 ? 0 : Math.max(0, deadline - performance.now()) });
}

function waitSync(
  socket: UnixSocket,
  events: number,
  what: string,
  options: SyncWaitOptions | undefined,
  left: () => { timeout?: number },
): void {
  const { timeout } = left();
  const deadline = timeout === undefined ? Infinity : timeout === 0 ? 0 : performance.now() + timeout;
  if (pollUntil(socket.fd, events, deadline) === 0) throw timeoutError(what, options!.timeout!);
}

/** The number of descriptors may be left out before the options. */
function limitsOf<O extends SyncWaitOptions>(
  maxFds: number | O | undefined,
  options: O | undefined,
): [most: number, options: O | undefined] {
  if (typeof maxFds === "object" && options === undefined) return [MAX_FDS_PER_MESSAGE, maxFds];
  return [maxFds === undefined ? MAX_FDS_PER_MESSAGE : maxFds as number, options];
}

function checkSocket(socket: UnixSocket, what: string): void {
  if (!(socket instanceof UnixSocket)) throw new TypeError(`${what} over ${asFound(socket)}: give a UnixSocket`);
}

function checkSend(socket: UnixSocket, data: Uint8Array, fds: readonly number[]): void {
  checkSocket(socket, "Cannot send descriptors");
  if (!Array.isArray(fds)) throw new TypeError(`Cannot send the descriptors ${asFound(fds)}: they must be an array`);
  if (!(data instanceof Uint8Array)) throw new TypeError("Cannot send: the data must be a Uint8Array");
  if (fds.length > 0 && data.length === 0) {
    throw new TypeError("Cannot send descriptors alone: at least one byte of data must go with them");
  }
  if (fds.length > MAX_FDS_PER_MESSAGE) {
    throw new RangeError(`Cannot send ${fds.length} descriptors: one message carries at most ${MAX_FDS_PER_MESSAGE}`);
  }
  for (const fd of fds) {
    if (!Number.isInteger(fd) || fd < 0) throw new TypeError(`Cannot send descriptor ${String(fd)}: it is not open`);
  }
}

/** One attempt; the number of bytes sent, or `undefined` if the socket is full. */
function attemptSend(socket: UnixSocket, data: Uint8Array, fds: readonly number[]): number | undefined {
  const sent = sendMessage(socket.fd, data, fds);
  if (sent >= 0) return sent;
  if (sent === -EAGAIN) return undefined;
  throw systemError(
    `Cannot send ${data.length} bytes and ${fds.length} descriptors`,
    "sendmsg",
    -sent,
  );
}

/**
 * Sends bytes and descriptors in one message, waiting while the socket is full. The descriptors stay the caller's; the
 * receiver gets others for the same open files. A stream socket may take the bytes in several pieces; the descriptors
 * go with the first.
 *
 * @param socket A connected socket.
 * @param data At least one byte if there are descriptors.
 * @param fds At most 253 open descriptors.
 * @param options How long to wait at most, and a signal that ends the wait. A stream socket may have taken some of the bytes by then,
 * and the descriptors with them.
 * @returns Resolves when all is handed to the kernel.
 * @throws {IpcError} `Timeout`; `Disconnected` if the peer is gone; `Closed`; `System` for a descriptor that is not open.
 * @throws {TypeError} If the data is no byte string, or there are descriptors without any.
 * @throws {RangeError} For more than 253 descriptors.
 *
 * @example Passing standard input on
 * ```ts
 * import { recvFds, sendFds, UnixSocket } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const [a, b] = UnixSocket.pair();
 * await sendFds(a, new Uint8Array([1]), [0]);
 * const { fds } = await recvFds(b, 16);
 * assertEquals(fds.length, 1);
 * for (const fd of fds) fd.close();
 * a.close(), b.close();
 * ```
 */
export async function sendFds(
  socket: UnixSocket,
  data: Uint8Array,
  fds: readonly number[],
  options?: WaitOptions,
): Promise<void> {
  const left = timeLeft(options);
  options?.signal?.throwIfAborted();
  checkSend(socket, data, fds);
  if (mustGiveWay()) await giveWay();
  for (;;) {
    const sent = attemptSend(socket, data, fds);
    if (sent === undefined) {
      await pollEventually(socket, POLLOUT, SEND, { ...options, ...left() });
    } else if (sent === data.length) {
      return;
    } else {
      data = data.subarray(sent);
      fds = [];
    }
  }
}

/**
 * The blocking twin of {@linkcode sendFds}.
 *
 * @param socket A connected socket.
 * @param data At least one byte if there are descriptors.
 * @param fds At most 253 open descriptors.
 * @param options How long to wait at most.
 * @throws {IpcError} As {@linkcode sendFds}.
 *
 * @example Without awaiting
 * ```ts
 * import { recvFdsSync, sendFdsSync, UnixSocket } from "@isthmus/ipc/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * const [a, b] = UnixSocket.pair();
 * sendFdsSync(a, new Uint8Array([1]), [0]);
 * const { data, fds } = recvFdsSync(b, 16);
 * assertEquals([data.length, fds.length], [1, 1]);
 * for (const fd of fds) fd.close();
 * a.close(), b.close();
 * ```
 */
export function sendFdsSync(
  socket: UnixSocket,
  data: Uint8Array,
  fds: readonly number[],
  options?: SyncWaitOptions,
): void {
  const left = timeLeft(options);
  checkSend(socket, data, fds);
  for (;;) {
    const sent = attemptSend(socket, data, fds);
    if (sent === undefined) {
      waitSync(socket, POLLOUT, SEND, options, left);
    } else if (sent === data.length) {
      return;
    } else {
      data = data.subarray(sent);
      fds = [];
    }
  }
}

/** One attempt; `undefined` if nothing is there. */
function attemptReceive(socket: UnixSocket, buffer: Uint8Array<ArrayBuffer>, maxFds: number): ReceivedFds | undefined {
  let received: ReceivedMessage | number = receiveMessage(socket.fd, buffer, maxFds);
  if (socket.type === "seqpacket") {
    for (let i = 0; i < END_LOOKS && tellsEnd(received); i++) received = receiveMessage(socket.fd, buffer, maxFds);
  }
  if (typeof received === "number") {
    if (received === -EAGAIN) return undefined;
    throw systemError("Cannot receive descriptors", "recvmsg", -received);
  }
  if (wasCutOff(received)) {
    for (const fd of received.fds) fd.close();
    throw new IpcError(
      "TooLarge",
      `Cannot receive a packet of more than ${buffer.length} bytes: its end was cut off; allow more`,
    );
  }
  return { data: buffer.subarray(0, received.length), fds: received.fds };
}

function receiveBuffer(socket: UnixSocket, maxBytes: number, maxFds: number): Uint8Array<ArrayBuffer> {
  checkSocket(socket, "Cannot receive descriptors");
  integerOf(maxBytes, 1, Number.MAX_SAFE_INTEGER, "Cannot receive as many bytes as");
  integerOf(maxFds, 0, Number.MAX_SAFE_INTEGER, "Cannot receive as many descriptors as");
  return new Uint8Array(maxBytes);
}

/**
 * Waits for a message and takes its bytes and descriptors. Every descriptor is closed by `exec`.
 *
 * @param socket A connected socket.
 * @param maxBytes Bytes to take at most.
 * @param maxFds Descriptors to take at most; may be left out. 253 by default.
 * @param options How long to wait at most, and a signal that ends the wait; nothing is lost by either.
 * @returns The bytes (none at the end of the stream) and the descriptors.
 * @throws {IpcError} `Timeout`; `Corrupt` for more descriptors than allowed (all are closed), `TooLarge` for a longer packet (its
 * end and its descriptors are lost); `Closed`; `System` if this process has no descriptor left.
 * @throws {RangeError} If the limit is not an integer from 1.
 *
 * @example Taking one descriptor
 * ```ts
 * import { recvFds, sendFds, UnixSocket } from "@isthmus/ipc/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * const [a, b] = UnixSocket.pair();
 * await sendFds(a, new TextEncoder().encode("input"), [0]);
 * const { data, fds } = await recvFds(b, 16, 1);
 * assertEquals(new TextDecoder().decode(data), "input");
 * fds[0]!.close(); // this process's own duplicate
 * a.close(), b.close();
 * ```
 */
export async function recvFds(
  socket: UnixSocket,
  maxBytes: number,
  maxFds?: number | WaitOptions,
  options?: WaitOptions,
): Promise<ReceivedFds> {
  const [most, wait] = limitsOf(maxFds, options);
  const left = timeLeft(wait);
  wait?.signal?.throwIfAborted();
  const buffer = receiveBuffer(socket, maxBytes, most);
  if (mustGiveWay()) await giveWay();
  for (;;) {
    const received = attemptReceive(socket, buffer, most);
    if (received !== undefined) return received;
    await pollEventually(socket, POLLIN, RECEIVE, { ...wait, ...left() });
  }
}

/**
 * The blocking twin of {@linkcode recvFds}.
 *
 * @param socket A connected socket.
 * @param maxBytes Bytes to take at most.
 * @param maxFds Descriptors to take at most; may be left out. 253 by default.
 * @param options How long to wait at most; nothing is lost by it.
 * @returns The bytes (none at the end of the stream) and the descriptors.
 * @throws {IpcError} As {@linkcode recvFds}.
 *
 * @example Without awaiting
 * ```ts
 * import { recvFdsSync, sendFdsSync, UnixSocket } from "@isthmus/ipc/ffi";
 * import { assertEquals } from "@std/assert";
 *
 * const [a, b] = UnixSocket.pair();
 * sendFdsSync(a, new Uint8Array([1]), [0]);
 * const { data, fds } = recvFdsSync(b, 16);
 * assertEquals([data.length, fds.length], [1, 1]);
 * for (const fd of fds) fd.close();
 * a.close(), b.close();
 * ```
 */
export function recvFdsSync(
  socket: UnixSocket,
  maxBytes: number,
  maxFds?: number | SyncWaitOptions,
  options?: SyncWaitOptions,
): ReceivedFds {
  const [most, wait] = limitsOf(maxFds, options);
  const left = timeLeft(wait);
  const buffer = receiveBuffer(socket, maxBytes, most);
  for (;;) {
    const received = attemptReceive(socket, buffer, most);
    if (received !== undefined) return received;
    waitSync(socket, POLLIN, RECEIVE, wait, left);
  }
}
