// One owner for one file descriptor.
import { check, libc } from "./libc.ts";
import { IpcError } from "./error.ts";
import { F_DUPFD_CLOEXEC } from "./platform.ts";
import { own, release } from "./owned_fds.ts";
import { guardFd, unguardFd } from "./thread_end.ts";

// A backstop for owners that were forgotten; `close()` is the plan.
const forgotten = new FinalizationRegistry<{ fd: number; guard: Int32Array | undefined }>(({ fd, guard }) => {
  unguardFd(guard);
  if (release(fd)) libc().c.close(fd);
});

/**
 * Owns one file descriptor of this process: closes it once, and never uses it after that.
 *
 * Inside a message it is shared with the receiver: both sides own a descriptor of the same open file.
 *
 * @example Sending an open file to whoever holds the receiver
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
  #fd: number;
  readonly #guard: Int32Array | undefined;
  #watched: boolean;

  /**
   * Takes ownership: from now on only this object closes the descriptor.
   *
   * @param fd An open file descriptor of this process, an integer from 0.
   * @throws {TypeError} If `fd` is not such a number.
   */
  constructor(fd: number);
  /** @ignore Not for programs: with `false` whoever owns this object closes it for certain, see {@linkcode watch}. */
  constructor(fd: number, watched: boolean);
  constructor(fd: number, watched = true) {
    if (!Number.isInteger(fd) || fd < 0 || fd > 0x7fffffff) {
      throw new TypeError(`Cannot own descriptor ${String(fd)}: it must be an integer from 0`);
    }
    this.#fd = fd;
    own(fd);
    this.#guard = guardFd(fd);
    this.#watched = false;
    if (watched) this.watch();
  }

  /**
   * Has the descriptor closed should this object be forgotten. Not done for those that belong to something which is
   * watched itself: it takes as long as closing one.
   *
   * @ignore
   */
  watch(): this {
    if (!this.#watched && this.#fd >= 0) forgotten.register(this, { fd: this.#fd, guard: this.#guard }, this);
    this.#watched = true;
    return this;
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

  /** Closes the descriptor. Closing twice is harmless. */
  close(): void {
    if (this.#fd < 0) return;
    const fd = this.#fd;
    this.#fd = -1;
    unguardFd(this.#guard);
    if (this.#watched) forgotten.unregister(this);
    if (release(fd)) libc().c.close(fd); // Linux frees the number whatever it returns
  }

  /** Same as {@linkcode IpcFd.close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}
