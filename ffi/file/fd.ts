// One owner for one file descriptor.
import { check, libc } from "../libc/libc.ts";
import { printAs, stateOf } from "../../base/custom_inspect.ts";
import { IpcError } from "../../base/error.ts";
import { closing } from "./fd_closing.ts";
import { type FdKind, kindOf, read, readableOf, readSync, writableOf, write, writeSync } from "./fd_io.ts";
import { F_DUPFD_CLOEXEC } from "../libc/platform.ts";
import { own, release } from "./owned_fds.ts";
import { canTravel } from "../../base/pack.ts";
import { guardFd, unguardFd } from "../process/thread_end.ts";
import type { SyncWaitOptions, WaitOptions } from "../../base/wait.ts";

// A backstop for owners that were forgotten; `close()` is the plan.
const forgotten = new FinalizationRegistry<{ fd: number; guard: Int32Array | undefined }>(({ fd, guard }) => {
  unguardFd(guard);
  if (release(fd)) libc().c.close(fd);
});

/** Whether the next owner closes its descriptor should it be forgotten. */
let watches = true;

/**
 * An owner that does not close its descriptor should it be forgotten: for those that belong to something which is watched
 * itself, as watching takes as long as closing one.
 */
export function unwatchedFd(fd: number): IpcFd {
  watches = false;
  try {
    return new IpcFd(fd);
  } finally {
    watches = true;
  }
}

/** The same for all owners that a function makes. */
export function unwatched<T>(make: () => T): T {
  watches = false;
  try {
    return make();
  } finally {
    watches = true;
  }
}

/** Has the descriptor of an owner closed should it be forgotten; returns the owner. */
export let watchFd: (owner: IpcFd) => IpcFd;

/** Lets go of a descriptor that is to be closed now; its number, or -1 if it is closed, or not to be closed any more. */
let letGoOf: (owner: IpcFd) => number;

/** Closes descriptors; those whose numbers come one after another, as those of what was made together, by one call. */
export function closeTogether(owners: readonly IpcFd[]): void {
  for (let i = 0; i < owners.length;) {
    const first = letGoOf(owners[i++]!);
    if (first < 0) continue;
    let last = first;
    while (i < owners.length && !owners[i]!.closed && owners[i]!.fd === last + 1) {
      if (letGoOf(owners[i++]!) < 0) break;
      last++;
    }
    closeRow(first, last);
  }
}

function closeRow(first: number, last: number): void {
  const { c, platform } = libc();
  // Older kernels than Linux 5.9 have no such call.
  if (first < last && c.syscall_close_range(platform.SYS_close_range, first, last, 0) === 0) return;
  for (let fd = first; fd <= last; fd++) c.close(fd);
}

/**
 * Owns one file descriptor of this process: closes it once, and never uses it after that.
 *
 * Inside a message it is shared with the receiver: both sides own a descriptor of the same open file.
 *
 * Give it a number that nobody else will close: one that `recvFds()`, `takeFd()`, a C library or another program has handed
 * over, or a duplicate. Not the number of a file of `node:fs`, or of anything else that Deno has opened: Deno goes on
 * believing that the number is its own. To send such a file, let {@linkcode sendFds} borrow the number, or send an `IpcFd`
 * of it and {@linkcode IpcFd.take} the number back afterwards.
 *
 * @example Sending an open file to the holder of the receiver
 * ```ts
 * import { channel, IpcFd, UnixSocket } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const [a, b] = UnixSocket.pair();
 * const [sender, receiver] = channel<{ socket: IpcFd }>();
 * sender.sendSync({ socket: new IpcFd(a.takeFd()) });
 * using received = receiver.recvSync().socket;
 * assertEquals(typeof received.fd, "number");
 * b.close(), sender.close(), receiver.close();
 * ```
 */
export class IpcFd implements Disposable {
  static {
    printAs(IpcFd.prototype, (owner) => ({ fd: owner.closed ? undefined : owner.fd, state: stateOf(owner) }));
    canTravel(IpcFd.prototype);
    watchFd = (owner) => {
      owner.#watch();
      return owner;
    };
    letGoOf = (owner) => owner.#letGo();
  }

  #fd: number;
  readonly #guard: Int32Array | undefined;
  #watched: boolean;
  #kind: FdKind | undefined;
  #readable: ReadableStream<Uint8Array<ArrayBuffer>> | undefined;
  #writable: WritableStream<Uint8Array> | undefined;

  /**
   * Takes ownership: from now on only this object closes the descriptor.
   *
   * @param fd An open file descriptor of this process, an integer from 0.
   * @throws {TypeError} If `fd` is not such a number.
   */
  constructor(fd: number) {
    if (!Number.isInteger(fd) || fd < 0 || fd > 0x7fffffff) {
      throw new TypeError(`Cannot own descriptor ${String(fd)}: it must be an integer from 0`);
    }
    this.#fd = fd;
    own(fd);
    this.#guard = guardFd(fd);
    this.#watched = false;
    if (watches) this.#watch();
  }

  #watch(): void {
    if (!this.#watched && this.#fd >= 0) forgotten.register(this, { fd: this.#fd, guard: this.#guard }, this);
    this.#watched = true;
  }

