// One wait for the lock of a cell, on behalf of an object of the program that may be closed meanwhile.
import { IpcError } from "../base/error.ts";
import { PendingWait, timeoutError, type WaitOptions } from "../base/wait.ts";
import type { Attachment, LockWaiter } from "./cell.ts";

/**
 * Queues for the lock.
 *
 * @param waits Where the wait is noted as long as it lasts, for who closes the object.
 * @param wanted The options, in an object of our own.
 * @param timeout The time-out among them.
 * @param made Makes the guard when the lock was taken.
 */
export async function waitForLock<G>(
  attachment: Attachment,
  waits: Set<PendingWait<G>>,
  wanted: WaitOptions | undefined,
  timeout: number,
  made: (ownerDied: boolean) => G,
): Promise<G> {
  const { cell, file } = attachment;
  const what = `acquire the cell "${file.name}"`;
  if (timeout === 0) throw timeoutError(what, timeout);
  const wait = new PendingWait<G>(what, wanted, () => {
    waits.delete(wait);
    cell.dequeue(waiter);
  });
  if (attachment.closed) wait.reject(closedWaiting(file.name)); // by what listens to the signal
  if (wait.settled) return await wait.promise;
  const waiter: LockWaiter = {
    since: performance.now(),
    ticket: cell.bells.takeTicket(),
    tried: false,
    grant: (ownerDied) => {
      waits.delete(wait);
      if (wait.settled) return false;
      return wait.resolve(made(ownerDied));
    },
    fail: (reason) => {
      waits.delete(wait);
      wait.reject(reason);
    },
  };
  waits.add(wait);
  cell.enqueue(waiter);
  try {
    return await wait.promise;
  } finally {
    cell.dequeue(waiter); // closing rejects the promise and nothing else
  }
}

/** Why a wait ends when its object is closed. */
export function closedWaiting(name: string): IpcError {
  return new IpcError("Closed", `Cannot acquire the cell "${name}": it was closed while waiting`);
}
