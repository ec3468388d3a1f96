// Who owns a slot or the receiving end of a ring: an identity in shared memory (see `shared_identity.ts`), and the lock that
// may go with it.
//
// The numbers of another PID namespace mean nothing here. So an owner that others there have to do with holds a lock on
// the byte of the ring's file that has the slot's number, by an open file description of its own, from before it counts
// as the owner until it has said that it does not hold it any more. The kernel drops it when the owner dies.
import type { IpcFd } from "../../ffi/file/fd.ts";
import { isPlaceTaken, leavePlace, tryTakePlace } from "../../ffi/file/file_lock.ts";
import { ownPid } from "../../ffi/process/liveness.ts";
import {
  holdsLock,
  ID_TID,
  identityAt,
  isOwnerAlive,
  leaveIdentity,
  settleIdentity,
  takeIdentity,
} from "../../ffi/process/shared_identity.ts";
import { ID_LOCK, ID_PID, SLOT_WORDS, SLOTS, W_SLOTS } from "./layout.ts";

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
  const mayTake = (tid: number, start: number) => takeOver && !lives(words, at, tid, start, () => lock === undefined);
  if (!takeIdentity(words, at, mayTake, lock !== undefined)) {
    if (lock !== undefined) leavePlace(lock.fd, byteOf(at));
    return false;
  }
  words[at + ID_PID] = ownPid();
  words[at + ID_LOCK] = lock === undefined ? 0 : 1;
  prepare?.();
  settleIdentity(words, at);
  return true;
}

function tryLock(lock: IpcFd, at: number): boolean {
  try {
    return tryTakePlace(lock.fd, byteOf(at));
  } catch {
    return false; // a file system without locks
  }
}

/**
 * Whether the owner at a word index lives. An empty identity does not.
 *
 * @param file The ring's file, by a description that holds no locks.
 */
export function isIdentityAlive(words: Int32Array<ArrayBuffer>, at: number, file: IpcFd): boolean {
  const [tid, start] = identityAt(words, at);
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
  const holds = tid < 0 ? holdsLock(tid) : Atomics.load(words, at + ID_LOCK) !== 0;
  if (holds && !locked()) return false;
  // Also where it is locked: what a terminated Worker leaves open may hold it until its process ends.
  return isOwnerAlive(words, at, tid, start);
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
    Atomics.store(words, at + ID_LOCK, 0); // first: an owner that says it holds the lock, and does not, is dead
    leavePlace(lock.fd, byteOf(at));
  }
  words[at + ID_PID] = 0;
  leaveIdentity(words, at);
}
