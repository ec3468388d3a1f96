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
  readonly #onSent: (() => void)[] = [];
  readonly #onKept: (() => void)[] = [];

  /** Adds descriptors; returns the number of the first among those of the message. */
  add(fds: readonly IpcFd[]): number {
    const first = this.fds.length;
    for (const fd of fds) {
      this.fds.push(fd.fd);
      this.#owners.push(fd);
    }
    return first;
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
    this.#onSent.push(() => closeAll(held));
    this.#onKept.push(() => closeAll(held));
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
    this.#onSent.push(sent);
    this.#onKept.push(kept);
  }

  /** The message is on its way. */
  sent(): void {
    for (const act of this.#onSent.splice(0)) act();
    this.#onKept.length = 0;
  }

  /** The message was not sent: everything still belongs to its owner. */
  kept(): void {
    for (const act of this.#onKept.splice(0).reverse()) act();
    this.#onSent.length = 0;
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
    return watchFd(this.claim(at, 1)[0]!);
  }

  /** Takes over `count` descriptors from number `first` on, for an endpoint that closes them should it be forgotten. */
  claim(first: unknown, count: number): IpcFd[] {
    const claimed: IpcFd[] = [];
    for (let i = 0; i < count; i++) {
      const at = (first as number) + i;
      const fd = Number.isInteger(at) ? this.#fds[at] : undefined;
      if (fd === undefined) {
        closeAllForeign(claimed);
        throw new IpcError("Serialization", `Cannot decode a message: descriptor ${at} is not there, or taken twice`);
      }
      this.#fds[at] = undefined;
      claimed.push(fd);
    }
    return claimed;
  }

  /** Closes what nobody claimed. */
  close(): void {
    for (const fd of this.#fds) if (fd !== undefined) closeForeign(fd);
  }
}
