// The objects that one message has, so that each is written once, however often it is referred to.
//
// An object that is referred to again is written as a reference (tag 29) to the first place, which gets tag 28 when all is
// written. A small message has few objects: comparing with each is cheaper than a Map.
import type { Insert } from "./written.ts";

const UINT = 0;

const SEEN_LINEAR = 12;
let seen: (object | undefined)[] = new Array(SEEN_LINEAR).fill(undefined);
/** Where each begins. */
let seenAt: number[] = [];
let seenMore = new Map<object, number>();
let seenCount = 0;
/** References: where each stands, and the number of the object among those that were seen, alternately. */
let references: number[] = [];
/** The numbers of those that are referred to. */
let shared = new Set<number>();
/** The number of the object that was seen before. */
let found = 0;

/** Notes an object that is about to be written; `false` if it was there before: write a {@linkcode reference} then. */
export function firstSight(object: object, to: number): boolean {
  const known = seenCount < SEEN_LINEAR ? seenCount : SEEN_LINEAR;
  for (let i = 0; i < known; i++) {
    if (seen[i] === object) {
      found = i;
      return false;
    }
  }
  if (seenCount < SEEN_LINEAR) {
    seen[seenCount] = object;
  } else {
    const number = seenMore.get(object);
    if (number !== undefined) {
      found = number;
      return false;
    }
    seenMore.set(object, seenCount);
  }
  seenAt[seenCount++] = to;
  return true;
}

/** How many there are. */
export function countSeen(): number {
  return seenCount;
}

/** Not to keep the program's objects alive. */
export function forget(): void {
  if (seenCount > SEEN_LINEAR) {
    seenMore.clear();
    seenAt = [];
  }
  for (let i = Math.min(seenCount, SEEN_LINEAR) - 1; i >= 0; i--) seen[i] = undefined;
  seenCount = 0;
  if (references.length > 0) {
    references = [];
    shared.clear();
  }
}

/** Writes a reference to the object that {@linkcode firstSight} has found; its number follows. There is room for it. */
export function writeReference(out: Uint8Array, to: number): number {
  shared.add(found);
  references.push(to, found);
  out[to] = 0xd8;
  out[to + 1] = 29;
  out[to + 2] = UINT | 26;
  return to + 7;
}

/** How many bytes {@linkcode tagShared} adds. */
export function tagsOfShared(): number {
  return references.length === 0 ? 0 : 2 * shared.size;
}

/**
 * Puts tag 28 before the objects that are referred to, and their numbers into the references.
 *
 * @param inserts Of the message: they move as well.
 * @returns The end of the message.
 */
export function tagShared(out: Uint8Array, view: DataView, end: number, inserts: readonly Insert[]): number {
  const order = [...shared].sort((a, b) => seenAt[a]! - seenAt[b]!);
  const numbers = new Map(order.map((index, number) => [index, number]));
  let shift = 2 * order.length;
  for (let i = order.length - 1, stop = end; i >= 0; i--) {
    const start = seenAt[order[i]!]!;
    out.copyWithin(start + shift, start, stop);
    shift -= 2;
    out[start + shift] = 0xd8;
    out[start + shift + 1] = 28;
    stop = start;
  }
  let tags = 0;
  for (let i = 0; i < references.length; i += 2) {
    while (tags < order.length && seenAt[order[tags]!]! <= references[i]!) tags++;
    view.setUint32(references[i]! + 2 * tags + 3, numbers.get(references[i + 1]!)!);
  }
  tags = 0;
  for (const insert of inserts) {
    while (tags < order.length && seenAt[order[tags]!]! < insert.at) tags++;
    insert.at += 2 * tags;
  }
  return end + 2 * order.length;
}

/** What is behind a place has moved on by so many bytes, with the objects from number `first` on. */
export function moveSeen(first: number, behind: number, bytes: number): void {
  for (let i = first; i < seenCount; i++) seenAt[i]! += bytes;
  for (let i = references.length - 2; i >= 0 && references[i]! > behind; i -= 2) references[i]! += bytes;
}

/** What was seen in one message. */
export type Seen = ReturnType<typeof suspendSeen>;

/** Puts aside what was seen, for a message in the middle of another. */
export function suspendSeen() {
  const state = { seen, seenAt, seenMore, seenCount, references, shared, found };
  seen = new Array(SEEN_LINEAR).fill(undefined);
  seenAt = [];
  seenMore = new Map();
  seenCount = 0;
  references = [];
  shared = new Set();
  return state;
}

/** Goes on with what was put aside. */
export function resumeSeen(state: Seen): void {
  ({ seen, seenAt, seenMore, seenCount, references, shared, found } = state);
}
