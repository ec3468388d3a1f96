// Who owns a slot or the receiving end of a ring: an identity in shared memory, claimed by compare-and-swap.
import { isAlive, ownPid, ownThread } from "../ffi/liveness.ts";
import { O_NAMESPACE, O_PID, O_START, O_TID } from "./ring_layout.ts";

/**
 * Claims the identity at a word index for this thread, if nobody that lives has it.
 *
 * The thread id is swapped in first, the rest is written after it: an owner that dies in between leaves an id without a
 * start time, and whether that id lives can be told all the same.
 *
 * @param words The ring's words.
 * @param at Word index of the identity.
 * @param takeOver Whether to look if a present owner is dead, which costs some system calls.
 */
export function claimIdentity(words: Int32Array<ArrayBuffer>, at: number, takeOver: boolean): boolean {
  const self = ownThread();
  const owner = Atomics.load(words, at + O_TID);
  if (owner !== 0) {
    if (!takeOver || isIdentityAlive(words, at)) return false;
    // Before the swap: beside the dead owner's start time, or process, this living thread's id would look dead.
    Atomics.store(words, at + O_START, 0);
    Atomics.store(words, at + O_PID, 0);
  }
  if (Atomics.compareExchange(words, at + O_TID, owner, self.tid) !== owner) return false;
  words[at + O_START] = self.start;
  words[at + O_NAMESPACE] = self.namespace;
  words[at + O_PID] = ownPid();
  return true;
}

/** Whether the owner at a word index lives. An empty identity does not. */
export function isIdentityAlive(words: Int32Array<ArrayBuffer>, at: number): boolean {
  const tid = Atomics.load(words, at + O_TID);
  if (tid === 0) return false;
  return isAlive({ tid, start: words[at + O_START]!, namespace: words[at + O_NAMESPACE]! });
}

/** Gives an identity up. */
export function clearIdentity(words: Int32Array<ArrayBuffer>, at: number): void {
  words[at + O_START] = 0;
  words[at + O_NAMESPACE] = 0;
  words[at + O_PID] = 0;
  Atomics.store(words, at + O_TID, 0);
}
