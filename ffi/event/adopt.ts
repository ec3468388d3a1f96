// Descriptors that the event loop watches: Node's sockets and servers take a number over, and close it in their own time.
import net from "node:net";
import { IpcError } from "../../base/error.ts";
import { IpcFd } from "../file/fd.ts";
import { forgetAdopted, noteAdopted } from "../process/isolate_notes.ts";

/** Numbers that are tried; each that is refused is one that the program has closed behind Deno's back. */
const MOST_TRIES = 64;

/** Where the bytes go that nobody looks at. */
const IGNORED = new Uint8Array(4096);

/**
 * A socket of the event loop over a duplicate of a pipe or a stream socket, for being told that bytes have come: what they
 * are is not kept. It also emits "end" and "error".
 *
 * Deno keeps a table of the numbers that its files have. One that was closed by somebody else, such as an `IpcFd` that was
 * given the number of a file of `node:fs`, is still in it, and adopting the same number again is refused. Then another is
 * taken.
 *
 * @param fd The descriptor, which stays its owner's.
 * @param onBytes Called for every read. A callback costs half of what "data" events do.
 * @throws {IpcError} `System` if there is no descriptor left, or Deno refuses.
 */
export function adoptForReading(fd: IpcFd, onBytes: () => void): net.Socket {
  const onread = {
    buffer: IGNORED,
    callback: () => {
      onBytes();
      return true; // and read on
    },
  };
  const refused: IpcFd[] = [];
  try {
    for (;;) {
      const duplicate = fd.clone();
      refused.push(duplicate);
      try {
        const socket = new net.Socket({ fd: duplicate.fd, readable: true, writable: false, onread });
        refused.pop();
        noteAdoption(socket, duplicate.take(), fd);
        socket.resume();
        return socket;
      } catch (cause) {
        if (!isTaken(cause) || refused.length >= MOST_TRIES) throw refusal(cause);
      }
    }
  } finally {
    for (const duplicate of refused) duplicate.close();
  }
}

/**
 * Has a server of the event loop listen with a duplicate of a listening stream socket.
 *
 * @param server Without a listener for errors.
 * @param fd The descriptor, which stays its owner's.
 * @param onError Called if it does not come to listen, or fails later.
 * @throws {IpcError} `System` if there is no descriptor left.
 */
export function adoptForAccepting(server: net.Server, fd: IpcFd, onError: (error: IpcError) => void): void {
  const refused: IpcFd[] = [];
  const listen = () => {
    const number = fd.clone().take();
    const retry = (cause: Error) => {
      server.off("listening", done);
      if (!isTaken(cause)) return settle(refusal(cause));
      refused.push(new IpcFd(number));
      if (refused.length >= MOST_TRIES || fd.closed) return settle(refusal(cause));
      try {
        listen();
      } catch (error) {
        settle(error instanceof IpcError ? error : refusal(error));
      }
    };
    const done = () => {
      server.off("error", retry);
      noteAdoption(server, number, fd);
      settle();
    };
    server.once("error", retry);
    server.once("listening", done);
    server.listen({ fd: number });
  };
  const settle = (error?: IpcError) => {
    for (const duplicate of refused.splice(0)) duplicate.close();
    server.on("error", (cause) => onError(refusal(cause)));
    if (error !== undefined) onError(error);
  };
  listen();
}

/** Who has the numbers that Deno has now. */
const adopters = new Map<number, net.Socket | net.Server>();

/** The next isolate must close it, should this one be dropped before Deno does. */
function noteAdoption(by: net.Socket | net.Server, number: number, of: IpcFd): void {
  noteAdopted(number, of.fd);
  adopters.set(number, by);
  by.once("close", () => {
    // The event comes later than the closing: the number may have been adopted again.
    if (adopters.get(number) !== by) return;
    adopters.delete(number);
    forgetAdopted(number);
  });
}

function isTaken(cause: unknown): boolean {
  return (cause as { code?: string } | undefined)?.code === "EEXIST";
}

function refusal(cause: unknown): IpcError {
  if (cause instanceof IpcError) return cause;
  return new IpcError("System", `Cannot watch a descriptor: ${(cause as Error)?.message ?? cause}`, { cause });
}
