// Errors for memory, or room in a file system, that is not there.
import { IpcError } from "../../base/error.ts";
import { ENOMEM, ENOSPC } from "../libc/platform.ts";

/** Whether an error says that a file system has no room left. */
export function isOutOfRoom(error: unknown): error is IpcError {
  return error instanceof IpcError && error.errno === ENOSPC;
}

/**
 * The error for a file system that has no room left.
 *
 * @param what What was tried, and where the room is missing.
 * @param advice What to do.
 * @param cause The error that the allocation met with.
 */
export function outOfRoom(what: string, advice: string, cause: IpcError): IpcError {
  return new IpcError("System", `${what} (ENOSPC); ${advice}`, { errno: ENOSPC, syscall: "fallocate", cause });
}

/** The error for a machine that has no memory left. */
export function outOfMemory(message: string): IpcError {
  return new IpcError("System", message, { errno: ENOMEM });
}
