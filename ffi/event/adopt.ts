// Descriptors that the event loop watches: the runtime takes a number over, and closes it in its own time.
//
// Each is a duplicate of a descriptor of ours. A runtime may refuse a number that somebody has closed behind its back, such
// as an `IpcFd` that was given the number of a file of `node:fs`. Then another is taken.
import { IpcError } from "../../base/error.ts";
import { IpcFd } from "../file/fd.ts";
import { forgetAdopted, noteAdopted } from "../process/isolate_notes.ts";
import { runtime } from "../runtime/mod.ts";
import type { Acceptor, ReadWatch, TakenConnection } from "../runtime/runtime.ts";

/** Numbers that are tried; each that is refused is one that the program has closed behind the runtime's back. */
const MOST_TRIES = 64;

/**
 * Has the event loop read a duplicate of a pipe or a stream socket; keeps no process alive at first.
 *
 * @param fd The descriptor, which stays its owner's.
 * @param onReady Called when something was read.
 * @param onEnd Called when the other end is gone; that may be said more than once.
 * @throws {IpcError} `System` if there is no descriptor left, or the runtime refuses.
 */
export function watchReading(fd: IpcFd, onReady: () => void, onEnd: () => void): ReadWatch {
  const refused: IpcFd[] = [];
  try {
    for (;;) {
      const duplicate = fd.clone();
      refused.push(duplicate);
      const adoption = new Adoption();
      let watch: ReadWatch | undefined;
      try {
        watch = runtime.watchReading(duplicate.fd, { onReady, onEnd, onClosed: () => adoption.end() });
      } catch (cause) {
        throw refusal(cause);
      }
      if (watch !== undefined) {
        refused.pop();
        adoption.begin(duplicate.take(), fd);
        return watch;
      }
      if (refused.length >= MOST_TRIES) throw refusal(new Error("all numbers that are free are in its table"));
    }
  } finally {
    for (const duplicate of refused) duplicate.close();
  }
}

/**
 * Has the event loop accept clients with a duplicate of a listening stream socket.
 *
 * @param fd The descriptor, which stays its owner's.
 * @param onConnection Called with each client.
 * @param onError Called if it does not come to listen, or fails later.
 * @throws {IpcError} `System` if there is no descriptor left.
 */
export function acceptClients(
  fd: IpcFd,
  onConnection: (connection: TakenConnection) => void,
  onError: (error: IpcError) => void,
): Acceptor {
  const refused: IpcFd[] = [];
  const adoption = new Adoption();
  const acceptor = runtime.acceptor({
    onConnection,
    onError: (cause) => onError(refusal(cause)),
    onClosed: () => adoption.end(),
  });
  const settle = (error?: IpcError) => {
    for (const duplicate of refused.splice(0)) duplicate.close();
    if (error !== undefined) onError(error);
  };
  const listen = () => {
    const number = fd.clone().take();
    acceptor.listen(number, (cause) => {
      if (cause === undefined) {
        adoption.begin(number, fd);
        return settle();
      }
      if (!runtime.isTaken(cause)) return settle(refusal(cause));
      refused.push(new IpcFd(number));
      if (refused.length >= MOST_TRIES || fd.closed) return settle(refusal(cause));
      try {
        listen();
      } catch (error) {
        settle(refusal(error));
      }
    });
  };
  listen();
  return acceptor;
}

/** Who has the numbers that the runtime has now. */
const adopters = new Map<number, Adoption>();

/** A number that the runtime has. The next isolate must close it, should this one be dropped before the runtime does. */
class Adoption {
  #number = -1;

  begin(number: number, of: IpcFd): void {
    this.#number = number;
    noteAdopted(number, of.fd);
    adopters.set(number, this);
  }

  /** Told later than it is closed: the number may have been adopted again. */
  end(): void {
    if (adopters.get(this.#number) !== this) return;
    adopters.delete(this.#number);
    forgetAdopted(this.#number);
  }
}

function refusal(cause: unknown): IpcError {
  if (cause instanceof IpcError) return cause;
  return new IpcError("System", `Cannot watch a descriptor: ${(cause as Error)?.message ?? cause}`, { cause });
}
