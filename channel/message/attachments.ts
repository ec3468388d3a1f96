// How endpoints, memory and descriptors travel inside a value.
//
// In the value they become `27(["isthmus", kind, first descriptor, …])`; the descriptors go beside the message, by
// number. Whatever is moved by sending is taken from its owner only when the send has succeeded.
import { IpcError } from "../../base/error.ts";
import { IpcFd } from "../../ffi/file/fd.ts";
import { closeAllForeign, closeForeign, disposeForeign } from "../../ffi/file/foreign_fd.ts";
import { PACK } from "../../base/pack.ts";
import { closeAll } from "../ring/carrier.ts";

/** First element of the array that stands for a traveller. */
export const MARK = "isthmus";

export { PACK };

/** Something that can stand inside a value that is sent. */
export interface Traveller {
  /** Returns the kind, and what else the receiving side needs to know. */
  [PACK](attachments: Attachments): [kind: Kind, ...details: unknown[]];
}

/** Packs a traveller as another kind: for a wrapper around it. */
export function packAs(kind: Kind, inner: Traveller, attachments: Attachments): [kind: Kind, ...details: unknown[]] {
  const [, ...details] = inner[PACK](attachments);
  return [kind, ...details];
}

/** What a traveller is. The numbers are on the wire. */
export type Kind =
  | "sender"
  | "receiver"
  | "bytes-sender"
  | "bytes-receiver"
  | "opaque-sender"
  | "opaque-receiver"
  | "duplex"
  | "shared-memory"
  | "fd";

/** The descriptors of one message on its way out, and what to do when it is sent or is not. */
export class Attachments {
  /** Still owned by the travellers, unless {@linkcode hold} was called. */
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
   * The message has to wait: goes on with duplicates of the descriptors, as the travellers may be closed meanwhile, and
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

// Put aside while a getter sends something else, in the middle of the message.
let current: Attachments | undefined;

/** Called by the encoder for every object that is not plain. */
export function collect(object: object): unknown[] | undefined {
  if (object instanceof IpcFd) {
    // Of a layer below, which knows no messages. Shared, not moved: the sender keeps its own.
    return [MARK, "fd", (current ??= new Attachments()).add([object])];
  }
  const pack = (object as Partial<Traveller>)[PACK];
  if (typeof pack !== "function") return undefined;
  current ??= new Attachments();
  const at = current.fds.length;
  const packed = pack.call(object, current);
  const written: unknown[] = [MARK, packed[0], at];
  for (let i = 1; i < packed.length; i++) written.push(packed[i]);
  return written;
}

/**
 * Runs an encoder that calls {@linkcode collect}.
 *
 * @returns What was collected; `undefined` for a message without travellers.
 */
export function collecting<T>(encode: (value: T) => void, value: T): Attachments | undefined {
  const outer = current;
  current = undefined;
  try {
    encode(value);
    // Assigned by `collect`, which the compiler cannot see.
    (current as Attachments | undefined)?.checkOwners();
    return current;
  } catch (error) {
    (current as Attachments | undefined)?.kept();
    throw error;
  } finally {
    current = outer;
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
    return this.claim(at, 1)[0]!.watch();
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

type Unpack = (attachments: ReceivedAttachments, first: unknown, details: readonly unknown[]) => Disposable;

const unpackers = new Map<string, Unpack>();

/** Registers how a kind of traveller is put together again. */
export function onArrival(kind: Kind, unpack: Unpack): void {
  unpackers.set(kind, unpack);
}

onArrival("fd", (attachments, first) => attachments.claimOne(first));

/** Puts the travellers of one message together again. */
export class Reviver {
  readonly #attachments: ReceivedAttachments;
  readonly #revived: Disposable[] = [];

  /** @param fds The descriptors of the message. */
  constructor(fds: readonly IpcFd[]) {
    this.#attachments = new ReceivedAttachments(fds);
  }

  /** Called by the decoder with what {@linkcode collect} returned. */
  readonly revive = (written: readonly unknown[]): unknown => {
    if (written[0] !== MARK) return undefined;
    const [, kind, first, ...details] = written;
    // Not to be converted to text before it is known to be text: a peer may have made it of a million parts.
    if (typeof kind !== "string" || typeof first !== "number") {
      throw new IpcError("Serialization", "Cannot decode a message: an endpoint in it is damaged");
    }
    const unpack = unpackers.get(kind);
    if (unpack === undefined) {
      throw new IpcError(
        "Incompatible",
        `Cannot decode a message: this version of the package knows no "${kind.slice(0, 40)}"`,
      );
    }
    const traveller = unpack(this.#attachments, first, details);
    this.#revived.push(traveller);
    return traveller;
  };

  /** The message is decoded: closes the descriptors that nobody claimed. */
  finish(): void {
    this.#attachments.close();
  }

  /** The message could not be decoded: closes everything. */
  abandon(): void {
    for (const traveller of this.#revived) disposeForeign(traveller);
    this.#attachments.close();
  }
}