  /**
   * The number of the descriptor. It stays owned by this object.
   *
   * @throws {IpcError} `Closed` after {@linkcode IpcFd.close} or {@linkcode IpcFd.take}.
   */
  get fd(): number {
    if (this.#fd < 0) throw new IpcError("Closed", "Cannot use the descriptor: it was closed or taken");
    return this.#fd;
  }

  /** Whether the descriptor was closed or taken. */
  get closed(): boolean {
    return this.#fd < 0;
  }

  /**
   * Hands the descriptor over: the caller must close it, this object no longer does.
   *
   * @returns The number of the descriptor.
   * @throws {IpcError} `Closed` if it was closed or taken already.
   */
  take(): number {
    const fd = this.fd;
    this.#fd = -1;
    closing(fd);
    release(fd);
    unguardFd(this.#guard);
    if (this.#watched) forgotten.unregister(this);
    return fd;
  }

  /**
   * A second descriptor of the same open file, with an owner of its own.
   *
   * @returns The new owner.
   * @throws {IpcError} `Closed`, or `System` if the descriptor table is full.
   */
  clone(): IpcFd {
    const { c, errnoCell } = libc();
    const fd = this.fd;
    return new IpcFd(check(c.fcntl(fd, F_DUPFD_CLOEXEC, 3), errnoCell[0]!, "fcntl", "Cannot duplicate a descriptor"));
  }

  get #kindOfFile(): FdKind {
    return this.#kind ??= kindOf(this.fd);
  }

  /**
   * Reads what is there, or waits until something is. Needs no permission but `--allow-ffi`, whatever the file is. A
   * regular file is read at its offset, which everybody shares who has the same open file. Of a packet socket one packet is
   * read, and what it has beyond the buffer is lost: `recvFds()` refuses such a packet.
   *
   * @param buffer Where the bytes go.
   * @param options How long to wait at most, and a signal that ends the wait; nothing was read then.
   * @returns How many bytes were read, perhaps fewer than there is room for; `null` at the end.
   * @throws {IpcError} `Timeout`; `Closed`; `System` if the descriptor cannot be read.
   * @throws {TypeError} If the buffer is no `Uint8Array`.
   *
   * @example Reading what another process wrote
   * ```ts
   * import { IpcFd, UnixSocket } from "@isthmus/ipc";
   * import { assertEquals } from "@std/assert";
   *
   * const [here, there] = UnixSocket.pair().map((socket) => new IpcFd(socket.takeFd())) as [IpcFd, IpcFd];
   * assertEquals(await there.write(new Uint8Array([1, 2, 3])), 3); // in another process, usually
   * const buffer = new Uint8Array(10);
   * assertEquals(await here.read(buffer), 3);
   * there.close();
   * assertEquals(await here.read(buffer), null);
   * here.close();
   * ```
   */
  read(buffer: Uint8Array, options?: WaitOptions): Promise<number | null> {
    try {
      return read(this, this.#kindOfFile, buffer, options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * The blocking twin of {@linkcode IpcFd.read}.
   *
   * @param buffer Where the bytes go.
   * @param options How long to wait at most.
   * @returns How many bytes were read; `null` at the end.
   * @throws {IpcError} As {@linkcode IpcFd.read}.
   */
  readSync(buffer: Uint8Array, options?: SyncWaitOptions): number | null {
    return readSync(this, this.#kindOfFile, buffer, options);
  }

  /**
   * Writes as much as there is room for, waiting until there is some.
   *
   * @param bytes What to write.
   * @param options How long to wait at most, and a signal that ends the wait; nothing was written then.
   * @returns How many of the bytes were written, at least one: {@linkcode IpcFd.writable} writes all.
   * @throws {IpcError} `Disconnected` if the reader is gone; `Timeout`; `Closed`; `System` if the descriptor cannot be
   * written.
   * @throws {TypeError} If it is no `Uint8Array`.
   */
  write(bytes: Uint8Array, options?: WaitOptions): Promise<number> {
    try {
      return write(this, this.#kindOfFile, bytes, options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * The blocking twin of {@linkcode IpcFd.write}.
   *
   * @param bytes What to write.
   * @param options How long to wait at most.
   * @returns How many of the bytes were written.
   * @throws {IpcError} As {@linkcode IpcFd.write}.
   */
  writeSync(bytes: Uint8Array, options?: SyncWaitOptions): number {
    return writeSync(this, this.#kindOfFile, bytes, options);
  }

  /**
   * What is read, as a stream; the same one each time. At its end, or when it is cancelled, the descriptor is closed.
   *
   * @throws {IpcError} `Closed`.
   */
  get readable(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#readable ??= readableOf(this, this.#kindOfFile);
  }

  /**
   * A stream that writes all that it is given; the same one each time. Closing or aborting it closes the descriptor.
   *
   * @throws {IpcError} `Closed`.
   */
  get writable(): WritableStream<Uint8Array> {
    return this.#writable ??= writableOf(this, this.#kindOfFile);
  }

  /** Closes the descriptor. Closing twice is harmless. */
  close(): void {
    const fd = this.#letGo();
    if (fd >= 0) libc().c.close(fd); // Linux frees the number whatever it returns
  }

  /** To be closed by the caller: its number, or -1. */
  #letGo(): number {
    if (this.#fd < 0) return -1;
    const fd = this.#fd;
    this.#fd = -1;
    closing(fd);
    unguardFd(this.#guard);
    if (this.#watched) forgotten.unregister(this);
    return release(fd) ? fd : -1;
  }

  /** Same as {@linkcode IpcFd.close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}
