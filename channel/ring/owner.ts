// Who owns a slot or the receiving end of a ring: an identity in shared memory, claimed by compare-and-swap.
//
// The thread id and the start time lie side by side and are swapped as one: a number of its own may be used again, also
// by a thread of another PID namespace, and nobody who looked at a dead owner may take the slot from a living one that
// came meanwhile.
//
// ```text
// thread id = 0    free
// thread id > 0    owned, and the other words belong to that owner
// thread id < 0    being taken by the thread of that number, negated, and the start time is its PID namespace: the other
//                  words are still somebody else's, but bit 30 of the number says that the newcomer holds the lock
// ```
//
// The numbers of another PID namespace mean nothing here. So an owner that others there have to do with holds a lock on
// the byte of the ring's file that has the slot's number, by an open file description of its own, from before it counts
// as the owner until it has said that it does not hold it any more. The kernel drops it when the owner dies.
import type { IpcFd } from "../../ffi/file/fd.ts";
import { isPlaceTaken, leavePlace, tryTakePlace } from "../../ffi/file/file_lock.ts";
import { isAlive, ownPid, ownThread } from "../../ffi/process/liveness.ts";
import { ID_LOCK, ID_NAMESPACE, ID_PID, ID_START, ID_TID, SLOT_WORDS, SLOTS, W_SLOTS } from "./layout.ts";

/** The bits of a thread id, and more than Linux ever uses. */
const NUMBER = 0x3fff_ffff;
/** Beside the number of a thread that is just taking the identity: it holds the lock. */
const HOLDS = 0x4000_0000;

// Two words as one number, without arithmetic on bigints.
const pair = new Int32Array(2), pairAsOne = new BigInt64Array(pair.buffer);

function asOne(tid: number, start: number): bigint {
  pair[0] = tid;
  pair[1] = start;
  return pairAsOne[0]!;
}

/** The byte of the ring's file whose lock goes with an identity. */
function byteOf(at: number): number {
  return at < W_SLOTS ? SLOTS : (at - W_SLOTS) / SLOT_WORDS;
}

/**
 * Claims the identity at a word index for this thread, if nobody that lives has it.
 *
 * @param words The ring's words.
 * @param at Word index of the identity.
 * @param takeOver Whether to look if a present owner is dead, which costs some system calls.
 * @param lock An open file description of the caller's alone: claims only what it can lock as well. Not for what the
 * caller has locked by it already, as that lock is granted a second time.
 * @param prepare Called when it is this thread's and not yet an owner that others count with.
 */
export function claimIdentity(
  words: Int32Array<ArrayBuffer>,
  at: number,
  takeOver: boolean,
  lock?: IpcFd,
  prepare?: () => void,
): boolean {
  if (Atomics.load(words, at + ID_TID) !== 0 && !takeOver) return false;
  if (lock !== undefined && !tryLock(lock, at)) return false; // its owner lives, or another newcomer looks at it
  // Looked at under the lock: an owner that said it holds it is dead. Without it, it may just be coming back.
  const owner = asPairs(words, at);
  if (!swapIn(owner, words, at, takeOver, lock !== undefined)) {
    if (lock !== undefined) leavePlace(lock.fd, byteOf(at));
    return false;
  }
  const { tid, start, namespace } = ownThread();
  words[at + ID_NAMESPACE] = namespace;
  words[at + ID_PID] = ownPid();
  words[at + ID_LOCK] = lock === undefined ? 0 : 1;
  prepare?.();
  Atomics.store(owner, 0, asOne(tid, start));
  return true;
}

function tryLock(lock: IpcFd, at: number): boolean {
  try {
    return tryTakePlace(lock.fd, byteOf(at));
  } catch {
    return false; // a file system without locks
  }
}

function swapIn(
  owner: BigInt64Array<ArrayBuffer>,
  words: Int32Array<ArrayBuffer>,
  at: number,
  takeOver: boolean,
  locked: boolean,
): boolean {
  const found = Atomics.load(owner, 0);
  pairAsOne[0] = found;
  const tid = pair[ID_TID]!, start = pair[ID_START]!;
  if (tid !== 0 && (!takeOver || lives(words, at, tid, start, () => !locked))) return false;
  const self = ownThread();
  const taking = asOne(-(locked ? self.tid | HOLDS : self.tid), self.namespace);
  return Atomics.compareExchange(owner, 0, found, taking) === found;
}

function asPairs(words: Int32Array<ArrayBuffer>, at: number): BigInt64Array<ArrayBuffer> {
  return new BigInt64Array(words.buffer, at * 4, 1);
}

/**
 * Whether the owner at a word index lives. An empty identity does not.
 *
 * @param file The ring's file, by a description that holds no locks.
 */
export function isIdentityAlive(words: Int32Array<ArrayBuffer>, at: number, file: IpcFd): boolean {
  pairAsOne[0] = Atomics.load(asPairs(words, at), 0);
  const tid = pair[ID_TID]!, start = pair[ID_START]!;
  return tid !== 0 && lives(words, at, tid, start, () => isPlaceTaken(file.fd, byteOf(at)));
}

/** @param locked Whether the lock is somebody's; asked if the owner said that it is the owner's. */
function lives(
  words: Int32Array<ArrayBuffer>,
  at: number,
  tid: number,
  start: number,
  locked: () => boolean,
): boolean {
  const taking = tid < 0;
  const holds = taking ? (-tid & HOLDS) !== 0 : Atomics.load(words, at + ID_LOCK) !== 0;
  if (holds && !locked()) return false;
  // Also where it is locked: what a terminated Worker leaves open may hold it until its process ends.
  if (taking) return isAlive({ tid: -tid & NUMBER, start: 0, namespace: start });
  return isAlive({ tid, start, namespace: words[at + ID_NAMESPACE]! });
}

/** Locks the identity that this thread has, if it is not locked yet. `false` if that is not possible now. */
export function lockIdentity(words: Int32Array<ArrayBuffer>, at: number, lock: IpcFd): boolean {
  if (words[at + ID_LOCK] !== 0) return true;
  if (!tryLock(lock, at)) return false;
  Atomics.store(words, at + ID_LOCK, 1);
  return true;
}

/**
 * Gives an identity up.
 *
 * @param lock The description that it was claimed or locked with, if it was.
 */
export function clearIdentity(words: Int32Array<ArrayBuffer>, at: number, lock?: IpcFd): void {
  if (lock !== undefined && words[at + ID_LOCK] !== 0) {
    Atomics.store(words, at + ID_LOCK, 0); // first: whoever says that it holds the lock, and does not, is dead
    leavePlace(lock.fd, byteOf(at));
  }
  words[at + ID_START] = 0;
  words[at + ID_NAMESPACE] = 0;
  words[at + ID_PID] = 0;
  Atomics.store(words, at + ID_TID, 0);
}
