// How endpoints, memory and descriptors stand inside a value.
//
// In the value they become `27(["isthmus", kind, first descriptor, …])`; their descriptors are attached to the message.
// What kinds there are, and how each is taken apart and put together, stands in one table, `endpoint/travellers.ts`:
// this room knows no endpoint.
import { IpcError } from "../../base/error.ts";
import type { IpcFd } from "../../ffi/file/fd.ts";
import { disposeForeign } from "../../ffi/file/foreign_fd.ts";
import { encodeCbor, Mark, type StandIn } from "../../cbor/mod.ts";
import { Attachments, ReceivedAttachments } from "./attachments.ts";

/** First element of the array that stands for a traveller. */
export const MARK = "isthmus";

/** The same for the decoder, which knows the names of the kinds then. */
export let mark: Mark = new Mark(MARK);

/** What a traveller is. The names are on the wire. */
export type KindName =
  | "sender"
  | "receiver"
  | "bytes-sender"
  | "bytes-receiver"
  | "opaque-sender"
  | "opaque-receiver"
  | "duplex"
  | "bytes-duplex"
  | "shared-memory"
  | "fd";

/** How travellers of a kind get into messages, and out of them. */
export interface TravellerKind<T extends object = object> {
  /** Whether an object is one of this kind. Runs no code of the object's. */
  is(object: object): boolean;
  /** Attaches its descriptors; returns what else the receiving side needs to know. */
  pack(traveller: T, attachments: Attachments): readonly unknown[];
  /**
   * Puts one together again.
   *
   * @param attachments What came with the message: its own descriptors are claimed.
   * @param first The number of its first descriptor; as a peer says.
   * @param details What else `pack` returned; as a peer says.
   */
  unpack(attachments: ReceivedAttachments, first: unknown, details: readonly unknown[]): Disposable;
}

/** All kinds. */
export type TravellerTable = { readonly [Name in KindName]: TravellerKind };

/** A kind, and how all marks of it begin. */
interface Entry {
  readonly kind: TravellerKind;
  readonly name: KindName;
  readonly begin: Uint8Array<ArrayBuffer>;
}

let entries: readonly Entry[] = [];
let table: ReadonlyMap<string, TravellerKind> = new Map();

/** Says what kinds there are: once, when the package is loaded. */
export function setTravellers(kinds: TravellerTable): void {
  const named = Object.entries(kinds) as [KindName, TravellerKind][];
  table = new Map(named);
  entries = named.map(([name, kind]) => ({ kind, name, begin: encodeCbor([MARK, name]).slice(1) })); // without the array's head
  mark = new Mark(MARK, entries.map(({ name, begin }) => ({ name, bytes: begin })));
}

// Put aside while a getter sends something else, in the middle of the message.
let current: Attachments | undefined;

/** Called by the encoder for every object that is marked as a traveller; between the beginning and end of `collecting`. */
export function collect(object: object): StandIn | undefined {
  for (let i = 0; i < entries.length; i++) {
    const { kind, begin } = entries[i]!;
    if (!kind.is(object)) continue;
    current ??= new Attachments();
    const number = current.fds.length; // of its first descriptor
    return { begin, begun: 2, number, rest: kind.pack(object, current) };
  }
  return undefined;
}

/**
 * Runs an encoder that calls {@linkcode collect}.
 *
 * @returns What was attached; `undefined` for a message without travellers.
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

const NO_DETAILS: readonly unknown[] = [];
/** Of the last traveller that had one: many in a message have the same. */
let lastOnly: readonly unknown[] = [0];

/** The details of a traveller that has one. */
function only(detail: unknown): readonly unknown[] {
  if (typeof detail !== "number") return [detail]; // nothing of the program's is to be kept
  return detail === lastOnly[0] ? lastOnly : lastOnly = [detail];
}

/** Puts the travellers of one message together again. */
export class Reviver {
  readonly #attachments: ReceivedAttachments;
  readonly #revived: Disposable[] = [];

  /** @param fds The descriptors of the message. */
  constructor(fds: readonly IpcFd[]) {
    this.#attachments = new ReceivedAttachments(fds);
  }

  /** Called by the decoder with what the encoder's collector returned. */
  readonly revive = (written: readonly unknown[]): unknown => {
    if (written[0] !== MARK) return undefined;
    const name = written[1], first = written[2], { length } = written;
    const details = length <= 3 ? NO_DETAILS : length === 4 ? only(written[3]) : written.slice(3);
    // Not to be converted to text before it is known to be text: a peer may have made it of a million parts.
    if (typeof name !== "string" || typeof first !== "number") {
      throw new IpcError("Serialization", "Cannot decode a message: an endpoint in it is damaged");
    }
    const kind = table.get(name);
    if (kind === undefined) {
      throw new IpcError(
        "Incompatible",
        `Cannot decode a message: this version of the package knows no "${name.slice(0, 40)}"`,
      );
    }
    const traveller = kind.unpack(this.#attachments, first, details);
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
