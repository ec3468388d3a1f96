// Waiting for descriptors that the event loop cannot adopt, or must not read from.
//
// One thread of Deno's pool sleeps in `poll` for all of them, as long as there are any: nothing is looked at by the clock,
// and an isolate that waits for nothing of the kind has no thread. A pipe of its own tells that thread of changes; where
// the isolate is dropped, the pipe is closed, which tells it as well.
import { IpcError } from "../../base/error.ts";
import { noteClosing } from "../file/fd_closing.ts";
import { check, libc } from "../libc/libc.ts";
import { own, release } from "../file/owned_fds.ts";
import {
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  O_CLOEXEC,
  O_NONBLOCK,
  POLLIN,
  POLLNVAL,
  PROT_READ,
  PROT_WRITE,
} from "../libc/platform.ts";
import { runtime } from "../runtime/mod.ts";
import type { Pointer } from "../runtime/runtime.ts";
import { pollUntil } from "./poll.ts";
import { guardFd, unguardFd } from "../process/thread_end.ts";
import { PendingWait, timeoutError, timeoutOf, type WaitOptions } from "../../base/wait.ts";

/** What owns a descriptor and can close it. */
export interface FdOwner {
  /** The descriptor. */
  readonly fd: number;
  /** Whether it was closed. */
  readonly closed: boolean;
}

interface Waiting {
  readonly fd: number;
  readonly events: number;
  readonly what: string;
  readonly wait: PendingWait<number>;
}

/** `struct pollfd`. */
const POLLFD = 8;

type Poll = (fds: Pointer, count: bigint, timeout: number) => Promise<number>;

/** The thread of this isolate, while it sleeps, and those it sleeps for. */
class Watch {
  readonly #waiting = new Set<Waiting>();
  /** Whether {@linkcode #run} goes on. Not told by its promise: it may end, without a descriptor, before there is one. */
  #running = false;
  #ended: Promise<void> | undefined;
  #poll: Poll | undefined;
  /** Ends to listen on and to ring, while the thread sleeps. */
  #bell: { listen: number; ring: number; guards: (Int32Array | undefined)[] } | undefined;
  /** Not of V8's: the kernel writes to it when the isolate may be gone. Never given back to the system. */
  #memory: { pointer: Pointer; fds: Int32Array } | undefined;

  add(item: Waiting): void {
    this.#waiting.add(item);
    if (!this.#running) this.#ended = this.#run();
    else this.#change();
  }

  /** Forgets a wait; the thread may sleep for it a moment longer. */
  remove(item: Waiting): void {
    if (this.#waiting.delete(item)) this.#change();
  }

  /** Once the thread does not sleep any more, if nobody waits. */
  async rest(): Promise<void> {
    if (this.#waiting.size === 0) await this.#ended;
  }

  /** A descriptor is about to be closed: those that wait for it learn of that. */
  closing(fd: number): void {
    if (this.#waiting.size === 0) return;
    for (const item of [...this.#waiting]) {
      if (item.fd !== fd) continue;
      this.remove(item);
      item.wait.reject(new IpcError("Closed", `Cannot ${item.what}: it was closed while it was awaited`));
    }
  }

  /** Wakes the thread. */
  #change(): void {
    if (this.#bell !== undefined) libc().c.write(this.#bell.ring, ONE_BYTE, 1n);
  }

  async #run(): Promise<void> {
    this.#running = true;
    const { c } = libc();
    try {
      const { listen } = this.#bell = newBell();
      const poll = this.#poll ??= runtime.onAnotherThread(c.poll_address, ["pointer", "usize", "i32"]);
      while (this.#waiting.size > 0) {
        const items = [...this.#waiting];
        const { pointer, fds } = this.#room(items.length + 1);
        fds[0] = listen, fds[1] = POLLIN;
        items.forEach(({ fd, events }, i) => (fds[2 * i + 2] = fd, fds[2 * i + 3] = events));
        await poll(pointer, BigInt(items.length + 1), -1);
        // Errors, of which a signal is one, are what no descriptor says.
        if (fds[1]! >>> 16 !== 0) { while (c.read(listen, DRAIN, BigInt(DRAIN.length)) === DRAIN.length); }
        items.forEach((item, i) => {
          const found = fds[2 * i + 3]! >>> 16;
          fds[2 * i + 3] = 0;
          if (found === 0 || !this.#waiting.delete(item)) return;
          if ((found & POLLNVAL) === 0) item.wait.resolve(found);
          else item.wait.reject(new IpcError("System", `Cannot ${item.what}: the descriptor is not open`));
        });
      }
    } catch (error) {
      for (const item of [...this.#waiting]) this.#waiting.delete(item), item.wait.reject(error);
    } finally {
      this.#running = false;
      if (this.#bell !== undefined) {
        const { listen, ring, guards } = this.#bell;
        this.#bell = undefined;
        guards.forEach(unguardFd);
        for (const fd of [listen, ring]) if (release(fd)) c.close(fd);
      }
    }
  }

  #room(count: number): { pointer: Pointer; fds: Int32Array } {
    if (this.#memory === undefined || this.#memory.fds.length < 2 * count) {
      const length = Math.max(4096, 2 ** Math.ceil(Math.log2(count * POLLFD)));
      const { c, errnoCell } = libc();
      const pointer = c.mmap(null, BigInt(length), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0n);
      check(runtime.address(pointer) >> 48n === 0n ? 0 : -1, errnoCell[0]!, "mmap", "Cannot wait");
      const fds = new Int32Array(runtime.memoryAt(pointer!, length));
      this.#memory = { pointer: pointer!, fds };
    }
    this.#memory.fds.fill(0, 0, 2 * count);
    return this.#memory;
  }
}

const ONE_BYTE = new Uint8Array([1]), DRAIN = new Uint8Array(64);

function newBell(): { listen: number; ring: number; guards: (Int32Array | undefined)[] } {
  const { c, errnoCell } = libc();
  const ends = new Int32Array(2);
  check(c.pipe2(ends, O_CLOEXEC | O_NONBLOCK), errnoCell[0]!, "pipe2", "Cannot wait for a descriptor");
  const [listen, ring] = [ends[0]!, ends[1]!];
  const guards = [listen, ring].map((fd) => (own(fd), guardFd(fd)));
  return { listen, ring, guards };
}

const watch = new Watch();
noteClosing((fd) => watch.closing(fd));

/**
 * Resolves when a descriptor is ready.
 *
 * @param owner Whose descriptor it is; closing it ends the wait with `Closed`.
 * @param events `POLLIN` or `POLLOUT`.
 * @param what What is waited for, for error messages ("accept a client").
 * @param options How long to wait at most, and a signal that ends the wait.
 * @returns The events found.
 */
export async function pollEventually(
  owner: FdOwner,
  events: number,
  what: string,
  options?: WaitOptions,
): Promise<number> {
  const timeout = timeoutOf(options);
  options?.signal?.throwIfAborted();
  if (owner.closed) throw new IpcError("Closed", `Cannot ${what}: it was closed`);
  const { fd } = owner;
  const found = pollUntil(fd, events, 0);
  if (found !== 0) return found;
  if (timeout === 0) throw timeoutError(what, 0);
  const wait = new PendingWait<number>(what, options, () => watch.remove(item));
  const item: Waiting = { fd, events, what, wait };
  watch.add(item);
  try {
    return await wait.promise;
  } finally {
    await watch.rest();
  }
}

/** Resolves when no thread sleeps for waits that have ended: they end at once, and the thread a moment later. */
export function pollsAtRest(): Promise<void> {
  return watch.rest();
}
