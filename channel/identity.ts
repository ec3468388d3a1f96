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
//                  words are still somebody else's
// ```
import { isAlive, ownPid, ownThread } from "../ffi/liveness.ts";
import { O_NAMESPACE, O_PID, O_START, O_TID } from "./ring_layout.ts";

/** The bits of a thread id, and more than Linux ever uses. */
const NUMBER = 0x3fff_ffff;

// Two words as one number, without arithmetic on bigints.
const pair = new Int32Array(2), pairAsOne = new BigInt64Array(pair.buffer);

function asOne(tid: number, start: number): bigint {
  pair[0] = tid;
  pair[1] = start;
  return pairAsOne[0]!;
}

/**
 * Claims the identity at a word index for this thread, if nobody that lives has it.
 *
 * @param words The ring's words.
 * @param at Word index of the identity.
 * @param takeOver Whether to look if a present owner is dead, which costs some system calls.
 * @param prepare Called when it is this thread's and not yet an owner that others count with.
 */
export function claimIdentity(
  words: Int32Array<ArrayBuffer>,
  at: number,
  takeOver: boolean,
  prepare?: () => void,
): boolean {
  const owner = new BigInt64Array(words.buffer, at * 4, 1);
  const found = Atomics.load(owner, 0);
  pairAsOne[0] = found;
  const tid = pair[O_TID]!, start = pair[O_START]!;
  if (tid !== 0 && (!takeOver || lives(words, at, tid, start))) return false;
  const self = ownThread();
  if (Atomics.compareExchange(owner, 0, found, asOne(-self.tid, self.namespace)) !== found) return false;
  words[at + O_NAMESPACE] = self.namespace;
  words[at + O_PID] = ownPid();
  prepare?.();
  Atomics.store(owner, 0, asOne(self.tid, self.start));
  return true;
}

/** Whether the owner at a word index lives. An empty identity does not. */
export function isIdentityAlive(words: Int32Array<ArrayBuffer>, at: number): boolean {
  pairAsOne[0] = Atomics.load(new BigInt64Array(words.buffer, at * 4, 1), 0);
  const tid = pair[O_TID]!, start = pair[O_START]!;
  return tid !== 0 && lives(words, at, tid, start);
}

function lives(words: Int32Array<ArrayBuffer>, at: number, tid: number, start: number): boolean {
  if (tid < 0) return isAlive({ tid: -tid & NUMBER, start: 0, namespace: start });
  return isAlive({ tid, start, namespace: words[at + O_NAMESPACE]! });
}

/** Gives an identity up. */
export function clearIdentity(words: Int32Array<ArrayBuffer>, at: number): void {
  words[at + O_START] = 0;
  words[at + O_NAMESPACE] = 0;
  words[at + O_PID] = 0;
  Atomics.store(words, at + O_TID, 0);
}
