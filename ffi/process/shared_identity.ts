// Whose a place in shared memory is: the identity of a thread, taken by compare-and-swap.
//
// The number of the thread and its start time lie side by side and are swapped as one: a number of its own may be used
// again, also by a thread of another PID namespace, and nobody who looked at a dead owner may take the place from a living
// one that came meanwhile.
//
// ```text
// thread id = 0    free
// thread id > 0    owned, and the other words belong to that owner
// thread id < 0    being taken by the thread of that number, negated, and the start time is its PID namespace: the other
//                  words are still somebody else's, but bit 30 of the number says that the newcomer holds a lock
// ```
import { isAlive, ownThread } from "./liveness.ts";

/** Words of an identity; the first two lie at an even word. */
export const ID_TID = 0, ID_START = 1, ID_NAMESPACE = 2;

/** The bits of a thread id, and more than Linux ever uses. */
const NUMBER = 0x3fff_ffff;
/** Beside the number of a thread that is just taking the identity: it holds the lock that goes with it. */
const HOLDS = 0x4000_0000;

// Two words as one number, without arithmetic on bigints.
const pair = new Int32Array(2), pairAsOne = new BigInt64Array(pair.buffer);

function asOne(tid: number, start: number): bigint {
  pair[0] = tid;
  pair[1] = start;
  return pairAsOne[0]!;
}

function asPairs(words: Int32Array<ArrayBuffer>, at: number): BigInt64Array<ArrayBuffer> {
  return new BigInt64Array(words.buffer, at * 4, 1);
}

/** The first two words of an identity, as they are at one moment. */
export function identityAt(words: Int32Array<ArrayBuffer>, at: number): [tid: number, start: number] {
  pairAsOne[0] = Atomics.load(asPairs(words, at), 0);
  return [pair[ID_TID]!, pair[ID_START]!];
}

/** Whether a number says that a newcomer holds the lock. */
export function holdsLock(tid: number): boolean {
  return tid < 0 && (-tid & HOLDS) !== 0;
}

/**
 * Whether an owner lives; `true` where that cannot be told.
 *
 * @param tid The first two words, as {@linkcode identityAt} found them; not free.
 */
export function isOwnerAlive(words: Int32Array<ArrayBuffer>, at: number, tid: number, start: number): boolean {
  if (tid < 0) return isAlive({ tid: -tid & NUMBER, start: 0, namespace: start });
  return isAlive({ tid, start, namespace: words[at + ID_NAMESPACE]! });
}

/**
 * Begins to take an identity for this thread; {@linkcode settleIdentity} ends it. In between the caller writes what
 * belongs to it.
 *
 * @param mayTake Asked if it is not free: whether it may be taken from that owner, which must be dead.
 * @param holds Whether the caller holds the lock that goes with it.
 * @returns `false` if it was not free, or somebody else was faster.
 */
export function takeIdentity(
  words: Int32Array<ArrayBuffer>,
  at: number,
  mayTake: (tid: number, start: number) => boolean,
  holds = false,
): boolean {
  const owner = asPairs(words, at);
  const found = Atomics.load(owner, 0);
  pairAsOne[0] = found;
  const tid = pair[ID_TID]!, start = pair[ID_START]!;
  if (tid !== 0 && !mayTake(tid, start)) return false;
  const self = ownThread();
  const taking = asOne(-(holds ? self.tid | HOLDS : self.tid), self.namespace);
  return Atomics.compareExchange(owner, 0, found, taking) === found;
}

/** From now on others count with this thread as the owner: all that was written before is seen before. */
export function settleIdentity(words: Int32Array<ArrayBuffer>, at: number): void {
  const { tid, start, namespace } = ownThread();
  words[at + ID_NAMESPACE] = namespace;
  Atomics.store(asPairs(words, at), 0, asOne(tid, start));
}

/** Gives an identity up. */
export function leaveIdentity(words: Int32Array<ArrayBuffer>, at: number): void {
  words[at + ID_START] = 0;
  words[at + ID_NAMESPACE] = 0;
  Atomics.store(words, at + ID_TID, 0);
}
