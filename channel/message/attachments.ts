// The descriptors of one message: on its way out, and as it came in.
//
// They go beside the message, by number. Whatever is moved by sending is taken from its owner only when the send has
// succeeded.
import { IpcError } from "../../base/error.ts";
import { type IpcFd, watchFd } from "../../ffi/file/fd.ts";
import { closeAllForeign, closeForeign } from "../../ffi/file/foreign_fd.ts";
import { closeAll } from "../ring/carrier.ts";

/** The descriptors of one message on its way out, and what to do when it is sent or is not. */
export class Attachments {
  /** Still owned by what is attached, unless {@linkcode hold} was called. */
  readonly fds: number[] = [];
  readonly #owners: IpcFd[] = [];
  /** Made for those that move. */
  #onSent: (() => void)[] | undefined;
  #onKept: (() => void)[] | undefined;

  /** Who has them. */
  get owners(): readonly IpcFd[] {
    return this.#owners;
  }

  /** Adds descriptors to those of the message. */
  add(fds: readonly IpcFd[]): void {
    for (const fd of fds) this.addOne(fd);
  }

  /** Adds one. */
  addOne(fd: IpcFd): void {
    this.fds.push(fd.fd);
    this.#owners.push(fd);
  }

  /**
   * The message has to wait: goes on with duplicates of the descriptors, as their owners may close theirs meanwhile, and
   * the numbers then stand for something else.
   */
  hold(): void {
    const held: IpcFd[] = [];
    try {
      for (const owner of this.#owners) held.push(owner.clone());
    } catch (error) {
      closeAll(held);
      throw error;
    }
    for (let i = 0; i < held.length; i++) this.fds[i] = held[i]!.fd;
    this.moves(() => closeAll(held), () => closeAll(held));
  }

  /**
   * The value is encoded. A getter in it may have closed what was added before, and the number may stand for something else by
   * now.
   *
   * @throws {IpcError} `Closed` if so.
   */
  checkOwners(): void {
    for (let i = 0; i < this.#owners.length; i++) {
      if (this.#owners[i]!.closed || this.#owners[i]!.fd !== this.fds[i]) {
        throw new IpcError("Closed", "Cannot send the value: a getter in it closed an endpoint or a descriptor of it");
      }
    }
  }

  /** Something moves: `sent` closes it here, `kept` takes it back if the message was not sent. */
  moves(sent: () => void, kept: () => void): void {
    (this.#onSent ??= []).push(sent);
    (this.#onKept ??= []).push(kept);
  }

  /** The message is on its way. */
  sent(): void {
    const acts = this.#onSent;
    this.#onSent = this.#onKept = undefined;
    if (acts !== undefined) { for (const act of acts) act(); }
  }

  /** The message was not sent: everything still belongs to its owner. */
  kept(): void {
    const acts = this.#onKept;
    this.#onSent = this.#onKept = undefined;
    if (acts !== undefined) { for (const act of acts.reverse()) act(); }
  }
}

/** The descriptors of one message that came in; each can be claimed once. */
export class ReceivedAttachments {
  readonly #fds: (IpcFd | undefined)[];

  /** @param fds Owned by this object until they are claimed. */
  constructor(fds: readonly IpcFd[]) {
    this.#fds = [...fds];
  }

  /** Takes over the descriptor of number `at`; it is closed should it be forgotten. */
  claimOne(at: unknown): IpcFd {
    return watchFd(this.take(at));
  }

  /** Takes over the descriptor of number `at`, for an endpoint that closes it should it be forgotten. */
  take(at: unknown): IpcFd {
    const fd = Number.isInteger(at) ? this.#fds[at as number] : undefined;
    if (fd === undefined) {
      throw new IpcError("Serialization", `Cannot decode a message: descriptor ${at} is not there, or taken twice`);
    }
    this.#fds[at as number] = undefined;
    return fd;
  }

  /** Takes over `count` descriptors from number `first` on, for an endpoint that closes them should it be forgotten. */
  claim(first: unknown, count: number): IpcFd[] {
    const claimed: IpcFd[] = [];
    try {
      for (let i = 0; i < count; i++) claimed.push(this.take((first as number) + i));
    } catch (error) {
      closeAllForeign(claimed);
      throw error;
    }
    return claimed;
  }

  /** Closes what nobody claimed. */
  close(): void {
    for (const fd of this.#fds) if (fd !== undefined) closeForeign(fd);
  }
}
