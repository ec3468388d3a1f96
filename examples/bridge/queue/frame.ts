// What goes through a queue: one or more messages of a channel in one message of NATS.
//
// Headers:
//
// ```text
// Isthmus-Source   the ring that it comes from
// Isthmus-First    position of the first message there, in blocks of 64 bytes, counted without end
// Isthmus-Last     position of the last one
// Isthmus-Prev     position of the message before the first; absent if there was none
// Isthmus-Count    number of messages; absent for one, which is the payload then
// Isthmus-Pieces   the only message is in so many pieces, see pieces.ts, and this payload is empty
// Isthmus-Length   bytes of it
// ```
//
// The payload of several is each message's distance from the first one in blocks (4), its length (4), and its bytes. What has
// no source comes from a program without Isthmus: the payload is one message.
import { headers, type MsgHdrs } from "@nats-io/nats-core";

/** One message of a channel. */
export interface Item {
  /** Where it was, in blocks of 64 bytes. */
  readonly position: number;
  readonly bytes: Uint8Array;
}

/** Messages that follow one another in one ring. */
export interface Frame {
  /** `undefined` if it comes from a program without Isthmus. */
  readonly source: string | undefined;
  readonly first: number;
  readonly last: number;
  /** The last position of the frame before. */
  readonly previous: number | undefined;
  readonly items: readonly Item[];
  /** Where the only item is, if it is not in here. */
  readonly elsewhere: { readonly pieces: number; readonly length: number } | undefined;
}

const ITEM_HEADER = 8;

/** Bytes that an item takes in a frame. */
export function sizeOf(length: number): number {
  return ITEM_HEADER + length;
}

/** A name that a frame has whenever it is sent, so that NATS knows it again. */
export function idOf(source: string, first: number, last: number): string {
  return `${source}:${first}:${last}`;
}

/** The headers of a frame. */
export function headersOf(
  source: string,
  { first, last, previous, count }: { first: number; last: number; previous: number | undefined; count: number },
  elsewhere?: Frame["elsewhere"],
): MsgHdrs {
  const set = headers();
  set.set("Isthmus-Source", source);
  set.set("Isthmus-First", `${first}`);
  set.set("Isthmus-Last", `${last}`);
  if (previous !== undefined) set.set("Isthmus-Prev", `${previous}`);
  if (count > 1) set.set("Isthmus-Count", `${count}`);
  if (elsewhere !== undefined) {
    set.set("Isthmus-Pieces", `${elsewhere.pieces}`);
    set.set("Isthmus-Length", `${elsewhere.length}`);
  }
  return set;
}

/** The payload of a frame: a copy. */
export function payloadOf(items: readonly Item[]): Uint8Array<ArrayBuffer> {
  if (items.length === 1) return items[0]!.bytes.slice();
  const payload = new Uint8Array(items.reduce((sum, { bytes }) => sum + sizeOf(bytes.length), 0));
  const view = new DataView(payload.buffer), first = items[0]!.position;
  let at = 0;
  for (const { position, bytes } of items) {
    view.setUint32(at, position - first, true);
    view.setUint32(at + 4, bytes.length, true);
    payload.set(bytes, at + ITEM_HEADER);
    at += sizeOf(bytes.length);
  }
  return payload;
}

function numberIn(set: MsgHdrs, name: string): number | undefined {
  const text = set.get(name);
  if (text === "") return undefined;
  const number = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(number)) {
    throw new Error(`its header ${name} is ${JSON.stringify(text)}`);
  }
  return number;
}

/**
 * Reads a frame. Its items are views on the payload.
 *
 * @throws {Error} If it is none: why.
 */
export function readFrame(set: MsgHdrs | undefined, payload: Uint8Array): Frame {
  const source = set?.get("Isthmus-Source") ?? "";
  if (set === undefined || source === "") {
    const items = [{ position: 0, bytes: payload }];
    return { source: undefined, first: 0, last: 0, previous: undefined, items, elsewhere: undefined };
  }
  if (!/^[\w-]{1,64}$/.test(source)) throw new Error("its header Isthmus-Source is no name");
  const first = numberIn(set, "Isthmus-First"), last = numberIn(set, "Isthmus-Last") ?? first;
  const previous = numberIn(set, "Isthmus-Prev");
  if (first === undefined || last === undefined || last < first || (previous !== undefined && previous >= first)) {
    throw new Error("its positions make no sense");
  }
  const count = numberIn(set, "Isthmus-Count") ?? 1;
  const pieces = numberIn(set, "Isthmus-Pieces"), length = numberIn(set, "Isthmus-Length");
  const elsewhere = pieces === undefined || length === undefined ? undefined : { pieces, length };
  const items = count === 1 ? [{ position: first, bytes: payload }] : itemsIn(payload, first, count);
  if (items.at(-1)!.position !== last) throw new Error("its positions make no sense");
  return { source, first, last, previous, items, elsewhere };
}

function itemsIn(payload: Uint8Array, first: number, count: number): Item[] {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const items: Item[] = [];
  let at = 0;
  for (let before = -1; at + ITEM_HEADER <= payload.length;) {
    const distance = view.getUint32(at, true), length = view.getUint32(at + 4, true);
    if (distance <= before || at + sizeOf(length) > payload.length) break;
    items.push({ position: first + distance, bytes: payload.subarray(at + ITEM_HEADER, at + sizeOf(length)) });
    before = distance;
    at += sizeOf(length);
  }
  if (at !== payload.length || items.length !== count) {
    throw new Error("its payload does not hold the messages that it should");
  }
  return items;
}
