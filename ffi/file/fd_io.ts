// Reading and writing through a descriptor, whatever it is: a file, a pipe, a socket, a terminal.
//
// Others may have the same open file, and whether it blocks is a property of that: it is not changed here. So a socket is
// asked by calls that never wait, and of a pipe or a terminal only as much as it has said it is ready for.
import { asFound } from "../../base/arguments.ts";
import { IpcError } from "../../base/error.ts";
import { afterOthers } from "../../base/event_loop.ts";
import { fileStatus } from "./file_status.ts";
import { libc, systemError } from "../libc/libc.ts";
import { EAGAIN, EINTR, F_GETFL, MSG_DONTWAIT, MSG_NOSIGNAL, O_NONBLOCK, POLLIN, POLLOUT } from "../libc/platform.ts";
import { pollUntil } from "../event/poll.ts";
import { type FdOwner, pollEventually } from "../event/readiness.ts";
import { deadlineAfter, type SyncWaitOptions, timeoutError, timeoutOf, type WaitOptions } from "../../base/wait.ts";

/** What matters about an open file for reading and writing it. */
export type FdKind = "file" | "socket" | "other";

/** The kind of an open file. */
export function kindOf(fd: number): FdKind {
  const status = fileStatus(fd);
  return status?.regular || status?.folder ? "file" : status?.socket ? "socket" : "other";
}

/** Bytes that a pipe or a terminal takes without waiting, once it says that it is ready: `PIPE_BUF`. */
const READY_FOR = 4096;

/** Bytes that a stream reads at a time. */
const PIECE = 64 << 10;

const READ = "read from a descriptor", WRITE = "write to a descriptor";

function checkBuffer(buffer: unknown, what: string): void {
  if (!(buffer instanceof Uint8Array)) throw new TypeError(`Cannot ${what}: give a Uint8Array, not ${asFound(buffer)}`);
}

/** The number of bytes, or `undefined` if it is not ready. */
function attempt(fd: number, kind: FdKind, events: number, bytes: Uint8Array): number | undefined {
  const { c, errnoCell } = libc();
  const reads = events === POLLIN;
  if (kind === "other" && pollUntil(fd, events, 0) === 0) return undefined;
  for (;;) {
    const part = bytes as Uint8Array<ArrayBuffer>;
    let result: number;
    if (kind === "socket") {
      const count = BigInt(part.length);
      result = reads ? c.recv(fd, part, count, MSG_DONTWAIT) : c.send(fd, part, count, MSG_DONTWAIT | MSG_NOSIGNAL);
    } else {
      const most = kind === "file" || reads || isNonBlocking(fd) ? part.length : Math.min(part.length, READY_FOR);
      result = reads ? c.read(fd, part, BigInt(most)) : c.write(fd, part, BigInt(most));
    }
    const errno = errnoCell[0]!;
    if (result >= 0) return result;
    if (errno === EAGAIN) return undefined;
    if (errno !== EINTR) throw systemError(`Cannot ${reads ? READ : WRITE}`, reads ? "read" : "write", errno);
  }
}

function isNonBlocking(fd: number): boolean {
  return (libc().c.fcntl(fd, F_GETFL, 0) & O_NONBLOCK) !== 0;
}

async function transfer(
  owner: FdOwner,
  kind: FdKind,
  events: number,
  bytes: Uint8Array,
  options: WaitOptions | undefined,
): Promise<number> {
  const timeout = timeoutOf(options);
  options?.signal?.throwIfAborted();
  const deadline = deadlineAfter(timeout);
  for (;;) {
    const done = attempt(owner.fd, kind, events, bytes);
    if (done !== undefined) return done;
    const left = timeout === 0 ? 0 : Math.max(0, deadline - performance.now());
    await pollEventually(owner, events, events === POLLIN ? READ : WRITE, {
      ...options,
      ...(timeout === Infinity ? {} : { timeout: left }),
    });
  }
}

function transferSync(
  owner: FdOwner,
  kind: FdKind,
  events: number,
  bytes: Uint8Array,
  options: SyncWaitOptions | undefined,
): number {
  const timeout = timeoutOf(options);
  const deadline = timeout === 0 ? 0 : deadlineAfter(timeout);
  for (;;) {
    const done = attempt(owner.fd, kind, events, bytes);
    if (done !== undefined) return done;
    if (pollUntil(owner.fd, events, deadline) === 0) {
      throw timeoutError(events === POLLIN ? READ : WRITE, timeout);
    }
  }
}

/** Nothing read is the end, unless nothing was asked for. */
function ended(read: number, buffer: Uint8Array): number | null {
  return read === 0 && buffer.length > 0 ? null : read;
}

/** Reads once; `null` at the end. */
export function read(owner: FdOwner, kind: FdKind, buffer: Uint8Array, options?: WaitOptions): Promise<number | null> {
  return afterOthers(readOnce(owner, kind, buffer, options));
}

async function readOnce(
  owner: FdOwner,
  kind: FdKind,
  buffer: Uint8Array,
  options: WaitOptions | undefined,
): Promise<number | null> {
  checkBuffer(buffer, READ);
  return ended(await transfer(owner, kind, POLLIN, buffer, options), buffer);
}

/** The same, blocking. */
export function readSync(owner: FdOwner, kind: FdKind, buffer: Uint8Array, options?: SyncWaitOptions): number | null {
  checkBuffer(buffer, READ);
  return ended(transferSync(owner, kind, POLLIN, buffer, options), buffer);
}

/** Writes once, perhaps a part. */
export function write(owner: FdOwner, kind: FdKind, bytes: Uint8Array, options?: WaitOptions): Promise<number> {
  return afterOthers(writeOnce(owner, kind, bytes, options));
}

async function writeOnce(
  owner: FdOwner,
  kind: FdKind,
  bytes: Uint8Array,
  options: WaitOptions | undefined,
): Promise<number> {
  checkBuffer(bytes, WRITE);
  return await transfer(owner, kind, POLLOUT, bytes, options);
}

/** The same, blocking. */
export function writeSync(owner: FdOwner, kind: FdKind, bytes: Uint8Array, options?: SyncWaitOptions): number {
  checkBuffer(bytes, WRITE);
  return transferSync(owner, kind, POLLOUT, bytes, options);
}

/** What a stream reads from or writes to, and closes at its end. */
export interface FdOfStream extends FdOwner {
  close(): void;
}

/** A stream of what is read. */
export function readableOf(owner: FdOfStream, kind: FdKind): ReadableStream<Uint8Array<ArrayBuffer>> {
  const stop = new AbortController();
  return new ReadableStream({
    async pull(controller) {
      const buffer = new Uint8Array(PIECE);
      try {
        const length = await read(owner, kind, buffer, { signal: stop.signal });
        if (length !== null) return controller.enqueue(buffer.subarray(0, length));
        owner.close();
        controller.close();
      } catch (error) {
        if (stop.signal.aborted) return;
        owner.close();
        controller.error(error);
      }
    },
    cancel() {
      stop.abort(new IpcError("Closed", `Cannot ${READ}: the stream was cancelled`));
      owner.close();
    },
  }, { highWaterMark: 0 });
}

/** A stream that is written. */
export function writableOf(owner: FdOfStream, kind: FdKind): WritableStream<Uint8Array> {
  return new WritableStream({
    async write(bytes, { signal }) {
      try {
        checkBuffer(bytes, WRITE);
        for (let rest = bytes; rest.length > 0;) rest = rest.subarray(await write(owner, kind, rest, { signal }));
      } catch (error) {
        owner.close();
        throw error;
      }
    },
    close: () => owner.close(),
    abort: () => owner.close(),
  });
}
